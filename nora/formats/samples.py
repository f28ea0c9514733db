"""Samples: how to publish something in a format and fetch it again, as plain HTTP.

Each format folder has a `samples.py` with a `SAMPLE`, and so takes part in the contract suite that all
formats share; a smoke test of an installation can play them too.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One request and the status that answers it. `path` is relative to the server."""

    method: str
    path: str
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    again: int | None = None
    """The status when it was done before; None: the same."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A package of a format."""

    publish: tuple[Step, ...]
    """Stores the package; replayed on a registry that has it already, it changes nothing."""
    fetch: Step
    """Gets its file: the answer's body is `fetched`."""
    fetched: bytes
    absent: Step
    """Asks for something that is not there."""
    refused: Step
    """Uses a method that does not apply: 405 with `Allow`."""
    malformed: Step
    """Sends what the format's grammar does not allow: 400."""
    error_type: str
    """The media type of errors."""
