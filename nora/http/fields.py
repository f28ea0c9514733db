"""Bodies of NORA's own endpoints: a JSON object in, one out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final, TypedDict, TypeVar

import orjson
from blacksheep import Content, Request, Response

from nora.errors import BadRequest
from nora.http.body import read_body
from nora.http.context import RequestContext
from nora.http.operations import Operation, Parameter
from nora.http.router import Endpoint
from nora.model import Action

LARGEST_BODY: Final = 16 * 1024
NO_STORE = (b"cache-control", b"no-store")

Fields = dict[str, Any]
PAGING: Final = (
    Parameter("after", "The last one of the page before"),
    Parameter("limit", "How many at most; as many as there may be, if nothing is said", "integer"),
)
C = TypeVar("C", bound=RequestContext)
T = TypeVar("T")


class Problem(TypedDict):
    """What was wrong."""

    error: str
    request_id: str
    """By which the log has the request."""


async def read_fields(request: Request, kind: type[Any]) -> Fields:
    """The JSON object of the body, with the fields of a TypedDict and no others; what they are is for the
    caller to look at. Raises BadRequest, TooLarge."""
    needed: frozenset[str] = kind.__required_keys__
    optional: frozenset[str] = kind.__optional_keys__
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

    @wraps(endpoint)
    async def answer(context: C) -> Response:
        return json_answer(await endpoint(context))

    return answer


def json_endpoint(
    methods: str,
    path: str,
    action: Action | None,
    answer: type[T],
    endpoint: Callable[[C], Awaitable[T]],
    *,
    body: type[Any] | None = None,
    query: tuple[Parameter, ...] = (),
    errors: tuple[int, ...] = (),
) -> Endpoint[C]:
    """One that answers with a JSON object. `body` is what it takes, `query` what it may be asked with."""
    told = Operation(answer=answer, body=body, query=query, errors=errors)
    return Endpoint(methods, path, action, answering(endpoint), told=told)
