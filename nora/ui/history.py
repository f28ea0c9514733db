"""What the pages show of the past: traffic over a range of time, and the last day of each figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from nora.catalog.history import DAY, HOUR, TEN_MINUTES
from nora.observability.history import ARTIFACTS, STORED
from nora.ui.charts import Bars, line, stack

if TYPE_CHECKING:
    from nora.catalog.history import History
    from nora.catalog.records import Moment

WITHOUT_UPSTREAM: Final = frozenset({"hit", "stale", "revalidated", "coalesced"})
"""Results of the cache for which no upstream had to send anything."""
MOST_LABELS: Final = 5
ASKED_FOR: Final = WITHOUT_UPSTREAM | {"miss"}


@dataclass(frozen=True, slots=True)
class Range:
    """A range of time, ending now."""

    name: str
    length: int
    """Of the periods that are read, in seconds."""
    step: int
    """Of a slot of the chart."""
    slots: int
    labelled: int
    """Slots that have room for a label."""
    aligned: int
    """The range ends at the next multiple of so many seconds."""

    def start(self, now: float) -> int:
        """When its first slot begins."""
        return (int(now) // self.aligned + 1) * self.aligned - self.slots * self.step


RANGES: Final[Mapping[str, Range]] = {
    one.name: one
    for one in (
        Range("day", TEN_MINUTES, 3 * TEN_MINUTES, 48, 12, 3 * TEN_MINUTES),
        Range("week", HOUR, 6 * HOUR, 28, 4, DAY),
        Range("month", DAY, DAY, 30, 6, DAY),
        Range("year", DAY, 7 * DAY, 52, 13, DAY),
    )
}


@dataclass(slots=True)
class Slot:
    """What a slot of a chart had."""

    at: int
    when: str = ""
    """Its beginning, for people: the day, and the time where slots are shorter."""
    here: int = 0
    """Bytes sent that were here."""
    upstream: int = 0
    """Bytes sent as they came from an upstream."""
    downloads: float = 0
    asked: float = 0
    spared: float = 0
    levels: Mapping[str, float] = field(default_factory=dict)
    """How much there was at its end, as far as that was noted in this range."""

    @property
    def hit_rate(self) -> float | None:
        """The share that upstreams did not have to send; None where nothing was asked."""
        return self.spared / self.asked if self.asked else None

    def add(self, moment: Moment) -> None:
        """A period of it."""
        for name, value in moment.counts.items():
            what, _, labels = name.partition(" ")
            last = labels.rpartition(" ")[2]
            if what == "served":
                if last == "here":
                    self.here += int(value)
                else:
                    self.upstream += int(value)
            elif what == "downloads":
                self.downloads += value
            elif what == "cache" and last in ASKED_FOR:
                self.asked += value
                if last in WITHOUT_UPSTREAM:
                    self.spared += value
        self.levels = moment.levels or self.levels


@dataclass(frozen=True, slots=True)
class Traffic:
    """A chart of what was sent."""

    range: Range
    slots: Sequence[Slot]
    bars: Bars

    @property
    def is_empty(self) -> bool:
        """Whether nothing was sent."""
        return not any(one.here or one.upstream for one in self.slots)

    @property
    def labels(self) -> Sequence[Slot | None]:
        """Of the axis of time: for each stretch that has room for one, the slot that its label names. At most
        five of them."""
        places: list[Slot | None] = [*self.slots[:: self.range.labelled]]
        if len(places) > MOST_LABELS:
            places[1::2] = [None] * (len(places) // 2)
        return places


async def traffic_over(catalog: History, chosen: Range, now: float) -> Traffic:
    """The traffic of a range. Raises StorageFailed."""
    slots = await slots_of(catalog, chosen, now)
    return Traffic(chosen, slots, stack([(one.here, one.upstream) for one in slots]))


async def last_day(catalog: History, now: float) -> Mapping[str, Sequence[str]]:
    """Lines of the last day, by hours: how much there was, what was sent, how much of it was here. Raises
    StorageFailed."""
    slots = await slots_of(catalog, Range("", HOUR, HOUR, 24, 0, HOUR), now)
    return {
        **{name: line([one.levels.get(name) for one in slots]) for name in (ARTIFACTS, STORED)},
        "served": line([one.here + one.upstream for one in slots]),
        "hits": line([one.hit_rate for one in slots]),
    }


async def slots_of(catalog: History, chosen: Range, now: float) -> list[Slot]:
    """What was noted in each slot of a range, the oldest first. Raises StorageFailed."""
    start = chosen.start(now)
    end = start + chosen.slots * chosen.step
    slots = [Slot(at, _when(at, chosen.step)) for at in range(start, end, chosen.step)]
    for moment in await catalog.read_history(chosen.length, start, end):
        slots[(moment.at - start) // chosen.step].add(moment)
    for before, one in pairwise(slots):
        one.levels = {**before.levels, **one.levels}  # nothing is noted while nothing changes
    return slots


def _when(at: int, step: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):{'%Y-%m-%d' if step >= DAY else '%Y-%m-%d %H:%M'}}"
