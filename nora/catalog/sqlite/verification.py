"""Looking whether what the rows say is so."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

import orjson

from nora.catalog.sqlite import queries
from nora.catalog.sqlite.engine import LISTING_CACHE, Connection, connect_reader, translate
from nora.catalog.sqlite.executor import Executor
from nora.catalog.sqlite.rows import blob_of
from nora.catalog.verification import BlobUse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nora.catalog.records import Blob

MEASURE_BLOBS: Final = "SELECT count(*), coalesce(sum(size), 0) FROM blob WHERE state = 'live'"

LIST_BLOBS: Final = """
SELECT id, digest, size, generation, 0.0 FROM blob
WHERE id > ? AND state = 'live' AND (verified_at IS NULL OR verified_at < ?) ORDER BY id LIMIT ?"""

LIST_SHARD: Final = """
SELECT id, digest, size, generation, 0.0 FROM blob
WHERE state = 'live' AND digest >= ? AND digest < ? ORDER BY digest"""

NOTE_VERIFIED: Final = """
UPDATE blob SET verified_at = ? WHERE (id, generation) IN (
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))"""

FILES_WITHOUT_BLOB: Final = """
SELECT repository.name, file.path FROM file CROSS JOIN repository ON repository.id = file.repository_id
LEFT JOIN blob ON blob.id = file.blob_id
WHERE blob.id IS NULL OR blob.state <> 'live' OR blob.size <> file.size LIMIT ?"""


class Verification(Executor):
    """The methods of nora.catalog.verification.Verification. What is read is read in threads."""

    async def measure_blobs(self) -> tuple[int, int]:
        def read() -> tuple[int, int]:
            count, size = self._listings.execute(MEASURE_BLOBS).fetchone()
            return count, size

        return await self._in_thread(read)

    async def list_blobs(self, after: int, limit: int, *, verified_before: float) -> list[Blob]:
        def read() -> list[Blob]:
            rows = self._listings.execute(LIST_BLOBS, (after, verified_before, limit)).fetchall()
            return [blob_of(*row) for row in rows]

        return await self._in_thread(read)

    async def list_shard(self, shard: str) -> list[Blob]:
        first = f"sha256:{shard}"

        def read() -> list[Blob]:
            # `g` comes after every digit
            return [blob_of(*row) for row in self._listings.execute(LIST_SHARD, (first, f"{first}g"))]

        return await self._in_thread(read)

    async def note_verified(self, blobs: Sequence[Blob], at: float) -> None:
        if blobs:
            pairs = orjson.dumps([(one.id, one.generation) for one in blobs]).decode()
            await self._write(lambda db: db.execute(NOTE_VERIFIED, (at, pairs)).rowcount, durable=False)

    async def list_blob_uses(self, blob: Blob, limit: int) -> list[BlobUse]:
        def read() -> list[BlobUse]:
            files = self._listings.execute(f"{queries.LIST_BLOB_FILES} LIMIT ?", (blob.id, limit)).fetchall()
            uses = [BlobUse(repository, package, path) for repository, path, package in files]
            known = {(one.repository_id, one.package) for one in uses}
            holders = self._listings.execute(queries.LIST_BLOB_HOLDERS, (blob.id, limit)).fetchall()
            held = [(number, name) for number, name in holders if (number, name) not in known]
            return [*uses, *(BlobUse(number, name, None) for number, name in held)]

        return await self._in_thread(read)

    async def check_rows(self, limit: int) -> list[str]:
        # It reads all of the catalog: listings do not wait for it
        return await asyncio.to_thread(_check, self._path, limit)


def _check(path: Path, limit: int) -> list[str]:
    try:
        with closing(connect_reader(path, LISTING_CACHE)) as db:
            return _problems(db, limit)
    except sqlite3.Error as error:
        raise translate(error) from error


def _problems(db: Connection, limit: int) -> list[str]:
    problems = [
        f"the catalog is damaged: {said}"
        for (said,) in db.execute(f"PRAGMA integrity_check({limit})")
        if said != "ok"
    ]
    for table, row, parent, _ in db.execute("PRAGMA foreign_key_check").fetchmany(limit):
        problems.append(f"the row {row} of {table} leads to no row of {parent}")
    for repository, path in db.execute(FILES_WITHOUT_BLOB, (limit,)):
        problems.append(f"the file {path} of {repository} is of a blob that is not there, or of another size")
    return problems[:limit]
