"""Files: what is at a path, and packages with many of them."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from nora.catalog.records import Blob, File, NewFile, PackageFile
from nora.catalog.sqlite import queries
from nora.catalog.sqlite.blobs import ensure_blob, let_go, link
from nora.catalog.sqlite.executor import Executor, file_slot
from nora.catalog.sqlite.packages import ensure_package, ensure_version, find_id
from nora.catalog.sqlite.read_cache import RECENT_ANSWERS, ReadCache
from nora.catalog.sqlite.rows import file_of, package_file_of
from nora.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nora.catalog.sqlite.engine import Connection


class Files(Executor):
    """The methods of nora.catalog.base.Catalog about files."""

    async def find_file(self, repository_id: int, path: str) -> File | None:
        return self._recall_at(self._recent_files, repository_id, path, queries.FIND_FILE, file_of)

    async def list_package_files(self, repository_id: int, package: str) -> list[PackageFile]:
        return await self._listing(queries.LIST_PACKAGE_FILES, repository_id, package, package_file_of)

    async def add_files(
        self, repository_id: int, files: Sequence[NewFile], lease_seconds: float
    ) -> list[Blob] | None:
        touched = {(repository_id, name) for file in files for name in (file.package, file.path)}
        return await self._write(lambda db: add_files(db, repository_id, files, lease_seconds), *touched)

    async def delete_files(self, repository_id: int, paths: Sequence[str], *, for_good: bool) -> int:
        return await self._write_found(
            lambda db, slots: delete_files(db, slots, repository_id, paths, for_good)
        )

    @cached_property
    def _recent_files(self) -> ReadCache[File]:
        return ReadCache(self._epochs, RECENT_ANSWERS)


# -- inside of a transaction -------------------------------------------------------------------------------


class Occupant(NamedTuple):
    """What is at a path."""

    id: int
    package_id: int | None
    package: str | None
    version_id: int | None
    blob_id: int
    digest: str
    fetched_at: float | None


def find_occupant(db: Connection, repository_id: int, path: str) -> Occupant | None:
    """What is at a path now."""
    row = db.execute(queries.FIND_OCCUPANT, (repository_id, path)).fetchone()
    return None if row is None else Occupant(*row)


def place_of(repository_id: int, path: str) -> tuple[int, str, str]:
    """The columns that say where a file is."""
    return repository_id, path, path.rpartition("/")[0]


def add_files(
    db: Connection, repository_id: int, files: Sequence[NewFile], lease_seconds: float
) -> list[Blob] | None:
    """See Catalog.add_files."""
    there = [_is_there(db, repository_id, file) for file in files]
    if there[0]:
        return None
    now = time.time()
    return [
        _add_file(db, repository_id, file, now, lease_seconds, is_there)
        for file, is_there in zip(files, there, strict=True)
    ]


def _is_there(db: Connection, repository_id: int, file: NewFile) -> bool:
    """Whether the path has these bytes. Raises Conflict when it has others or may not be used."""
    occupant = find_occupant(db, repository_id, file.path)
    if occupant is not None and occupant.digest != file.blob.digest:
        raise Conflict(f"{file.path} is there already, with other bytes")
    if occupant is None and find_id(db, queries.HAS_TOMBSTONE, (repository_id, file.path)) is not None:
        raise Conflict(f"{file.path} was deleted, and the name may not be used again")
    return occupant is not None


def _add_file(
    db: Connection, repository_id: int, file: NewFile, now: float, lease_seconds: float, is_there: bool
) -> Blob:
    package = ensure_package(db, repository_id, file.package, now)
    blob = link(db, package, ensure_blob(db, file.blob, now), now + lease_seconds)
    if not is_there:
        version, added = ensure_version(db, package, file.version, now)
        values = (package, version, blob.id, blob.size, file.media_type, now, file.document)
        db.execute(queries.ADD_FILE, (*place_of(repository_id, file.path), *values))
        db.execute(queries.TOUCH_PACKAGE, (added, package))
    return blob


def delete_files(
    db: Connection, slots: set[int], repository_id: int, paths: Iterable[str], for_good: bool
) -> int:
    """See Catalog.delete_files."""
    now = time.time()
    count = 0
    for path in paths:
        occupant = find_occupant(db, repository_id, path)
        if occupant is not None:
            delete_file(db, slots, repository_id, path, occupant)
            count += 1
        if for_good:
            db.execute(queries.INSERT_TOMBSTONE, (repository_id, path, now))
    return count


def delete_file(db: Connection, slots: set[int], repository_id: int, path: str, occupant: Occupant) -> None:
    """Remove a file, and what is left of its version if that has no other."""
    slots.add(file_slot(repository_id, path, occupant.package))
    db.execute(queries.DELETE_FILE, (occupant.id,))
    settle(db, occupant)


def settle(db: Connection, former: Occupant) -> None:
    """What a package lets go of when a file is gone from it, or has got other bytes or another version."""
    if former.package_id is None:
        return
    gone = 0
    if former.version_id is not None:
        gone = db.execute(queries.DELETE_EMPTY_VERSION, (former.version_id,)).rowcount
    let_go(db, former.package_id, former.blob_id, former.digest)
    db.execute(queries.TOUCH_PACKAGE, (-gone, former.package_id))
