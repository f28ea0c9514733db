"""Collection: blobs that nothing needs."""

from __future__ import annotations

from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, Any

import orjson

from nora.catalog.collection import UnneededPage, UnusedPage, UsedBytes
from nora.catalog.sqlite import collection_queries as queries
from nora.catalog.sqlite.admin_queries import LIST_NEEDED
from nora.catalog.sqlite.blobs import find_blob, let_go
from nora.catalog.sqlite.executor import Executor
from nora.catalog.sqlite.files import delete_file, find_occupant
from nora.catalog.sqlite.packages import find_id
from nora.catalog.sqlite.queries import IS_PROXY
from nora.catalog.sqlite.read_cache import slot_of
from nora.catalog.sqlite.reader_thread import ReaderThread
from nora.catalog.sqlite.rows import blob_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nora.catalog.records import Blob
    from nora.catalog.sqlite.engine import Connection
    from nora.model import Digest


class Collection(Executor):
    """The methods of nora.catalog.collection.Collection. All is read in a thread of its own."""

    async def list_unneeded(
        self, after: int, limit: int, *, created_before: float, now: float
    ) -> UnneededPage:
        values = {"after": after, "limit": limit, "created_before": created_before, "now": now}

        def read(rows: Connection) -> UnneededPage:
            found, reached, last, has_loose = rows.execute(queries.LIST_UNNEEDED, values).fetchone()
            blobs = tuple(blob_of(*row) for row in orjson.loads(found))
            return UnneededPage(blobs, after if reached is None else reached, last or 0, bool(has_loose))

        return await self._collecting.read(read)

    async def doom_blobs(self, blobs: Sequence[Blob], *, created_before: float, now: float) -> list[Blob]:
        values = {"ids": _ids(blobs), "created_before": created_before, "now": now}
        return await self._write_found(lambda db, slots: doom(db, slots, values)) if blobs else []

    async def release_links(self, after: int, upto: int, *, created_before: float) -> int:
        values = {"after": after, "upto": upto, "created_before": created_before}
        return await self._write_found(lambda db, slots: release_links(db, slots, values))

    async def list_doomed(self, doomed_before: float, limit: int) -> list[Blob]:
        def read(rows: Connection) -> list[Blob]:
            found = rows.execute(queries.LIST_DOOMED, (doomed_before, limit)).fetchall()
            return [blob_of(*row) for row in found]

        return await self._collecting.read(read)

    async def count_doomed(self) -> tuple[int, int]:
        def read(rows: Connection) -> tuple[int, int]:
            count, size = rows.execute(queries.COUNT_DOOMED).fetchone()
            return count, size

        return await self._collecting.read(read)

    async def remove_doomed(self, blobs: Sequence[Blob]) -> None:
        if blobs:
            await self._write(lambda db: db.execute(queries.REMOVE_DOOMED, (_ids(blobs),)).rowcount)

    async def find_objects(self, objects: Sequence[tuple[Digest, int]]) -> set[tuple[Digest, int]]:
        text = orjson.dumps(objects).decode()

        def read(rows: Connection) -> set[tuple[Digest, int]]:
            found = rows.execute(queries.FIND_OBJECTS, (text,)).fetchone()[0]
            return {objects[index] for index in orjson.loads(found)}

        return await self._collecting.read(read)

    async def list_proxies(self) -> list[int]:
        return [number for (number,) in self._rows(queries.LIST_PROXIES, ())]

    async def sum_cached(self, period: int) -> list[UsedBytes]:
        def read(rows: Connection) -> list[UsedBytes]:
            return [UsedBytes(*row) for row in rows.execute(queries.SUM_CACHED, (period,)).fetchall()]

        return await self._collecting.read(read)

    async def list_unused(
        self, repository_id: int, after: str, limit: int, *, unused_since: float
    ) -> UnusedPage:
        values = (repository_id, after, limit, unused_since)

        def read(rows: Connection) -> UnusedPage:
            paths, last, count = rows.execute(queries.LIST_UNUSED, values).fetchone()
            return UnusedPage(tuple(orjson.loads(paths)), last if count == limit else None)

        return await self._collecting.read(read)

    async def drop_unused(
        self, repository_id: int, paths: Sequence[str], *, unused_since: float, now: float
    ) -> list[Blob]:
        return await self._write_found(
            lambda db, slots: drop_unused(db, slots, repository_id, paths, unused_since, now)
        )

    async def close(self) -> None:
        if (thread := vars(self).pop("_collecting", None)) is not None:
            await thread.close()
        await super().close()

    @cached_property
    def _collecting(self) -> ReaderThread:
        return ReaderThread(self._path, "catalog-collection")


def _ids(blobs: Sequence[Blob]) -> str:
    return orjson.dumps([one.id for one in blobs]).decode()


# -- inside of a transaction -------------------------------------------------------------------------------


def doom(db: Connection, slots: set[int], values: dict[str, Any]) -> list[Blob]:
    """See Collection.doom_blobs. What packages are known to hold is not true any more."""
    doomed = [blob_of(*row) for row in db.execute(queries.DOOM, values).fetchall()]
    for one in doomed:
        holders = db.execute(queries.DELETE_LINKS, (one.id,)).fetchall()
        slots |= {slot_of(repository_id, package) for repository_id, package in holders}
    return doomed


def release_links(db: Connection, slots: set[int], values: dict[str, Any]) -> int:
    """See Collection.release_links."""
    holders = db.execute(queries.RELEASE_LINKS, values).fetchall()
    slots |= {slot_of(repository_id, package) for repository_id, package in holders}
    return len(holders)


def drop_unused(
    db: Connection,
    slots: set[int],
    repository_id: int,
    paths: Sequence[str],
    unused_since: float,
    now: float,
) -> list[Blob]:
    """See Collection.drop_unused."""
    if find_id(db, IS_PROXY, (repository_id,)) is None:
        raise ValueError("only what came from an upstream is dropped")
    let_go_of: set[int] = set()
    for path in paths:
        occupant = find_occupant(db, repository_id, path)
        if occupant is None or find_id(db, queries.IS_UNUSED, (occupant.id, unused_since)) is None:
            continue
        needed = db.execute(LIST_NEEDED, (occupant.version_id,)).fetchall()
        delete_file(db, slots, repository_id, path, occupant)
        let_go_of.add(occupant.blob_id)
        for (digest,) in needed:
            blob = find_blob(db, digest)
            if blob is not None and occupant.package_id is not None:
                let_go(db, occupant.package_id, blob[0])
                let_go_of.add(blob[0])
    # What another package still holds waits for its own time
    alone = [one for one in let_go_of if find_id(db, queries.HAS_LINKS, (one,)) is None]
    ids = orjson.dumps(alone).decode()
    return doom(db, slots, {"ids": ids, "created_before": inf, "now": now})
