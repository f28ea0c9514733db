"""Errors as the go command shows them: a text."""

from __future__ import annotations

from typing import Final

from blacksheep import Content, Request, Response

from nora import errors

TEXT: Final = b"text/plain; charset=utf-8"


def render_error(error: errors.NoraError, request: Request) -> Response:
    """An error for the go command, which prints the text of it, and asks the next proxy of its list after 404
    and 410 only."""
    kind = "not found: " if error.status == 404 else ""
    return Response(error.status, None, Content(TEXT, f"{kind}{error}\n".encode("utf-8", "replace")))
