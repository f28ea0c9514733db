"""Errors as people read them who use curl: a line of text."""

from __future__ import annotations

from typing import Final

from blacksheep import Content, Request, Response

from nora.errors import NoraError

TEXT: Final = b"text/plain; charset=utf-8"


def render_error(error: NoraError, request: Request) -> Response:
    """An error in plain text."""
    return Response(error.status, None, Content(TEXT, f"{error}\n".encode("utf-8", "replace")))
