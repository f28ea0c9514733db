"""What the server was asked for, and held, over a range of time: what the charts of the first page show.

GET /api/v1/history?range=day|week|month|year
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal, TypedDict, cast

from nora.errors import BadRequest
from nora.http.fields import json_endpoint
from nora.http.operations import Parameter
from nora.observability.history import ARTIFACTS, STORED
from nora.ui.history import RANGES, slots_of

if TYPE_CHECKING:
    from nora.api.call import Call
    from nora.catalog.history import History
    from nora.http.router import Endpoint
    from nora.ui.history import Slot
    from nora.ui.shelves import Shelves

RangeName = Literal["day", "week", "month", "year"]
_QUERY: Final = (
    Parameter("range", "`day`, `week`, `month` or `year`, ending now; `day`, if nothing is said"),
)


class SlotShown(TypedDict):
    """A part of the range."""

    at: int
    """When it began, in seconds since the epoch."""
    served_here_bytes: int
    """Sent to clients, of what was here."""
    served_upstream_bytes: int
    """Sent to clients as it came from an upstream."""
    downloads: int
    hit_rate: float | None
    """The share, of 1, that upstreams did not have to send; null where nothing was asked."""
    artifacts: int | None
    """How many there were; null where that is not known."""
    stored_bytes: int | None
    """What is stored once, however often it is held; null where that is not known."""


class HistoryShown(TypedDict):
    """The past. What is null is for those who may read all of the server."""

    range: RangeName
    slot_seconds: int
    slots: list[SlotShown] | None
    """The oldest first; the last one is not over."""


class HistoryApi:
    """The endpoint."""

    def __init__(self, history: History, shelves: Shelves) -> None:
        self._history = history
        self._shelves = shelves

    def endpoints(self) -> Iterator[Endpoint[Call]]:
        """For whoever may ask."""
        yield json_endpoint("GET HEAD", "/api/v1/history", "read", HistoryShown, self._show, query=_QUERY)

    async def _show(self, call: Call) -> HistoryShown:
        """What the server was asked for, and held, over a range of time."""
        name = call.parameter("range") or "day"
        chosen = RANGES.get(name)
        if chosen is None:
            raise BadRequest(f"range is one of {', '.join(RANGES)}")
        slots = None
        if self._shelves.may_see_server(call.principal):
            now = time.time()
            slots = [_shown(one) for one in await slots_of(self._history, chosen, now) if one.at <= now]
        return {"range": cast("RangeName", name), "slot_seconds": chosen.step, "slots": slots}


def _shown(slot: Slot) -> SlotShown:
    artifacts, stored = slot.levels.get(ARTIFACTS), slot.levels.get(STORED)
    return {
        "at": slot.at,
        "served_here_bytes": slot.here,
        "served_upstream_bytes": slot.upstream,
        "downloads": int(slot.downloads),
        "hit_rate": slot.hit_rate,
        "artifacts": None if artifacts is None else int(artifacts),
        "stored_bytes": None if stored is None else int(stored),
    }
