"""Upload sessions."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

import orjson

from nora.catalog.records import Upload
from nora.catalog.sqlite import queries, upload_queries
from nora.catalog.sqlite.executor import Executor
from nora.catalog.sqlite.packages import ensure_package
from nora.catalog.sqlite.quotas import check_not_full
from nora.catalog.sqlite.read_cache import ReadCache, slot_of
from nora.catalog.sqlite.rows import upload_of
from nora.errors import TooManyRequests

if TYPE_CHECKING:
    from nora.catalog.sqlite.engine import Connection

_RETRY_SECONDS = 10
_AHEAD_SECONDS = 86_400
"""Progress so far in the future was noted by a clock that was wrong: nobody knows how long ago."""
RECENT_SESSIONS = 1024
"""That a process remembers: the next request of a session often comes to the one that has opened it."""


class Uploads(Executor):
    """The methods of nora.catalog.uploads.Uploads."""

    async def open_upload(
        self,
        upload_id: str,
        repository_id: int,
        package: str,
        algorithm: str,
        limit: int,
        owner: str = "",
        owner_limit: int = 0,
    ) -> Upload:
        def change(db: Connection) -> Upload:
            check_room(db, limit, owner, owner_limit)
            check_not_full(db, repository_id)
            return open_upload(db, upload_id, repository_id, package, algorithm, owner)

        key = session_key(upload_id)
        slot = slot_of(*key)
        epoch = self._epochs[slot]
        opened = await self._write(
            change,
            (repository_id, package),
            durable=False,
        )
        self._recent_uploads.put(key, slot, epoch, opened)  # whoever changes it moves the epoch
        return opened

    async def find_upload(self, upload_id: str) -> Upload | None:
        key = session_key(upload_id)
        return self._cached_read(
            self._recent_uploads, key, upload_queries.FIND_UPLOAD, (upload_id,), upload_of
        )

    async def save_upload(self, upload_id: str, offset: int, hashes: dict[str, str]) -> bool:
        return await self._write(
            lambda db: save_upload(db, upload_id, offset, hashes), session_key(upload_id), durable=False
        )

    async def close_upload(self, upload_id: str) -> bool:
        return await self._write_found(lambda db, slots: abandon_upload(db, slots, upload_id), durable=False)

    async def count_uploads(self) -> int:
        count: int = self._rows(upload_queries.COUNT_UPLOADS, ())[0][0]
        return count

    async def list_idle_uploads(self, idle_seconds: float, limit: int) -> list[Upload]:
        now = time.time()
        rows = self._rows(upload_queries.LIST_IDLE_UPLOADS, (now - idle_seconds, limit))
        rows += self._rows(upload_queries.LIST_UPLOADS_AHEAD, (now + _AHEAD_SECONDS, limit - len(rows)))
        return [upload_of(*row) for row in rows]

    @cached_property
    def _recent_uploads(self) -> ReadCache[Upload]:
        return ReadCache(self._epochs, RECENT_SESSIONS, keeps_absence=False)


def session_key(upload_id: str) -> tuple[int, str]:
    """What a change of a session touches, in the place of a package: no repository has the id 0."""
    return 0, upload_id


# -- inside of a transaction -------------------------------------------------------------------------------


def check_room(db: Connection, limit: int, owner: str, owner_limit: int) -> None:
    """Whether one more session may be opened. Raises TooManyRequests."""
    if db.execute(upload_queries.COUNT_UPLOADS).fetchone()[0] >= limit:
        raise TooManyRequests(f"all {limit} upload sessions are in use", _RETRY_SECONDS)
    if owner and db.execute(upload_queries.COUNT_UPLOADS_OF_OWNER, (owner,)).fetchone()[0] >= owner_limit:
        raise TooManyRequests(
            f"all {owner_limit} upload sessions that one user may have open are in use", _RETRY_SECONDS
        )


def open_upload(
    db: Connection, upload_id: str, repository_id: int, package: str, algorithm: str, owner: str
) -> Upload:
    """See Catalog.open_upload."""
    now = time.time()
    package_id = ensure_package(db, repository_id, package, now, opened=True)
    db.execute(upload_queries.INSERT_UPLOAD, (upload_id, package_id, algorithm, "{}", now, now, owner))
    return Upload(upload_id, repository_id, package, algorithm, 0, {}, now)


def save_upload(db: Connection, upload_id: str, offset: int, hashes: dict[str, str]) -> bool:
    """See Catalog.save_upload."""
    values = (offset, orjson.dumps(hashes).decode(), time.time(), upload_id)
    return bool(db.execute(upload_queries.SAVE_UPLOAD, values).rowcount)


def close_upload(db: Connection, upload_id: str) -> int | None:
    """Forget a session that has brought what it was for; the id of its package, None when there was none."""
    row = db.execute(upload_queries.DELETE_UPLOAD, (upload_id,)).fetchone()
    return row[0] if row else None


def abandon_upload(db: Connection, slots: set[int], upload_id: str) -> bool:
    """See Catalog.close_upload."""
    slots.add(slot_of(*session_key(upload_id)))
    package = close_upload(db, upload_id)
    if package is None:
        return False
    gone = db.execute(queries.DELETE_OPENED_PACKAGE, (package,)).fetchone()
    if gone is not None:
        slots.add(slot_of(*gone))
    return True
