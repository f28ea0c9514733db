"""Errors as the clients of Maven show them: text, or problem details (RFC 9457) to who asks for them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import orjson
from blacksheep import Content, Request, Response

from nora.errors import NoraError

PROBLEM: Final = b"application/problem+json"
TEXT: Final = b"text/plain; charset=utf-8"


def render_error(error: NoraError, request: Request) -> Response:
    """An error for Maven, which prints the status, and from 3.9 on the title and the detail of a problem."""
    message = str(error)
    if PROBLEM in (request.get_first_header(b"accept") or b""):
        title = HTTPStatus(error.status).phrase
        body = orjson.dumps({"status": error.status, "title": title, "detail": message})
        return Response(error.status, None, Content(PROBLEM, body))
    return Response(error.status, None, Content(TEXT, f"{message}\n".encode("utf-8", "replace")))
