"""Histories of packages, and what goes by them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson

from nora.catalog.histories import Content, FileHistory, Going, PackageHistory, TagHistory, VersionHistory
from nora.catalog.sqlite import queries, retention_queries
from nora.catalog.sqlite.executor import Executor
from nora.catalog.sqlite.files import delete_files, find_occupant
from nora.catalog.sqlite.tags import delete_tag
from nora.catalog.sqlite.versions import delete_version
from nora.errors import PackageChanged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nora.catalog.sqlite.engine import Connection


class Histories(Executor):
    """The methods of nora.catalog.histories.Histories."""

    async def read_package_history(self, repository_id: int, package: str) -> PackageHistory | None:
        def read() -> PackageHistory | None:
            db = self._listings
            db.execute("BEGIN")  # all of it as of one moment
            try:
                return _read(db, repository_id, package)
            finally:
                db.execute("ROLLBACK")

        return await self._in_thread(read)

    async def list_file_histories(self, repository_id: int, after: str, limit: int) -> list[FileHistory]:
        def read() -> list[FileHistory]:
            values = (repository_id, after, limit)
            rows = self._listings.execute(retention_queries.LIST_FILE_HISTORIES, values).fetchall()
            return [
                FileHistory(path=path, content=Content(digest, size), created_at=at, last_used_at=used)
                for path, digest, size, at, used in rows
            ]

        return await self._in_thread(read)

    async def remove_seen(self, repository_id: int, package: str, seen: int, going: Going) -> int:
        place = (repository_id, package)

        def change(db: Connection) -> int:
            if _revision(db, place) != seen:
                raise PackageChanged(f"{package} has changed meanwhile")
            _remove(db, place, going)
            return _revision(db, place)

        return await self._write(change, place)

    async def remove_decided(
        self, repository_id: int, package: str, decide: Callable[[PackageHistory], Going]
    ) -> None:
        place = (repository_id, package)

        def change(db: Connection) -> None:
            history = _read(db, *place)
            if history is not None:
                _remove(db, place, decide(history))

        await self._write(change, place)

    async def remove_files_seen(
        self, repository_id: int, files: Sequence[tuple[str, str]], *, for_good: bool
    ) -> list[str]:
        def change(db: Connection, slots: set[int]) -> list[str]:
            same = []
            for path, digest in files:
                occupant = find_occupant(db, repository_id, path)
                if occupant is not None and occupant.package_id is None and occupant.digest == digest:
                    same.append(path)
            delete_files(db, slots, repository_id, same, for_good)
            return same

        return await self._write_found(change)


def _remove(db: Connection, place: tuple[int, str], going: Going) -> None:
    now = time.time()
    for tag in going.tags:
        delete_tag(db, place, tag)
    for version in going.versions:
        delete_version(db, place, version, False, None)
    db.executemany(queries.INSERT_TOMBSTONE, [(place[0], path, now) for path in going.for_good])


def _revision(db: Connection, place: tuple[int, str]) -> int:
    """Of a package; -1 where there is none."""
    row = db.execute(queries.GET_PACKAGE, place).fetchone()
    return -1 if row is None else int(row[3])


def _read(db: Connection, repository_id: int, package: str) -> PackageHistory | None:
    row = db.execute(queries.GET_PACKAGE, (repository_id, package)).fetchone()
    if row is None:
        return None
    versions = tuple(
        VersionHistory(
            name=name,
            published_at=published_at,
            subject=subject,
            last_pulled_at=pulled_at,
            paths=tuple(path for path, _, _ in files),
            contents=tuple(Content(digest, size) for _, digest, size in files),
            references=tuple(Content(*one) for one in references),
        )
        for name, published_at, subject, pulled_at, files, references in _all(
            db, retention_queries.LIST_VERSION_HISTORIES, row[0]
        )
    )
    tags = tuple(
        TagHistory(name=name, version=version, updated_at=at)
        for name, version, at in _all(db, retention_queries.LIST_TAG_HISTORIES, row[0])
    )
    return PackageHistory(name=row[1], revision=row[3], versions=versions, tags=tags)


def _all(db: Connection, query: str, package: int) -> list[Any]:
    found: list[Any] = orjson.loads(db.execute(query, (package,)).fetchone()[0])
    return found
