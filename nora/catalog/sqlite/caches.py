"""What proxy repositories hold, taken out of a catalog into one of its own and read again: for archives that
are carried to another site. Nothing else is in it: no name that is hosted, no token, no event.

Everything here blocks: for threads and commands.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Final

import orjson

from nora.catalog.records import NewBlob, NewCached, NewFile, Reference, Release
from nora.catalog.sqlite.engine import Connection, connect_writer, translate
from nora.catalog.sqlite.preparation import prepare
from nora.catalog.sqlite.snapshots import Snapshot
from nora.errors import CatalogUnusable, InvalidDigest
from nora.model import Digest

_COPIED: Final = (
    ("repository", "kind = 'proxy' AND (?1 IS NULL OR id IN (SELECT value FROM json_each(?1)))"),
    (
        "file",
        """repository_id IN (SELECT id FROM main.repository)
        AND max(coalesce(last_used_at, 0.0), coalesce(fetched_at, created_at)) >= ?2""",
    ),
    ("version", "id IN (SELECT version_id FROM main.file)"),
    ("tag", "version_id IN (SELECT id FROM main.version)"),
    ("reference", "version_id IN (SELECT id FROM main.version)"),
    (
        "link",
        """EXISTS (SELECT 1 FROM main.file
        WHERE file.blob_id = link.blob_id AND file.package_id = link.package_id)
        OR EXISTS (SELECT 1 FROM main.reference WHERE reference.package_id = link.package_id
        AND reference.digest = (SELECT digest FROM held.blob WHERE blob.id = link.blob_id))
        OR EXISTS (SELECT 1 FROM held.blob_alias CROSS JOIN main.reference
        ON reference.package_id = link.package_id AND reference.digest = blob_alias.digest
        WHERE blob_alias.blob_id = link.blob_id)""",
    ),
    ("package", "id IN (SELECT package_id FROM main.file UNION SELECT package_id FROM main.link)"),
    (
        "blob",
        "state = 'live' AND id IN (SELECT blob_id FROM main.file UNION SELECT blob_id FROM main.link)",
    ),
    ("blob_alias", "blob_id IN (SELECT id FROM main.blob)"),
    (
        "absence",
        "repository_id IN (SELECT id FROM main.repository) AND name IN (SELECT name FROM main.package)",
    ),
)
"""Tables and what of them, in this order. ?1: ids of repositories as JSON, NULL for all; ?2: used since."""
_COUNT_VERSIONS: Final = """
UPDATE package SET versions = (SELECT count(*) FROM version WHERE version.package_id = package.id)"""

_LIST_REPOSITORIES: Final = """
SELECT repository.id, repository.name, repository.format, count(file.id), coalesce(sum(file.size), 0)
FROM repository LEFT JOIN file ON file.repository_id = repository.id GROUP BY repository.id"""
_LIST_PACKAGES: Final = "SELECT id, name, document FROM package WHERE repository_id = ? ORDER BY id"
_LIST_VERSIONS: Final = """
SELECT id, name, kind, subject, document FROM version WHERE package_id = ? ORDER BY id"""
_LIST_REFERENCES: Final = "SELECT digest, role FROM reference WHERE version_id = ? ORDER BY digest, role"
_BLOB: Final = """blob.digest, blob.size, blob.xxh3, blob.generation,
(SELECT json_group_array(digest) FROM blob_alias WHERE blob_alias.blob_id = blob.id)"""
_FILE: Final = f"""
SELECT file.path, version.name, file.media_type, file.document, file.checksums, file.upstream_url,
file.validators, file.fetched_at, file.fresh_until, {_BLOB}
FROM file CROSS JOIN blob ON blob.id = file.blob_id LEFT JOIN version ON version.id = file.version_id"""  # noqa: S608 - constants
_LIST_FILES: Final = f"{_FILE} WHERE file.package_id = ? ORDER BY file.id"
_LIST_ALONE: Final = f"{_FILE} WHERE file.repository_id = ? AND file.package_id IS NULL ORDER BY file.id"
_LIST_HELD: Final = f"""
SELECT {_BLOB} FROM link CROSS JOIN blob ON blob.id = link.blob_id
WHERE link.package_id = ?1 AND NOT EXISTS
(SELECT 1 FROM file WHERE file.blob_id = link.blob_id AND file.package_id = ?1) ORDER BY blob.id"""  # noqa: S608 - constants
_LIST_ABSENCES: Final = "SELECT name FROM absence WHERE repository_id = ? ORDER BY name"

_is_xxh3 = re.compile(r"[0-9a-f]{32}", re.ASCII).fullmatch
_WRONG: Final = (ValueError, TypeError, KeyError, InvalidDigest, OverflowError)


def take_cached(
    catalog: Path, path: Path, repositories: Collection[int] | None, used_since: float
) -> Snapshot:
    """Copy what proxy repositories - these, or all - hold that was fetched or used since, from a catalog that
    may be in use, as it is now. Raises StorageFailed, StorageFull."""
    snapshot = Snapshot(path)
    snapshot.remove()
    prepare(path, allow_fuse=True)
    chosen = None if repositories is None else orjson.dumps(sorted(repositories)).decode()
    try:
        with closing(connect_writer(path, any_thread=True)) as db:
            db.execute("PRAGMA foreign_keys = OFF")  # rows come before those that they belong to
            db.execute("ATTACH DATABASE ? AS held", (f"{catalog.absolute().as_uri()}?mode=rw",))
            db.execute("BEGIN")
            for table, condition in _COPIED:
                _copy(db, table, condition, (chosen, used_since))
            db.execute(_COUNT_VERSIONS)
            db.execute("COMMIT")
            db.execute("DETACH DATABASE held")
            db.execute("PRAGMA journal_mode = DELETE")  # all of it is in the one file then
    except sqlite3.Error as error:
        raise translate(error) from error
    return snapshot


def _copy(db: Connection, table: str, condition: str, values: tuple[object, ...]) -> None:
    names = [name for (name,) in db.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    columns = ", ".join(names)
    given = values[: max((int(n) for n in re.findall(r"\?(\d)", condition)), default=0)]
    statement = f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM held.{table} WHERE {condition}"  # noqa: S608 - constants of this module
    db.execute(statement, given)


@dataclass(frozen=True, slots=True)
class CachedRepository:
    """A proxy repository, or one of its sources."""

    id: int
    name: str
    format: str
    files: int
    """How many it has."""
    size: int
    """Bytes of these."""


@dataclass(frozen=True, slots=True)
class CachedPackage:
    """All that was fetched of a package."""

    name: str
    document: bytes | None
    held: tuple[NewBlob, ...]
    """What it has without a file, such as layers."""
    releases: tuple[Release, ...]
    entries: tuple[NewCached, ...]


class CachedRows:
    """What `take_cached` has copied, in a file that may come from anywhere. Its methods raise CatalogUnusable
    where that is not what it should be."""

    def __init__(self, path: Path) -> None:
        """Bring it to the version of this NORA, and look for damage."""
        Snapshot(path).check()
        prepare(path, allow_fuse=True)
        self._path = path

    def repositories(self) -> list[CachedRepository]:
        """Those that it has something of."""
        with self._read() as db:
            rows = db.execute(_LIST_REPOSITORIES).fetchall()
            return [
                CachedRepository(id_, _text(name), _text(format_), files, size)
                for id_, name, format_, files, size in rows
            ]

    def packages(self, repository: int, target: int) -> Iterator[CachedPackage]:
        """Its packages, as they are to be put into another repository."""
        with self._read() as db:
            for number, name, document in db.execute(_LIST_PACKAGES, (repository,)):
                yield _package(db, number, _text(name), _bytes_or_none(document), target)

    def alone(self, repository: int) -> Iterator[NewCached]:
        """Its files that belong to no package."""
        with self._read() as db:
            for row in db.execute(_LIST_ALONE, (repository,)):
                yield _entry(None, row)

    def absences(self, repository: int) -> list[str]:
        """Names that its upstream was found not to have."""
        with self._read() as db:
            return [_text(name) for (name,) in db.execute(_LIST_ABSENCES, (repository,))]

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        try:
            uri = f"{self._path.absolute().as_uri()}?mode=rw"
            with closing(sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)) as db:
                db.execute("PRAGMA trusted_schema = OFF")
                db.execute("PRAGMA query_only = ON")
                yield db
        except (sqlite3.Error, *_WRONG) as error:
            raise CatalogUnusable(f"the catalog of the archive is damaged: {error}") from error


def _package(db: Connection, number: int, name: str, document: bytes | None, target: int) -> CachedPackage:
    published: dict[str, list[NewFile]] = {}
    entries = []
    for row in db.execute(_LIST_FILES, (number,)):
        if row[7] is not None:
            entries.append(_entry(name, row))
        elif row[1] is not None:
            published.setdefault(_text(row[1]), []).append(_file(row))
    releases = [
        Release(
            repository_id=target,
            package=name,
            version=version,
            files=tuple(published[version]),
            document=_bytes_or_none(said),
            kind=_text_or_none(kind),
            subject=_text_or_none(subject),
            references=tuple(
                Reference(_text(digest), _text(role), required=False)
                for digest, role in db.execute(_LIST_REFERENCES, (id_,))
            ),
            replace=True,
        )
        for id_, version, kind, subject, said in db.execute(_LIST_VERSIONS, (number,))
        if version in published
    ]
    held = tuple(_blob(*row) for row in db.execute(_LIST_HELD, (number,)))
    return CachedPackage(name, document, held, tuple(releases), tuple(entries))


def _file(row: tuple[Any, ...]) -> NewFile:
    path, _, media_type, document, checksums, *_ = row
    return NewFile(
        path=_text(path),
        media_type=_text(media_type),
        blob=_blob(*row[9:]),
        document=_bytes_or_none(document) or b"{}",
        checksums=_table(checksums) or None,
    )


def _entry(package: str | None, row: tuple[Any, ...]) -> NewCached:
    path, version, media_type, document, checksums, url, validators, fetched_at, fresh_until, *blob = row
    return NewCached(
        path=_text(path),
        package=package,
        version=None if package is None else _text_or_none(version),
        media_type=_text(media_type),
        blob=_blob(*blob),
        upstream_url=_text(url or ""),
        validators=_table(validators),
        document=_bytes_or_none(document) or b"{}",
        checksums=_table(checksums) or None,
        fetched_at=_time(fetched_at),
        fresh_until=inf if fresh_until is None else _time(fresh_until),
    )


def _blob(digest: object, size: object, xxh3: object, generation: object, aliases: str) -> NewBlob:
    others = tuple(Digest(_text(one)) for one in orjson.loads(aliases))
    if not isinstance(size, int) or not isinstance(generation, int) or min(size, generation) < 0:
        raise ValueError("a size is out of bounds")
    if not _is_xxh3(_text(xxh3)) or not _text(digest).startswith("sha256:"):
        raise ValueError("a blob has no digest")
    return NewBlob(Digest(_text(digest)), size, _text(xxh3), generation, others)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is none")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _bytes_or_none(value: object) -> bytes | None:
    """A document: JSON, as bytes or text."""
    if value is None:
        return None
    if not isinstance(value, bytes | str):
        raise TypeError("a document is none")
    data = value.encode() if isinstance(value, str) else value
    orjson.loads(data)
    return data


def _table(value: object) -> dict[str, str]:
    found = {} if value is None else orjson.loads(_text(value))
    if not isinstance(found, dict):
        raise TypeError("an object is none")
    return {name: _text(said) for name, said in found.items()}


def _time(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError("a time is none")
    return float(value)
