"""A circuit breaker: a host that fails again and again is left alone for a while, then asked by one request.

    closed ──failures in a row──▶ open ──after some seconds──▶ half open ──probe succeeds──▶ closed
                                   ▲                               │
                                   └────────── probe fails ────────┘

Failures in a row are those since the host last answered anything. Of what it answers badly, or not at all,
each resource counts once, however often it is asked for: one page that is broken upstream says nothing of the
host. That no connection comes about counts each time: it depends on no resource. The probe is a request that
can succeed: a resource that is known to fail is kept back for `KEPT_BACK` times as long as the host. After
that it may be a probe, too, but keeps no other one out, and by its failure only itself is kept back again.

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
from typing import Final

from nora.errors import UpstreamUnavailable
from nora.observability.shared_timestamps import Timestamp

KEPT_BACK: Final = 2
"""So many times longer than its host is a resource left alone that is known to fail."""


class State(IntEnum):
    """As metrics have it."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Attempt:
    """One request that a breaker has let through; say how it went before leaving it."""

    __slots__ = ("_breaker", "_generation", "has_begun", "is_known", "is_probe", "resource")

    def __init__(
        self, breaker: Breaker, generation: int, resource: str, *, is_probe: bool, is_known: bool
    ) -> None:
        self._breaker = breaker
        self._generation = generation
        self.resource = resource
        self.is_probe = is_probe
        self.is_known = is_known
        """Whether the resource is known to fail."""
        self.has_begun = False
        """Whether an answer to it has begun."""

    def succeeded(self) -> None:
        """It was answered."""
        self._breaker._succeed(self._generation)

    def failed(self, *, is_unreachable: bool = False) -> None:
        """It was not answered, or with 5xx; or, `is_unreachable`, no connection came about."""
        self._breaker._fail(self._generation, None if is_unreachable else self.resource)


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
        """It opens after so many failures in a row, for so many `seconds`; `failures` 0 is never. `answered`
        is when the host last did, whichever process asked."""
        self._host = host
        self._limit = failures
        self._seconds = seconds
        self._clock = clock
        self._changed = changed
        self._rejected = rejected
        self._answered = answered or Timestamp()
        self._generation = 0
        self._unreachable = 0
        """How often in a row no connection came about."""
        self._failing: dict[str, float] = {}
        """Resources that have failed since the host last answered here, and when. No more than it takes to
        open, and one for each probe of the time for which they are kept back."""
        self._since = 0.0
        self._probe: Attempt | None = None
        self.state = State.CLOSED

    @contextmanager
    def attempt(self, resource: str) -> Iterator[Attempt]:
        """Let one request for a resource through. Raises UpstreamUnavailable where none is let through."""
        attempt = self._admit(resource)
        try:
            yield attempt
        finally:  # also when the task is cancelled: a probe that nobody finishes must not stay for ever
            if self._probe is attempt:
                self._probe = None

    def _admit(self, resource: str) -> Attempt:
        now = self._clock()
        if self.state is State.OPEN:
            left = self._since + self._seconds - now
            if left > 0 and self._answered.last <= self._since:
                raise self._left_alone(self._host, max(left, self._kept_back(resource, now)))
            self._become(State.HALF_OPEN)
        is_probe, is_known = self.state is State.HALF_OPEN, resource in self._failing
        attempt = Attempt(self, self._generation, resource, is_probe=is_probe, is_known=is_known)
        if is_probe:
            left = self._kept_back(resource, now)
            if left > 0:
                raise self._left_alone(f"this resource of {self._host}", left)
            if self._probe is not None and (is_known or not self._probe.is_known):
                raise self._left_alone(self._host, 1)
            self._probe = attempt
        return attempt

    def _kept_back(self, resource: str, now: float) -> float:
        """How long a resource is not asked for yet. The host may have failed as a whole: once it answers
        another process, what had failed before is asked for."""
        failed = self._failing.get(resource)
        if failed is None or self._answered.last > failed:
            return 0.0
        return failed + KEPT_BACK * self._seconds - now

    def _succeed(self, generation: int) -> None:
        self._answered.note(self._clock())
        if generation != self._generation:
            return
        self._unreachable = 0
        self._failing.clear()
        if self.state is not State.CLOSED:
            self._become(State.CLOSED)

    def _fail(self, generation: int, resource: str | None) -> None:
        if generation != self._generation or not self._limit:
            return
        now = self._clock()
        is_known = resource in self._failing
        if resource is None:
            self._unreachable += 1
        else:
            self._failing[resource] = now
        if self.state is State.HALF_OPEN:
            if is_known:
                return
        elif self._unreachable + len(self._failing) < self._limit:
            return
        oldest = now - KEPT_BACK * self._seconds
        self._failing = {one: failed for one, failed in self._failing.items() if failed > oldest}
        self._since = now
        self._become(State.OPEN)

    def _become(self, state: State) -> None:
        self.state = state
        self._generation += 1
        self._unreachable = 0
        self._probe = None
        self._changed(state)

    def _left_alone(self, what: str, seconds: float) -> UpstreamUnavailable:
        self._rejected()
        return UpstreamUnavailable(
            f"{what} fails again and again, and is not asked now", max(1, ceil(seconds))
        )
