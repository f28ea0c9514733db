"""Files: what is at a path."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import orjson

from nora.catalog.records import Blob, File, LaterFiles, NewFile, PackageFile
from nora.catalog.sqlite import file_queries, queries
from nora.catalog.sqlite.blobs import digests_of, ensure_blob, find_blob, let_go
from nora.catalog.sqlite.events import common_directory, record
from nora.catalog.sqlite.executor import Executor, file_slot
from nora.catalog.sqlite.packages import ensure_package, find_id
from nora.catalog.sqlite.quotas import within_quota
from nora.catalog.sqlite.read_cache import RECENT_ANSWERS, ReadCache
from nora.catalog.sqlite.rows import blob_of, directory_entry_of, file_of, package_file_of
from nora.errors import Conflict, PreconditionFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nora.catalog.records import DirectoryEntry
    from nora.catalog.sqlite.engine import Connection
    from nora.model import Digest


class Files(Executor):
    """The methods of nora.catalog.files.Files."""

    async def find_file(self, repository_id: int, path: str, *, blocked: bool = False) -> File | None:
        if blocked:
            row = self._row(queries.FIND_FILE, (repository_id, path))
            found = None if row is None else file_of(*row)
        else:
            found = self._cached_read_at(self._recent_files, repository_id, path, queries.FIND_FILE, file_of)
        is_over = found is not None and found.expires_at is not None and found.has_ended(time.time())
        return None if is_over else found

    async def remove_ended(self, limit: int) -> int:
        if not self._rows(file_queries.LIST_ENDED, (time.time(), 1)):
            return 0
        return await self._write_found(lambda db, slots: remove_ended(db, slots, limit))

    async def find_paths(self, repository_id: int, paths: Sequence[str]) -> set[str]:
        rows = self._rows(queries.FIND_PATHS, (repository_id, orjson.dumps(paths).decode()))
        return {path for (path,) in rows}

    async def find_version_file(
        self, repository_id: int, package: str, digest: Digest, *, blocked: bool = False
    ) -> File | None:
        direct = digest.startswith("sha256:")
        query = queries.FIND_VERSION_FILES if direct else queries.FIND_VERSION_FILES_BY_ALIAS
        rows = self._rows(query, (digest, repository_id, package))
        if len(rows) > 1:  # published under two digests: the one that was asked for
            rows.sort(key=lambda row: row[4] != digest)
        file = file_of(*rows[0]) if rows else None
        if not blocked:
            self._refuse_blocked((repository_id, package, digest), file)
        return file

    async def list_package_files(self, repository_id: int, package: str) -> list[PackageFile]:
        return await self._listing(queries.LIST_PACKAGE_FILES, repository_id, package, package_file_of)

    async def list_later_files(
        self, repository_id: int, package: str, after: int, limit: int
    ) -> LaterFiles | None:
        def read() -> LaterFiles | None:
            row = self._listings.execute(
                queries.LIST_LATER_FILES, (after, limit, repository_id, package)
            ).fetchone()
            if row is None:
                return None
            revision, count, last, files = row
            return LaterFiles(
                revision, count, last, tuple(package_file_of(*one) for one in orjson.loads(files))
            )

        return await self._in_thread(read)

    async def list_directory(
        self, repository_id: int, directory: str, after: str, limit: int
    ) -> list[DirectoryEntry]:
        beneath = f"{directory}/" if directory else ""
        # What is in the directory `a/` has a path before `a0`; between `a` and `a\x01` there is nothing
        start = f"{after[:-1]}0" if after.endswith("/") else f"{after}\x01" if after else ""
        rows = self._rows(queries.LIST_DIRECTORY, (repository_id, beneath, start, limit))
        return [directory_entry_of(*row) for row in rows]

    async def put_file(
        self, repository_id: int, file: NewFile, *, replace: bool, expected: str | None = None
    ) -> Blob:
        self.blocks().check(repository_id, None, digests=digests_of(file.blob))
        [put] = await self._put_files(repository_id, [file], replace, expected)
        return put

    async def put_files(self, repository_id: int, files: Sequence[NewFile], *, replace: bool) -> list[Blob]:
        blobs = [file.blob for file in files]
        blocks = self.blocks()
        for blob in blobs:
            blocks.check(repository_id, None, digests=digests_of(blob))
        return await self._put_files(repository_id, files, replace)

    async def _put_files(
        self, repository_id: int, files: Sequence[NewFile], replace: bool, expected: str | None = None
    ) -> list[Blob]:
        def change(db: Connection, slots: set[int]) -> list[Blob]:
            with within_quota(db, repository_id):
                return put_files(db, slots, repository_id, files, replace, expected)

        known = self._slots_of_digests(*(file.blob for file in files))
        return await self._write_found(change, known=known)

    async def delete_files(
        self, repository_id: int, paths: Sequence[str], *, for_good: bool, expected: str | None = None
    ) -> int:
        return await self._write_found(
            lambda db, slots: delete_files(db, slots, repository_id, paths, for_good, expected)
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
    expires_at: float | None


def find_occupant(db: Connection, repository_id: int, path: str) -> Occupant | None:
    """What is at a path now."""
    row = db.execute(file_queries.FIND_OCCUPANT, (repository_id, path)).fetchone()
    return None if row is None else Occupant(*row)


def is_there(db: Connection, repository_id: int, file: NewFile) -> bool:
    """Whether the path has these bytes. Raises Conflict when it has others or may not be used."""
    occupant = find_occupant(db, repository_id, file.path)
    if occupant is not None and occupant.digest != file.blob.digest:
        raise Conflict(f"{file.path} is there already, with other bytes")
    if occupant is None and find_id(db, queries.HAS_TOMBSTONE, (repository_id, file.path)) is not None:
        raise Conflict(f"{file.path} was deleted, and the name may not be used again")
    return occupant is not None


def write_file(
    db: Connection,
    repository_id: int,
    file: NewFile,
    place: tuple[int | None, int | None],
    blob: Blob,
    now: float,
) -> None:
    """Let a path have these bytes; `place` is the package and the version that they belong to."""
    document = None if file.document == b"{}" else file.document
    checksums = orjson.dumps(dict(file.checksums)).decode() if file.checksums else None
    content = (blob.id, blob.size, file.media_type, now, document, checksums, file.expires_at)
    db.execute(file_queries.PUT_FILE, (repository_id, file.path, *place, *content))


def put_files(
    db: Connection,
    slots: set[int],
    repository_id: int,
    files: Sequence[NewFile],
    replace: bool,
    expected: str | None = None,
) -> list[Blob]:
    """See Files.put_files; one event for them all."""
    put = [_put_file(db, slots, repository_id, one, replace, expected) for one in files]
    new = [(file.path, blob) for file, (blob, is_new) in zip(files, put, strict=True) if is_new]
    if new:
        path, blob = new[0]
        record(
            db,
            "published",
            repository_id,
            path=path if len(new) == 1 else common_directory(path for path, _ in new),
            digest=blob.digest if len(new) == 1 else "",
            size=sum(blob.size for _, blob in new),
            files=len(new),
        )
    return [blob for blob, _ in put]


def _put_file(
    db: Connection, slots: set[int], repository_id: int, file: NewFile, replace: bool, expected: str | None
) -> tuple[Blob, bool]:
    """The blob of what is there now, and whether the path has got it by this."""
    now = time.time()
    former = find_occupant(db, repository_id, file.path)
    if former is not None and former.expires_at is not None and former.expires_at <= now:
        delete_file(db, slots, repository_id, file.path, former)
        former = None
    current = former.digest if former is not None else ""
    if expected is not None and current != expected and not (expected == "*" and current):
        raise PreconditionFailed(f"{file.path} is {current or 'absent'}")
    is_same = not replace and is_there(db, repository_id, file)
    if file.is_claim:
        ensure_package(db, repository_id, file.path, now)
        slots.add(file_slot(repository_id, file.path, None))
    if is_same:
        there = find_blob(db, current)
        assert former is not None, "is_there has found it"
        assert there is not None, "a file has a live blob"
        db.execute(file_queries.KEEP_FILE_LONGER, (file.expires_at, former.id))
        slots.add(file_slot(repository_id, file.path, former.package))
        return blob_of(*there, 0.0), False
    blob = blob_of(*ensure_blob(db, file.blob, now), 0.0)
    write_file(db, repository_id, file, (None, None), blob, now)
    slots.add(file_slot(repository_id, file.path, None))
    if former is not None:
        slots.add(file_slot(repository_id, file.path, former.package))
        release_former(db, former)
    return blob, former is None or former.blob_id != blob.id


def remove_ended(db: Connection, slots: set[int], limit: int) -> int:
    """See Files.remove_ended."""
    ended = db.execute(file_queries.LIST_ENDED, (time.time(), limit)).fetchall()
    for repository_id, path in ended:
        delete_files(db, slots, repository_id, [path], for_good=False)
    return len(ended)


def delete_files(
    db: Connection,
    slots: set[int],
    repository_id: int,
    paths: Iterable[str],
    for_good: bool,
    expected: str | None = None,
) -> int:
    """See Files.delete_files; an event for each version, and one for all that are of none."""
    now = time.time()
    gone: dict[tuple[str, str], list[str]] = {}
    for path in paths:
        occupant = find_occupant(db, repository_id, path)
        if expected is not None and (occupant is None or occupant.digest != expected):
            raise PreconditionFailed(f"{path} is {'absent' if occupant is None else occupant.digest}")
        if occupant is not None:
            gone.setdefault(_release_of(db, occupant), []).append(path)
            delete_file(db, slots, repository_id, path, occupant)
        if for_good:
            db.execute(queries.INSERT_TOMBSTONE, (repository_id, path, now))
    for what, of_one in gone.items():
        path = of_one[0] if len(of_one) == 1 or any(what) else common_directory(of_one)
        record(db, "deleted", repository_id, *what, path=path, files=len(of_one))
    return sum(map(len, gone.values()))


def _release_of(db: Connection, occupant: Occupant) -> tuple[str, str]:
    """The package and the version that a file belongs to."""
    version = None
    if occupant.version_id is not None:
        version = db.execute(queries.FIND_VERSION_NAME, (occupant.version_id,)).fetchone()
    return occupant.package or "", version[0] if version else ""


def delete_file(db: Connection, slots: set[int], repository_id: int, path: str, occupant: Occupant) -> None:
    """Remove a file, and what is left of its version if that has no other."""
    slots.add(file_slot(repository_id, path, occupant.package))
    db.execute(queries.DELETE_FILE, (occupant.id,))
    release_former(db, occupant)


def release_former(db: Connection, former: Occupant) -> None:
    """What a package lets go of when a file is gone from it, or has got other bytes or another version."""
    if former.package_id is None:
        return
    gone = 0
    if former.version_id is not None:
        gone = db.execute(queries.DELETE_EMPTY_VERSION, (former.version_id,)).rowcount
    let_go(db, former.package_id, former.blob_id)
    db.execute(queries.TOUCH_PACKAGE, (-gone, former.package_id))
