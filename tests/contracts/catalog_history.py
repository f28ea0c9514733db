"""What a catalog keeps of what was counted."""

from __future__ import annotations

from nora.catalog.base import Catalog
from nora.catalog.history import DAY, HOUR, KEPT, TEN_MINUTES
from tests.contracts.catalog import CatalogFixtures

NOON = 1_800_000_000 // DAY * DAY + 12 * HOUR


class HistoryContract(CatalogFixtures):
    """The suite of nora.catalog.history.History."""

    async def test_what_is_new_is_added_to_each_period_once(self, catalog: Catalog) -> None:
        assert await catalog.total_history() is None
        for server, counted, now in (
            ("a", {"x": 3, "y": 1}, NOON + 5),
            ("a", {"x": 3, "y": 1}, NOON + 6),  # another process says the same
            ("a", {"x": 2}, NOON + 7),  # or what it had seen earlier
            ("a", {"x": 5, "y": 1}, NOON + TEN_MINUTES),
            ("b", {"x": 2}, NOON + HOUR),  # the next server counts from the start
        ):
            await catalog.record_history(server, counted, {"stored": counted["x"]}, now)
        ten = await catalog.read_history(TEN_MINUTES, NOON, NOON + DAY)
        assert [(one.at - NOON, one.counts, one.levels) for one in ten] == [
            (0, {"x": 3, "y": 1}, {"stored": 2}),
            (TEN_MINUTES, {"x": 2}, {"stored": 5}),
            (HOUR, {"x": 2}, {"stored": 2}),
        ]
        hours = await catalog.read_history(HOUR, NOON, NOON + HOUR)
        assert [(one.at, one.counts, one.levels) for one in hours] == [
            (NOON, {"x": 5, "y": 1}, {"stored": 5})
        ]
        (day,) = await catalog.read_history(DAY, NOON - DAY, NOON + DAY)
        ever = await catalog.total_history()
        assert ever is not None
        assert (day.counts, day.at) == ({"x": 7, "y": 1}, NOON - 12 * HOUR)
        assert (ever.counts, ever.at) == (day.counts, NOON + 5)

    async def test_periods_are_bounded_by_their_number(self, catalog: Catalog) -> None:
        most = KEPT[TEN_MINUTES]
        for number in range(most + 30):
            await catalog.record_history("a", {"x": number}, {}, NOON + number * TEN_MINUTES)
        ten = await catalog.read_history(TEN_MINUTES, 0, NOON + DAY * 9)
        assert (len(ten), ten[-1].at) == (most, NOON + (most + 29) * TEN_MINUTES)

    async def test_a_clock_that_jumps_takes_nothing_with_it(self, catalog: Catalog) -> None:
        """Forth and back by years: what was, and what comes after, is where it belongs."""
        at = 0
        for number, offset in enumerate((0, 1, 2, 900 * DAY, 901 * DAY, 3, -900 * DAY, 4)):
            at = NOON + offset * (TEN_MINUTES if abs(offset) < DAY else 1)
            await catalog.record_history("a", {"x": number + 1}, {}, at)
        found = await catalog.read_history(TEN_MINUTES, NOON, at + 1)
        assert [one.counts["x"] for one in found] == [1] * 5
        ever = await catalog.total_history()
        assert ever is not None
        assert ever.counts == {"x": 8}
