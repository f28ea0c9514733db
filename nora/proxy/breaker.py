"""A circuit breaker: whoever fails again and again is left alone for a while, then asked by one request.

    closed ──failures in a row──▶ open ──after some seconds──▶ half open ──probe succeeds──▶ closed
                                   ▲                               │
                                   └────────── probe fails ────────┘

Each change begins a new generation, and what an attempt of an older one learns changes nothing: it is late.
A probe that is left without a verdict, because whoever waited for it went away, frees its place. Each process
has breakers of its own; that the host answers again, which one of them finds out, all others know: theirs
become half open at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from math import ceil

from nora.errors import UpstreamUnavailable
from nora.observability.shared_timestamps import Timestamp


class State(IntEnum):
    """As metrics have it."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Attempt:
    """One request that a breaker has let through; say how it went before leaving it."""

    __slots__ = ("_breaker", "_generation", "is_probe")

    def __init__(self, breaker: Breaker, generation: int, is_probe: bool) -> None:
        self._breaker = breaker
        self._generation = generation
        self.is_probe = is_probe

    def succeeded(self) -> None:
        """It was answered."""
        self._breaker._settle(self._generation, True)

    def failed(self) -> None:
        """It was not answered, or with 5xx."""
        self._breaker._settle(self._generation, False)


class Breaker:
    """The breaker of one host, in one process."""

    def __init__(
        self,
        host: str,
        failures: int,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[State], None] = lambda state: None,
        rejected: Callable[[], None] = lambda: None,
        answered: Timestamp | None = None,
    ) -> None:
        """It opens after so many failures in a row, for so many seconds; `failures` 0 is never. `answered` is
        when the host last did, whichever process asked."""
        self._host = host
        self._limit = failures
        self._seconds = seconds
        self._clock = clock
        self._changed = changed
        self._rejected = rejected
        self._answered = answered or Timestamp()
        self._generation = 0
        self._failures = 0
        self._since = 0.0
        self._probe: Attempt | None = None
        self.state = State.CLOSED

    @contextmanager
    def attempt(self) -> Iterator[Attempt]:
        """Let one request through. Raises UpstreamUnavailable where none is let through."""
        attempt = self._admit()
        try:
            yield attempt
        finally:  # also when the task is cancelled: a probe that nobody finishes must not stay for ever
            if self._probe is attempt:
                self._probe = None

    def _admit(self) -> Attempt:
        if self.state is State.OPEN:
            left = self._since + self._seconds - self._clock()
            if left > 0 and self._answered.last <= self._since:
                raise self._left_alone(max(1, ceil(left)))
            self._become(State.HALF_OPEN)
        if self.state is State.CLOSED:
            return Attempt(self, self._generation, False)
        if self._probe is not None:
            raise self._left_alone(1)
        self._probe = Attempt(self, self._generation, True)
        return self._probe

    def _settle(self, generation: int, succeeded: bool) -> None:
        if succeeded:
            self._answered.note(self._clock())
        if generation != self._generation:
            return
        if succeeded:
            self._failures = 0
            if self.state is not State.CLOSED:
                self._become(State.CLOSED)
            return
        self._failures += 1
        if self.state is State.HALF_OPEN or 0 < self._limit <= self._failures:
            self._since = self._clock()
            self._become(State.OPEN)

    def _become(self, state: State) -> None:
        self.state = state
        self._generation += 1
        self._failures = 0
        self._probe = None
        self._changed(state)

    def _left_alone(self, seconds: int) -> UpstreamUnavailable:
        self._rejected()
        return UpstreamUnavailable(f"{self._host} fails again and again, and is not asked now", seconds)
