"""The feed of events: what a visitor may know of what has happened.

Whoever may read an artifact may know what happened to it. Who did it is told to those who are known
themselves. What concerns no repository, or one that is not configured any more, is for administrators.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypedDict

from nora.catalog.events import EventFilter

if TYPE_CHECKING:
    from nora.auth.access import Access
    from nora.catalog.base import Catalog
    from nora.catalog.events import Event
    from nora.model import Principal, Repository

READ_AT_ONCE: Final = 250
MOST_READS: Final = 8
"""For one page: a visitor who may know little gets pages that are shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which events somebody asks for; what is empty does not count."""

    kinds: tuple[str, ...] = ()
    format: str = ""
    repository: str = ""
    """With all that is read through it."""
    user: str = ""
    before: int = 0
    after: int | None = None
    """As of nora.catalog.events.EventFilter."""


class EventShown(TypedDict):
    """Something that has happened. What is not known, or not said, is null."""

    id: int
    """It grows with every event."""
    time: str | None
    kind: str
    format: str | None
    repository: str | None
    package: str | None
    version: str | None
    path: str | None
    digest: str | None
    size: int | None
    files: int | None
    tags: list[str]
    reason: str | None
    user: str | None
    method: str | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """An event as somebody may know it."""

    event: Event
    """Without who did it, where that is not for them."""
    repository: Repository | None
    """Through which they may read what it is about."""

    def render(self) -> EventShown:
        """As JSON has it."""
        return render_event(self.event)


@dataclass(frozen=True, slots=True)
class Page:
    """Some events."""

    events: Sequence[Told]
    next: int | None
    """Where to go on: `before`, or `after`, of the next wish. None: there are no older ones."""


class Feed:
    """The events of a catalog."""

    def __init__(self, catalog: Catalog, repositories: Mapping[str, Repository], access: Access) -> None:
        self._catalog = catalog
        self._repositories = repositories
        self._access = access
        self._places = _places(repositories.values())

    @property
    def is_open(self) -> bool:
        """Whether anybody may know of some."""
        return any(map(self._access.readable_by_all, self._repositories.values()))

    def repositories_of(self, row: int | None) -> Sequence[str]:
        """The names of those through which a row is read."""
        return [one.name for one in self._places.get(row, ())]

    async def read(self, principal: Principal, wish: Wish, limit: int) -> Page:
        """What somebody may know. Raises StorageFailed."""
        found: list[Told] = []
        rows = self._rows(wish)
        forwards = wish.after is not None
        if rows is None or (wish.user and not self._knows_who(principal)):
            return Page((), wish.after)
        wanted = EventFilter(
            kinds=wish.kinds, repository_ids=rows, user=wish.user, before=wish.before, after=wish.after
        )
        for _ in range(MOST_READS):
            events = await self._catalog.list_events(wanted, READ_AT_ONCE)
            for event in events:
                told = self.tell(principal, event)
                if told is None:
                    continue
                found.append(told)
                if len(found) == limit:
                    return Page(found, event.id)
            if len(events) < READ_AT_ONCE:
                last = events[-1].id if events else wanted.after
                return Page(found, last if forwards else None)
            last = events[-1].id
            wanted = replace(wanted, after=last) if forwards else replace(wanted, before=last)
        return Page(found, last)

    def tell(self, principal: Principal, event: Event) -> Told | None:
        """An event as somebody may know it; None where they may not."""
        decide = self._access.decide
        name = event.package or event.path
        places = self._places.get(event.repository_id, ())
        place = next((one for one in places if decide(principal, "read", one, name)), None)
        if place is None and not decide(principal, "admin", None, None):
            return None
        if not self._knows_who(principal):
            event = replace(event, user="", method="", request_id="")
        return Told(event, place)

    def _knows_who(self, principal: Principal) -> bool:
        return not principal.is_anonymous or self._access.decide(principal, "admin", None, None)

    def _rows(self, wish: Wish) -> tuple[int, ...] | None:
        """The rows that are meant, empty for all; None where there can be none."""
        if not wish.format and not wish.repository:
            return ()
        chosen = [
            one
            for name, one in self._repositories.items()
            if wish.repository in ("", name) and wish.format in ("", one.format)
        ]
        return tuple({row for one in chosen for row in _rows_of(one)}) or None


def as_time(moment: float | None) -> str | None:
    """Seconds since the epoch as JSON has them (RFC 3339)."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def render_event(event: Event) -> EventShown:
    """An event as JSON has it; what is not known, or not said, is null."""
    return {
        "id": event.id,
        "time": as_time(event.at),
        "kind": event.kind,
        "format": event.format or None,
        "repository": event.repository.partition(" ")[0] or None,  # without which upstream it was
        "package": event.package or None,
        "version": event.version or None,
        "path": event.path or None,
        "digest": event.digest or None,
        "size": event.size or None,
        "files": event.files or None,
        "tags": [*event.tags],
        "reason": event.reason or None,
        "user": event.user or None,
        "method": event.method or None,
        "request_id": event.request_id or None,
    }


def _rows_of(repository: Repository) -> tuple[int, ...]:
    """What is read through a repository, and itself: blocks are of groups as well."""
    return (repository.id, *repository.row_ids)


def _places(repositories: Iterable[Repository]) -> dict[int | None, tuple[Repository, ...]]:
    """Through which repositories each row is read, groups first: these are what clients name."""
    found: dict[int | None, tuple[Repository, ...]] = {}
    for one in sorted(repositories, key=lambda one: one.kind != "group"):
        for row in _rows_of(one):
            if one not in found.get(row, ()):
                found[row] = (*found.get(row, ()), one)
    return found
