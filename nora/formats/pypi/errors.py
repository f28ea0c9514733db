"""Errors as PyPI's clients show them: the message as text, or as a problem document (RFC 9457) when asked."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import orjson
from blacksheep import Content, Request, Response

from nora import errors
from nora.http.negotiation import accept_of

PROBLEM: Final = b"application/problem+json"
TEXT: Final = b"text/plain; charset=utf-8"
RETRY_SECONDS: Final = 5


def reads_problems(accept: str | None) -> bool:
    """Whether a list of media types has JSON."""
    return accept is not None and ("application/json" in accept or "+json" in accept)


def render_error(error: errors.NoraError, request: Request) -> Response:
    """An error for pip, uv, twine and their kin.

    An upstream that fails is 503 with `Retry-After`, a timeout too: pip does not try 504 again, and then
    reports that there is no such project. What trying again does not help is 502: an upstream that refuses
    us, or gives what cannot be used.
    """
    status, headers = error.status, []
    if isinstance(error, errors.UpstreamTimeout) or (type(error) is errors.UpstreamFailed and error.origin):
        status = 503
        headers.append((b"retry-after", b"%d" % RETRY_SECONDS))
    if reads_problems(accept_of(request)):
        body = {"type": "about:blank", "title": _title(status), "status": status, "detail": str(error)}
        return Response(status, headers, Content(PROBLEM, orjson.dumps(body)))
    return Response(status, headers, Content(TEXT, f"{error}\n".encode("utf-8", "replace")))


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # 499
        return "Error"
