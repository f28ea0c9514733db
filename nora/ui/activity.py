"""What has happened: the page, and the last of it on the first page."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nora.errors import NotFound
from nora.events.api import read_wish
from nora.model import EVENT_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blacksheep import Response

    from nora.events.feed import Feed, Told, Wish
    from nora.ui.shelves import Shelf, Shelves
    from nora.ui.visit import Visit

PAGE: Final = 50
LAST: Final = 20
_GONE: Final = frozenset({"deleted", "purged", "untagged"})


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """A row of the table."""

    told: Told
    shelf: Shelf | None
    """Its format, where that is served."""
    address: str
    """The page of what it is about; empty where there may be none."""

    @property
    def name(self) -> str:
        """What it is about."""
        event = self.told.event
        return event.package or event.path or event.digest[:19]


class Activity:
    """The page."""

    def __init__(self, shelves: Shelves, feed: Feed) -> None:
        self._shelves = shelves
        self._feed = feed

    async def page(self, visit: Visit) -> Response:
        """The answer. Raises BadRequest."""
        wish = read_wish(visit)
        found = await self._feed.read(visit.principal, wish, PAGE)
        listed = [
            one for shelf in self._shelves.all() for one in self._shelves.listed(visit.principal, shelf)
        ]
        asked = {"kind": wish.kinds, "format": wish.format, "repository": wish.repository, "user": wish.user}
        return visit.page(
            "activity.html",
            events=self._shown(found.events),
            next_before=found.next if wish.after is None else None,
            wish=wish,
            query={**asked, "kind": wish.kinds[0] if wish.kinds else ""},
            is_filtered=any(asked.values()),
            kinds=[(one, one) for one in EVENT_KINDS],
            formats=[(one.format.name, one.format.title) for one in self._shelves.all()],
            repositories=[(one.name, one.name) for one in listed],
            knows_who=not visit.principal.is_anonymous,
        )

    async def last(self, visit: Visit, wish: Wish) -> Sequence[ShownEvent]:
        """The last of it, for another page."""
        return self._shown((await self._feed.read(visit.principal, wish, LAST)).events)

    def _shown(self, events: Sequence[Told]) -> list[ShownEvent]:
        return [self._row(one) for one in events]

    def _row(self, told: Told) -> ShownEvent:
        shelf, event = None, told.event
        with suppress(NotFound):
            shelf = self._shelves.shelf(event.format)
        if shelf is None or told.repository is None or event.kind in _GONE:
            return ShownEvent(told, shelf, "")
        if shelf.format.browse.is_directory:
            return ShownEvent(told, shelf, f"files/{told.repository.name}/{event.path or event.package}")
        return ShownEvent(
            told, shelf, f"packages/{told.repository.name}/{event.package}" if event.package else ""
        )
