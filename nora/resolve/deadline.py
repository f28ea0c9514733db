"""Until when a request has its answer: clients give up (pip after 15 s), and then say less than we could.

The time begins when a request waits for an upstream for the first time, and holds over everything that it
waits for: tries, mirrors, sources, files. What is under way for others goes on; who comes back finds it done.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from time import monotonic

from nora.observability.logs import REQUEST_ID

_current: ContextVar[tuple[str, float]] = ContextVar("deadline", default=("", inf))
"""The id of the request, and until when it waits."""


def seconds_left(seconds: float) -> float:
    """How long the request of this task may wait, of `seconds` in all. `inf` outside of requests."""
    request = REQUEST_ID.get()
    known, until = _current.get()
    if known != request:
        until = monotonic() + seconds
        _current.set((request, until))
    return max(0.0, until - monotonic())


def allow(seconds: float) -> None:
    """Let the request of this task wait for so long: its client does, and tries nothing again."""
    _current.set((REQUEST_ID.get(), monotonic() + seconds))


def work_for_all() -> None:
    """What this task does is for whoever wants it, and has no deadline."""
    _current.set((REQUEST_ID.get(), inf))


@contextmanager
def half(seconds: float) -> Iterator[None]:
    """Wait here for no more than half of what is left, so that there is time for others."""
    left = seconds_left(seconds)
    before = _current.get()
    _current.set((before[0], monotonic() + left / 2))
    try:
        yield
    finally:
        _current.set(before)
