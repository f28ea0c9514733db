"""Purges: what is cached is removed by an administrator, all of it or a part."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nora.catalog.records import Purged
from nora.catalog.sqlite import admin_queries, queries
from nora.catalog.sqlite.blobs import find_blob, let_go
from nora.catalog.sqlite.events import common_directory, record
from nora.catalog.sqlite.executor import Executor
from nora.catalog.sqlite.files import delete_file, find_occupant
from nora.catalog.sqlite.packages import find_id
from nora.catalog.sqlite.read_cache import slot_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nora.catalog.records import Part
    from nora.catalog.sqlite.engine import Connection
    from nora.model import Digest


class Purges(Executor):
    """The methods of nora.catalog.cached.CachedFiles that remove what was fetched."""

    async def purge_cached(self, repository_id: int, package: str, part: Part) -> Purged:
        return await self._write_found(lambda db, slots: purge(db, slots, repository_id, package, part))

    async def purge_paths(self, repository_id: int, paths: Sequence[str]) -> Purged:
        return await self._write_found(lambda db, slots: purge_paths(db, slots, repository_id, paths))

    async def list_cached_holders(self, repository_id: int, digest: Digest) -> list[str]:
        query = queries.FIND_BLOB if digest.startswith("sha256:") else queries.FIND_BLOB_BY_ALIAS
        row = self._row(query, (digest,))
        if row is None:
            return []
        values = (row[0], repository_id, row[0], repository_id)
        return [name for (name,) in self._rows(admin_queries.LIST_HOLDERS, values)]


# -- inside of a transaction -------------------------------------------------------------------------------


class _Held(NamedTuple):
    """A file of a package."""

    id: int
    path: str
    version_id: int | None
    version: str | None
    blob_id: int
    digest: str
    is_document: bool


def purge(db: Connection, slots: set[int], repository_id: int, package: str, part: Part) -> Purged:
    """See CachedFiles.purge_cached."""
    _check_proxy(db, repository_id)
    is_whole = part.version is None and part.file is None and part.digest is None
    if is_whole:
        db.execute(admin_queries.DELETE_ABSENCE, (repository_id, package))
    package_id = find_id(db, queries.FIND_PACKAGE, (repository_id, package))
    if package_id is None:
        return Purged()
    slots.add(slot_of(repository_id, package))
    files = [_Held(*row) for row in db.execute(admin_queries.LIST_HELD_FILES, (package_id,)).fetchall()]
    purged = _purge_all(db, package_id, files) if is_whole else _purge_part(db, package_id, files, part)
    if purged:
        record(
            db,
            "purged",
            repository_id,
            package,
            part.version,
            path=part.file or "",
            digest=part.digest or "",
            files=len(purged.paths),
        )
    return purged


def purge_paths(db: Connection, slots: set[int], repository_id: int, paths: Iterable[str]) -> Purged:
    """See CachedFiles.purge_paths."""
    _check_proxy(db, repository_id)
    alone = [one for one in paths if find_id(db, admin_queries.IS_CACHED_ALONE, (repository_id, one))]
    for path in alone:
        occupant = find_occupant(db, repository_id, path)
        assert occupant is not None, "it is cached"
        delete_file(db, slots, repository_id, path, occupant)
    if alone:
        path = alone[0] if len(alone) == 1 else common_directory(alone)
        record(db, "purged", repository_id, path=path, files=len(alone))
    return Purged(tuple(alone))


def _check_proxy(db: Connection, repository_id: int) -> None:
    if find_id(db, queries.IS_PROXY, (repository_id,)) is None:
        raise ValueError("only what came from an upstream is purged")


def _purge_all(db: Connection, package: int, files: Sequence[_Held]) -> Purged:
    blobs: int = db.execute(admin_queries.COUNT_BLOBS_WITHOUT_FILE, (package,)).fetchone()[0]
    for query in (
        admin_queries.DELETE_FILES,
        admin_queries.DELETE_VERSIONS,  # with their tags and references
        admin_queries.DELETE_LINKS,
        admin_queries.DELETE_PACKAGE,
    ):
        db.execute(query, (package,))
    return Purged(tuple(sorted(one.path for one in files)), blobs, 1)


def _purge_part(db: Connection, package: int, files: Sequence[_Held], part: Part) -> Purged:
    blob = None if part.digest is None else find_blob(db, part.digest)
    names = {part.version, part.digest}
    rows = db.execute(admin_queries.LIST_HELD_VERSIONS, (package,)).fetchall()
    versions = {number for number, name in rows if name in names}
    chosen = [
        one
        for one in files
        if one.version_id in versions
        or one.path in part.paths
        or (part.file is not None and f"/{one.path}".endswith(f"/{part.file}"))
        or (blob is not None and one.blob_id == blob[0])
    ]
    chosen += _beside(files, chosen)
    versions |= {one.version_id for one in chosen if one.version_id is not None}
    before = _links(db, package)
    gone = _remove(db, package, chosen, versions)
    if blob is not None:
        db.execute(queries.DELETE_LINK, (package, blob[0]))
    loose = before - _links(db, package) - {one.blob_id for one in chosen}
    if chosen or loose or gone:
        db.execute(admin_queries.EXPIRE_DOCUMENTS, (package,))
        db.execute(queries.TOUCH_PACKAGE, (-gone, package))
    return Purged(tuple(sorted(one.path for one in chosen)), len(loose))


def _remove(db: Connection, package: int, files: Sequence[_Held], versions: Iterable[int]) -> int:
    """Remove files, those versions that have none left, and what only these needed; how many versions."""
    needed = [
        digest
        for number in versions
        for (digest,) in db.execute(admin_queries.LIST_NEEDED, (number,)).fetchall()
    ]
    db.executemany(queries.DELETE_FILE, [(one.id,) for one in files])
    gone: int = sum(db.execute(queries.DELETE_EMPTY_VERSION, (number,)).rowcount for number in versions)
    for one in files:
        let_go(db, package, one.blob_id)
    for digest in needed:
        blob = find_blob(db, digest)
        if blob is not None:
            let_go(db, package, blob[0])
    return gone


def _links(db: Connection, package: int) -> set[int]:
    """The blobs that a package holds."""
    return {number for (number,) in db.execute(admin_queries.LIST_LINKS, (package,)).fetchall()}


def _beside(files: Sequence[_Held], chosen: Sequence[_Held]) -> list[_Held]:
    """Checksums, signatures and metadata: `<path>.asc` goes with `<path>`."""
    stems = {one.path for one in chosen if not one.is_document}
    already = {one.path for one in chosen}
    return [one for one in files if one.path not in already and not stems.isdisjoint(_stems(one.path))]


def _stems(path: str) -> Iterator[str]:
    """What a path is up to each of its dots."""
    return (path[:at] for at, character in enumerate(path) if character == ".")
