"""Events: what has happened to artifacts, who did it, and when.

The row of an event is written in the transaction that changes what it tells of: what was acknowledged has its
event, whatever happens next, and what was rolled back has none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol


class Cause(NamedTuple):
    """Who wants a change."""

    user: str = ""
    """Empty: nobody, as of what is done from time to time."""
    method: str = ""
    """How that is known: as `nora.model.Principal.method`, or `command`."""
    request_id: str = ""


NOBODY: Final = Cause()


def _nobody() -> Cause:
    return NOBODY


CAUSE: ContextVar[Callable[[], Cause]] = ContextVar("nora.cause", default=_nobody)
"""Who wants what is done in this context. It is asked when an event is written: who sends a request is known
later than the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One of them."""

    id: int
    """Grows with every event of a catalog, in the order of the changes."""
    at: float
    """Seconds since the epoch."""
    kind: str
    repository_id: int | None = None
    """Of the row that was changed; None where it was not in one repository."""
    repository: str = ""
    """As that row is called: see `nora.model.RepositorySpec.source_name`."""
    format: str = ""
    package: str = ""
    version: str = ""
    path: str = ""
    """Of the file, of the first of several of a version; of the directory that several others are in."""
    digest: str = ""
    """Of that file."""
    size: int = 0
    """Bytes of the files together; 0 where that is not known."""
    files: int = 0
    """How many, where they are several."""
    tags: tuple[str, ...] = ()
    reason: str = ""
    user: str = ""
    method: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events are wanted; what is empty does not count."""

    kinds: Sequence[str] = ()
    repository_ids: Sequence[int] = ()
    user: str = ""
    before: int = 0
    """Those with lower ids, the newest first."""
    after: int | None = None
    """Those with higher ids, the oldest first; not together with `before`."""


class Events(Protocol):
    """The rows of events. See nora.catalog.base for what holds for all methods."""

    async def list_events(self, wanted: EventFilter, limit: int) -> list[Event]:
        """The newest first, unless `after` is said. In a reader thread."""
        ...

    async def latest_event(self) -> int:
        """The id of the newest; 0 where there is none. Point lookup."""
        ...

    async def prune_events(self, keep: int, keep_cached: int, since: float) -> int:
        """Remove those before `since`, and all but the last `keep` - of those that tell what was cached, all
        but the last `keep_cached` - some thousands at most; how many. The newest of all stays: no id is given
        twice."""
        ...
