"""What was counted over time, and how much there was: for charts, and for sums that outlive the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from nora.catalog.records import Moment

TEN_MINUTES: Final = 600
HOUR: Final = 3600
DAY: Final = 86_400
KEPT: Final[Mapping[int, int]] = {TEN_MINUTES: 3 * 144, HOUR: 100 * 24, DAY: 3660}
"""Lengths of periods in seconds, and how many of each are kept: three days, a hundred days, ten years."""


class History(Protocol):
    """See nora.catalog.base for what holds for all methods. Times are seconds since the epoch; a period
    begins at a multiple of its length, so a day is one of UTC."""

    async def record_history(
        self, server: str, counted: Mapping[str, float], levels: Mapping[str, float], now: float
    ) -> None:
        """Note what was counted since the start of the server with this id, by series: what is new of it is
        added to the periods of `now`, once, whichever process says it how often. `levels` replace what the
        periods had. Not durable by itself."""
        ...

    async def read_history(self, length: int, since: float, until: float) -> Sequence[Moment]:
        """The periods of a length of `KEPT` that begin in `since` ≤ t < `until`, in order, those of which
        something is known."""
        ...

    async def total_history(self) -> Moment | None:
        """The sum since ever, and since when that is; None: nothing was recorded yet."""
        ...
