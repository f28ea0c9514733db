"""Bodies of NORA's own endpoints: a JSON object in, one out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import orjson
from blacksheep import Content, Request, Response

from nora.errors import BadRequest
from nora.http.body import read_body
from nora.http.context import RequestContext

LARGEST_BODY: Final = 16 * 1024
NO_STORE = (b"cache-control", b"no-store")

Fields = dict[str, Any]
C = TypeVar("C", bound=RequestContext)


async def read_fields(
    request: Request, needed: frozenset[str], optional: frozenset[str] = frozenset()
) -> Fields:
    """The JSON object of the body, with these fields and no others. Raises BadRequest, TooLarge."""
    declared = request.content_type() or b""
    if declared.partition(b";")[0].strip().lower() != b"application/json":
        # Not a formality: a page of another site can send a form, never this (no CORS here)
        raise BadRequest("the body is JSON: say Content-Type: application/json")
    try:
        fields = orjson.loads(await read_body(request, LARGEST_BODY))
    except orjson.JSONDecodeError:
        raise BadRequest("the body is not valid JSON") from None
    if not isinstance(fields, dict):
        raise BadRequest("the body is not a JSON object")
    if missing := needed - fields.keys():
        raise BadRequest(f"the body lacks {', '.join(sorted(missing))}")
    if not fields.keys() <= needed | optional:
        raise BadRequest(f"the body may have {', '.join(sorted(needed | optional))}, nothing else")
    return fields


def text_of(fields: Fields, name: str) -> str:
    """A field that is a text. Raises BadRequest."""
    value = fields[name]
    if not isinstance(value, str) or len(value) > 1024:
        raise BadRequest(f"{name} is a text of at most 1024 characters")
    return value


def read_limit(context: RequestContext, most: int) -> int:
    """The query's `limit`, as many as there may be without one. Raises BadRequest."""
    limit = context.parameter("limit") or str(most)
    if not (limit.isascii() and limit.isdigit() and len(limit) < 19 and 1 <= int(limit) <= most):
        raise BadRequest(f"limit is a whole number from 1 to {most}")
    return int(limit)


def json_answer(body: object, status: int = 200) -> Response:
    """An answer that nobody keeps."""
    return Response(status, [NO_STORE], Content(b"application/json", orjson.dumps(body)))


def answering(endpoint: Callable[[C], Awaitable[object]]) -> Callable[[C], Awaitable[Response]]:
    """The handler that answers with what an endpoint returns."""

    async def answer(context: C) -> Response:
        return json_answer(await endpoint(context))

    return answer
