"""Events: a row for what a change does, in its own transaction.

A change runs in the context of who asked for it (see nora.catalog.sqlite.writer), so who that is need not be
handed to each function that changes something.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from posixpath import commonpath
from typing import TYPE_CHECKING, Final

import orjson

from nora.catalog.events import CAUSE, Event
from nora.catalog.sqlite import event_queries
from nora.catalog.sqlite.executor import Executor

if TYPE_CHECKING:
    from nora.catalog.events import EventFilter
    from nora.catalog.sqlite.engine import Connection

LAST_ID: Final = 2**63 - 1
MOST_PRUNED: Final = 2000
"""In one transaction: others wait for it."""
LONGEST_TEXT: Final = 200
MOST_TAGS: Final = 20


class Events(Executor):
    """The methods of nora.catalog.events.Events."""

    async def list_events(self, wanted: EventFilter, limit: int) -> list[Event]:
        forwards = wanted.after is not None
        query = event_queries.LIST_NEXT_EVENTS if forwards else event_queries.LIST_NEWEST_EVENTS
        values = (
            wanted.after or 0,
            LAST_ID if forwards or not wanted.before else wanted.before,
            orjson.dumps(wanted.kinds).decode(),
            orjson.dumps(wanted.repository_ids).decode(),
            wanted.user,
            limit,
        )

        def read() -> list[Event]:
            return [event_of(*row) for row in self._listings.execute(query, values).fetchall()]

        return await self._in_thread(read)

    async def latest_event(self) -> int:
        row = self._row(event_queries.LATEST_EVENT, ())
        assert row is not None, "an aggregate always has one"
        latest: int = row[0]
        return latest

    async def prune_events(self, keep: int, keep_cached: int, since: float) -> int:
        def read() -> list[tuple[int]]:
            db = self._listings
            first = db.execute(event_queries.FIRST_SINCE, (since,)).fetchone()
            nth = [
                db.execute(event_queries.NTH_NEWEST, (is_cached, count)).fetchone()
                for is_cached, count in ((True, keep_cached), (False, keep))
            ]
            values = (first[0] if first else LAST_ID, *(row[0] if row else 0 for row in nth), MOST_PRUNED)
            return db.execute(event_queries.LIST_OLD_EVENTS, values).fetchall()

        old = await self._in_thread(read)
        if not old:
            return 0
        return await self._write(
            lambda db: db.executemany(event_queries.DELETE_EVENT, old).rowcount, durable=False
        )


# -- inside of a transaction -------------------------------------------------------------------------------


def record(
    db: Connection,
    kind: str,
    repository_id: int | None,
    package: str | None = None,
    version: str | None = None,
    *,
    path: str = "",
    digest: str = "",
    size: int = 0,
    files: int = 0,
    tags: Iterable[str] = (),
    reason: str = "",
    format_name: str = "",
) -> None:
    """Write an event of who wants this change. `format_name` is said where no repository is."""
    user, method, request_id = CAUSE.get()()
    if not user.isascii():  # a file of users may have names that are no text
        user = user.encode("utf-8", "replace").decode()
    detail: dict[str, object] = {}
    if tags:
        detail["tags"] = [*tags][:MOST_TAGS]
    if files > 1:
        detail["files"] = files
    if reason:
        detail["reason"] = reason[:LONGEST_TEXT]
    if format_name:
        detail["format"] = format_name
    db.execute(
        event_queries.INSERT_EVENT,
        (
            time.time(),
            kind,
            repository_id,
            package or "",
            version or "",
            path,
            digest,
            size,
            orjson.dumps(detail).decode() if detail else None,
            *(user, method, request_id),
        ),
    )


def common_directory(paths: Iterable[str]) -> str:
    """The longest directory that all paths are in, without a slash at its end; empty for the root."""
    return commonpath([path.rpartition("/")[0] for path in paths])


def event_of(
    id: int,  # noqa: A002
    at: float,
    kind: str,
    repository_id: int | None,
    repository: str,
    format_name: str,
    package: str,
    version: str,
    path: str,
    digest: str,
    size: int,
    detail: str | None,
    user: str,
    method: str,
    request_id: str,
) -> Event:
    """An event of the columns that the listing selects."""
    more = orjson.loads(detail) if detail else {}
    return Event(
        id=id,
        at=at,
        kind=kind,
        repository_id=repository_id,
        repository=repository,
        format=more.get("format", format_name),
        package=package,
        version=version,
        path=path,
        digest=digest,
        size=size,
        files=more.get("files", 0),
        tags=tuple(more.get("tags", ())),
        reason=more.get("reason", ""),
        user=user,
        method=method,
        request_id=request_id,
    )
