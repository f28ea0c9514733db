"""What proxy repositories hold of their upstreams."""

from __future__ import annotations

import time
from functools import cached_property
from math import isinf
from typing import TYPE_CHECKING

import orjson

from nora.catalog.records import Blob, Cached
from nora.catalog.sqlite import queries
from nora.catalog.sqlite.blobs import digests_of, ensure_blob, link
from nora.catalog.sqlite.events import record
from nora.catalog.sqlite.executor import Executor, file_slot
from nora.catalog.sqlite.files import Occupant, delete_file, find_occupant, release_former
from nora.catalog.sqlite.packages import ensure_package, find_id
from nora.catalog.sqlite.read_cache import RECENT_ANSWERS, ReadCache
from nora.catalog.sqlite.rows import blob_of, cached_of
from nora.catalog.sqlite.versions import ensure_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nora.catalog.records import NewCached
    from nora.catalog.sqlite.engine import Connection


class CachedFiles(Executor):
    """The methods of nora.catalog.cached.CachedFiles."""

    async def find_cached(self, repository_id: int, path: str) -> Cached | None:
        return self._cached_read_at(self._recent_cached, repository_id, path, queries.FIND_CACHED, cached_of)

    async def put_cached(self, repository_id: int, entry: NewCached, lease_seconds: float) -> Blob:
        blocks = self.blocks()
        blocks.check(repository_id, entry.package, (entry.version,), digests_of(entry.blob))
        return await self._write_found(
            lambda db, slots: put_cached(db, slots, repository_id, entry, lease_seconds),
            known=self._slots_of_digests(entry.blob),
            durable=False,
        )

    async def touch_cached(
        self,
        repository_id: int,
        path: str,
        *,
        validators: Mapping[str, str] | None,
        fetched_at: float,
        fresh_until: float,
    ) -> bool:
        columns = (None if validators is None else _json(validators), fetched_at, _until(fresh_until))
        return await self._write_found(
            lambda db, slots: touch_cached(db, slots, repository_id, path, columns), durable=False
        )

    async def drop_cached(
        self,
        repository_id: int,
        path: str,
        *,
        holding: Blob | None = None,
        unused_since: float | None = None,
    ) -> bool:
        return await self._write_found(
            lambda db, slots: drop_cached(db, slots, repository_id, path, holding, unused_since)
        )

    async def note_file_uses(self, uses: Mapping[int, float]) -> None:
        if uses:  # no epoch moves: when a file was last used is no reason to read it again
            batch = [(when, file_id, when) for file_id, when in uses.items()]
            await self._write(lambda db: db.executemany(queries.NOTE_FILE_USE, batch).rowcount, durable=False)

    async def list_idle_cached(self, repository_id: int, unused_since: float, limit: int) -> list[str]:
        values = (repository_id, unused_since, unused_since, limit)
        return [path for (path,) in self._rows(queries.LIST_IDLE_CACHED, values)]

    @cached_property
    def _recent_cached(self) -> ReadCache[Cached]:
        return ReadCache(self._epochs, RECENT_ANSWERS)


def _json(validators: Mapping[str, str]) -> str:
    return orjson.dumps(dict(validators)).decode()


def _until(fresh_until: float) -> float | None:
    """As the column has it: NULL is for good."""
    return None if isinf(fresh_until) else fresh_until


# -- inside of a transaction -------------------------------------------------------------------------------


def put_cached(
    db: Connection, slots: set[int], repository_id: int, entry: NewCached, lease_seconds: float
) -> Blob:
    """See Catalog.put_cached."""
    if find_id(db, queries.IS_PROXY, (repository_id,)) is None:
        raise ValueError(f"{entry.path}: what comes from an upstream is kept in proxy repositories only")
    now = time.time()
    former = find_occupant(db, repository_id, entry.path)
    row = ensure_blob(db, entry.blob, now)
    package = version = None
    is_new = former is None and entry.package in (None, entry.path)
    if entry.package is None:
        blob = blob_of(*row, 0.0)
    else:
        package = ensure_package(db, repository_id, entry.package, now)
        blob = link(db, package, row, now + lease_seconds)
        added = 0
        if entry.version is not None:
            version, added = ensure_version(db, package, entry.version, now)
            is_new = bool(added)
        db.execute(queries.TOUCH_PACKAGE, (added, package))
    checksums = _json(entry.checksums) if entry.checksums else None
    content = (package, version, blob.id, blob.size, entry.media_type, now, entry.document, checksums)
    origin = (entry.upstream_url, _json(entry.validators), entry.fetched_at, _until(entry.fresh_until))
    db.execute(queries.PUT_CACHED, (repository_id, entry.path, *content, *origin, entry.fetched_at))
    slots |= {file_slot(repository_id, entry.path, name) for name in (None, entry.package)}
    if former is not None:
        slots.add(file_slot(repository_id, entry.path, former.package))
        if (former.package_id, former.version_id, former.blob_id) != (package, version, blob.id):
            release_former(db, former)
    if is_new:
        what = (entry.package, entry.version)
        record(db, "cached", repository_id, *what, path=entry.path, digest=blob.digest, size=blob.size)
    return blob


def touch_cached(
    db: Connection, slots: set[int], repository_id: int, path: str, columns: tuple[object, ...]
) -> bool:
    """See Catalog.touch_cached. `columns`: validators (None: as they are), fetched_at, fresh_until."""
    row = db.execute(queries.TOUCH_CACHED, (*columns, repository_id, path)).fetchone()
    if row is None:
        return False
    slots.add(file_slot(repository_id, path, row[0]))
    return True


def drop_cached(
    db: Connection,
    slots: set[int],
    repository_id: int,
    path: str,
    holding: Blob | None,
    unused_since: float | None,
) -> bool:
    """See Catalog.drop_cached."""
    occupant = find_occupant(db, repository_id, path)
    if occupant is None or occupant.fetched_at is None or (holding and holding.id != occupant.blob_id):
        return False
    if unused_since is not None and not _is_idle(db, occupant, unused_since):
        return False
    delete_file(db, slots, repository_id, path, occupant)
    return True


def _is_idle(db: Connection, occupant: Occupant, since: float) -> bool:
    return find_id(db, queries.IS_IDLE_CACHED, (occupant.id, since, since)) is not None
