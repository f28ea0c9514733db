"""Packages."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

from nora.catalog.records import Package
from nora.catalog.sqlite import queries
from nora.catalog.sqlite.events import record
from nora.catalog.sqlite.executor import Executor
from nora.catalog.sqlite.read_cache import RECENT_ANSWERS, UNKNOWN, ReadCache, Stamp, slot_of
from nora.catalog.sqlite.rows import package_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nora.catalog.sqlite.engine import Connection


class Packages(Executor):
    """The methods of nora.catalog.packages.Packages."""

    async def has_package(self, repository_id: int, package: str) -> bool:
        return await self.find_package(repository_id, package) is not None

    async def find_package(self, repository_id: int, package: str) -> Package | None:
        key = (repository_id, package)
        return self._cached_read(self._recent_packages, key, queries.GET_PACKAGE, key, package_of)

    async def find_packages(self, keys: Sequence[tuple[int, str]]) -> list[Package | None]:
        known: list[Package | None] = []
        for key in keys:
            answer = self._recent_packages.get(key)
            if answer is UNKNOWN:
                return self._read_packages(keys)
            known.append(answer)
        return known

    def stamp(self, keys: Sequence[tuple[int, str]]) -> Stamp | None:
        return self._epochs.stamp([slot_of(*key) for key in keys])

    def _read_packages(self, keys: Sequence[tuple[int, str]]) -> list[Package | None]:
        known = [self._recent_packages.get(key) for key in keys]
        unknown = [key for key, answer in zip(keys, known, strict=True) if answer is UNKNOWN]
        epochs = {key: self._epochs[slot_of(*key)] for key in unknown}
        values = tuple(part for key in unknown for part in key)
        read = {
            (row[-1], row[1]): package_of(*row[:-1])
            for row in self._rows(queries.find_packages(len(unknown)), values)
        }
        for key, epoch in epochs.items():
            self._recent_packages.put(key, slot_of(*key), epoch, read.get(key))
        return [
            read.get(key) if answer is UNKNOWN else answer for key, answer in zip(keys, known, strict=True)
        ]

    async def find_absences(self, keys: Sequence[tuple[int, str]]) -> set[tuple[int, str]]:
        values = tuple(part for key in keys for part in key)
        return {(row[0], row[1]) for row in self._rows(queries.find_absences(len(keys)), values)}

    async def note_absences(self, keys: Sequence[tuple[int, str]]) -> None:
        rows = [(*key, time.time()) for key in keys]
        await self._write(lambda db: db.executemany(queries.NOTE_ABSENCE, rows).rowcount, durable=False)

    async def list_packages(self, repository_id: int, after: str, limit: int, prefix: str = "") -> list[str]:
        # Nothing sorts between a name and the name with a NUL; names that share a prefix are neighbours.
        start = max(after + "\0", prefix)
        rows = self._rows(queries.LIST_PACKAGES, (repository_id, start, limit))
        return [name for (name,) in rows if name.startswith(prefix)]

    async def list_known_packages(self, repository_id: int, after: str, limit: int) -> list[str]:
        rows = self._rows(queries.LIST_KNOWN_PACKAGES, (repository_id, after, limit))
        return [name for (name,) in rows]

    async def list_owned_packages(self, repository_id: int, after: str, limit: int) -> list[str]:
        rows = self._rows(queries.LIST_OWNED_PACKAGES, (repository_id, after, limit))
        return [name for (name,) in rows]

    async def update_package(
        self, repository_id: int, package: str, document: bytes, *, before: bytes | None = None
    ) -> bool:
        query = queries.UPDATE_PACKAGE
        values: tuple[str | int | bytes, ...] = (document, repository_id, package)
        if before is not None:
            query, values = queries.UPDATE_PACKAGE_IF_SAME, (*values, b"{}", before)
        return await self._write(lambda db: db.execute(query, values).rowcount > 0, (repository_id, package))

    async def claim_package(self, repository_id: int, package: str) -> None:
        place = (repository_id, package)
        await self._write(lambda db: claim_package(db, place), place)

    async def release_package(self, repository_id: int, package: str) -> bool:
        place = (repository_id, package)
        return await self._write(lambda db: release_package(db, place), place)

    @cached_property
    def _recent_packages(self) -> ReadCache[Package]:
        return ReadCache(self._epochs, RECENT_ANSWERS)


# -- inside of a transaction -------------------------------------------------------------------------------


def find_id(db: Connection, query: str, values: tuple[object, ...]) -> int | None:
    """The first column of the first row."""
    row = db.execute(query, values).fetchone()
    return row[0] if row else None


def claim_package(db: Connection, place: tuple[int, str]) -> None:
    """See nora.catalog.packages.Packages.claim_package."""
    owned = db.execute(queries.IS_OWNED, place).fetchone()
    ensure_package(db, *place, time.time())
    if owned is None and db.execute(queries.IS_OWNED, place).fetchone() is not None:
        record(db, "claimed", *place)


def release_package(db: Connection, place: tuple[int, str]) -> bool:
    """See nora.catalog.packages.Packages.release_package."""
    is_released = db.execute(queries.RELEASE_PACKAGE, place).rowcount > 0
    if is_released:
        record(db, "released", *place)
    return is_released


def ensure_package(db: Connection, repository_id: int, name: str, now: float, *, opened: bool = False) -> int:
    """The id of a package that gets something; it is owned from here on if its repository is hosted.

    `opened`: what it gets is an upload session, and one that is not known yet goes with the last of these.
    """
    row = db.execute(queries.FIND_PACKAGE_TO_FILL, (repository_id, name)).fetchone()
    if row is None:
        row = db.execute(queries.INSERT_PACKAGE, (name, now, opened, repository_id)).fetchone()
        assert row is not None, f"there is no repository {repository_id}"
        return row[0]  # type: ignore[no-any-return]
    found: int = row[0]
    if not row[1]:  # hosted, and released before
        db.execute(queries.OWN_PACKAGE, (found,))
    if row[2] and not opened:
        db.execute(queries.FILL_PACKAGE, (found,))
    return found
