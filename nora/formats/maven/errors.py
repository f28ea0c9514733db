"""Errors as the clients of Maven show them: text, or problem details (RFC 9457) to who asks for them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import orjson
from blacksheep import Content, Request, Response

from nora.errors import NoraError
from nora.http.errors import render_text

PROBLEM: Final = b"application/problem+json"


def render_error(error: NoraError, request: Request) -> Response:
    """An error for Maven, which prints the status, and from 3.9 on the title and the detail of a problem."""
    if PROBLEM in (request.get_first_header(b"accept") or b""):
        title = HTTPStatus(error.status).phrase
        body = orjson.dumps({"status": error.status, "title": title, "detail": str(error)})
        return Response(error.status, None, Content(PROBLEM, body))
    return render_text(error, request)
