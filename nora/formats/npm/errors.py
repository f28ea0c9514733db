"""Errors as npm shows them: the text of `error`."""

from __future__ import annotations

from typing import Final

import orjson
from blacksheep import Content, Request, Response

from nora import errors

JSON: Final = b"application/json"
NOT_FOUND: Final = "not_found"
"""As CouchDB says it, which npm was made of: clients look for it."""


def render_error(error: errors.NoraError, request: Request) -> Response:
    """An error for npm, which prints its text. What it tries again (429, 5xx) has its own status."""
    message = str(error)
    said = {"error": message}
    if isinstance(error, errors.NotFound):
        said = {"error": NOT_FOUND, "reason": message}
    return Response(error.status, None, Content(JSON, orjson.dumps(said)))
