"""The time by which something is old enough to go."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

PATIENCE: Final = 86_400.0
"""Seconds after which the clock is believed: what was under way has ended, or somebody has noticed."""
SLACK: Final = 60.0
"""Seconds by which a clock is set that goes well."""


class PatientClock:
    """Seconds since the epoch, for as long as the clock goes steadily.

    When it jumps forward, by days perhaps, all that is stored grows old at once: what a request has just
    brought, and has no row yet; leases of pushes that are under way; what is kept for some days after it was
    used. So a jump counts only later. What happened before this object was made it cannot know.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
    ) -> None:
        """`wall` may jump, `steady` never does."""
        self._wall = wall
        self._steady = steady
        self._ahead = wall() - steady()
        self._jumped_at: float | None = None

    def __call__(self) -> float:
        """The time, never later than it is by the clock."""
        now, steady = self._wall(), self._steady()
        if now - steady <= self._ahead + SLACK:
            self._jumped_at = None
        elif self._jumped_at is None:
            self._jumped_at = steady
        if self._jumped_at is not None and steady - self._jumped_at < PATIENCE:
            return steady + self._ahead
        self._ahead, self._jumped_at = now - steady, None
        return now
