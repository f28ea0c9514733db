"""Errors as cargo shows them: its API answers in JSON, index and downloads in text."""

from __future__ import annotations

from typing import Final

import orjson
from blacksheep import Content, Request, Response

from nora import errors

API: Final = b"/api/v1/"
JSON: Final = b"application/json"
TEXT: Final = b"text/plain; charset=utf-8"


def render_error(error: errors.NoraError, request: Request) -> Response:
    """An error for cargo, which prints the text of it. What it tries again (429, 5xx) has its own status."""
    message = str(error)
    if API in request.scope["raw_path"] and not request.scope["raw_path"].endswith(b"/download"):
        body = orjson.dumps({"errors": [{"detail": message}]})
        return Response(error.status, None, Content(JSON, body))
    return Response(error.status, None, Content(TEXT, f"{message}\n".encode("utf-8", "replace")))
