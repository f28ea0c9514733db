"""What is told of an endpoint to those who read about the API: see nora.http.openapi."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query."""

    name: str
    about: str
    kind: Literal["string", "integer", "boolean"] = "string"
    needed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a table of endpoints says beside method, path and the docstring of the handler. Of an endpoint
    that says neither `answer` nor `media_type` the protocol is written down elsewhere, and so are its
    answers."""

    summary: str = ""
    """Instead of the first sentence of that docstring."""
    query: tuple[Parameter, ...] = ()
    body: type[Any] | None = None
    """The JSON object that is taken: a TypedDict."""
    answer: type[Any] | None = None
    """The JSON object that is given: a TypedDict."""
    media_type: str = ""
    """Of an answer that is no JSON object."""
    status: int = 200
    errors: tuple[int, ...] = ()
    """That it may answer, beside those of every endpoint with such an action or body."""


UNTOLD = Operation()
