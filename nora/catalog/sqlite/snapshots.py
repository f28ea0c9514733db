"""Copies of a catalog as it was at one moment, each in a file of its own: what backups keep.

Everything here blocks: for threads and commands.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nora.catalog.records import Blob
from nora.catalog.sqlite import queries, upload_queries
from nora.catalog.sqlite.engine import Connection, connect_writer, translate
from nora.catalog.sqlite.preparation import APPLICATION_ID
from nora.catalog.sqlite.schema import SCHEMA_VERSION
from nora.errors import CatalogUnusable
from nora.model import Digest

SECRET_TABLES: Final = ("token", "secret", "spent")
"""Whose rows let somebody in, or sign."""

Value = str | int | float | bytes | None
Rows = list[dict[str, Value]]

_OBJECTS: Final = """
SELECT id, digest, size, generation, created_at FROM blob WHERE state = 'live' ORDER BY digest"""


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob that the catalog names, and when it came."""

    blob: Blob
    created_at: float
    """Seconds since the epoch."""


class Snapshot:
    """A copy in a file. Its methods raise StorageFailed, StorageFull."""

    def __init__(self, path: Path) -> None:
        """One that is there."""
        self.path = path

    @classmethod
    def take(cls, catalog: Path, path: Path) -> Snapshot:
        """Copy a catalog that may be in use: as it is now, for the file's owner alone. What is under way, the
        upload sessions, is left out, as are blobs that are being collected."""
        for name in (path, path.with_name(path.name + "-journal")):
            name.unlink(missing_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        try:
            with closing(connect_writer(catalog, any_thread=True)) as db:
                db.execute("VACUUM INTO ?", (str(path),))
        except sqlite3.Error as error:
            raise translate(error) from error
        snapshot = cls(path)
        snapshot._leave_out()
        return snapshot

    def _leave_out(self) -> None:
        with self._open(changes=True) as db:
            for (upload,) in db.execute("SELECT id FROM upload").fetchall():
                package = db.execute(upload_queries.DELETE_UPLOAD, (upload,)).fetchone()
                db.execute(queries.DELETE_OPENED_PACKAGE, package)
            db.execute("DELETE FROM blob WHERE state = 'doomed'")

    @property
    def schema(self) -> int:
        """Its version."""
        with self._open() as db:
            version: int = db.execute("PRAGMA user_version").fetchone()[0]
        return version

    def measure(self) -> tuple[int, int]:
        """How many blobs it names, and their bytes."""
        with self._open() as db:
            blobs, size = db.execute(
                "SELECT count(*), coalesce(sum(size), 0) FROM blob WHERE state = 'live'"
            ).fetchone()
        return blobs, size

    def objects(self) -> Iterator[Stored]:
        """What it names, by digest."""
        with self._open() as db:
            for number, digest, size, generation, created_at in db.execute(_OBJECTS):
                yield Stored(Blob(number, Digest(digest), size, generation), created_at)

    def take_secrets(self) -> Mapping[str, Rows]:
        """Remove the rows that are secret, also from the file's free pages, and return them by table."""
        with self._open(changes=True) as db:
            found = {table: _rows(db, table) for table in SECRET_TABLES}
            for table in SECRET_TABLES:
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - a constant of this module
        return found

    def put_secrets(self, secrets: Mapping[str, Rows]) -> None:
        """Put back what `take_secrets` has taken, of a catalog of this or an earlier version."""
        with self._open(changes=True) as db:
            for table in SECRET_TABLES:
                for row in secrets.get(table, ()):
                    known = [
                        name for (name,) in db.execute("SELECT name FROM pragma_table_info(?)", (table,))
                    ]
                    if not set(row) <= set(known):
                        raise CatalogUnusable(f"secrets of the backup do not fit its catalog: {table}")
                    names, marks = ", ".join(row), ", ".join("?" * len(row))
                    statement = f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608
                    db.execute(statement, tuple(row.values()))

    def check(self) -> None:
        """Raise CatalogUnusable unless it is a catalog that this NORA can use, and whole."""
        try:
            with closing(sqlite3.connect(self._uri(), uri=True)) as db:
                owner = db.execute("PRAGMA application_id").fetchone()[0]
                version = db.execute("PRAGMA user_version").fetchone()[0]
                verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.Error as error:
            raise CatalogUnusable(f"the catalog of the backup cannot be read: {error}") from error
        if owner != APPLICATION_ID or verdict != "ok":
            raise CatalogUnusable(f"the catalog of the backup is damaged ({verdict})")
        if version > SCHEMA_VERSION:
            raise CatalogUnusable(
                f"the catalog of the backup has schema version {version}, this NORA knows versions up to "
                f"{SCHEMA_VERSION}: restore it with the NORA that made it, or a newer one"
            )

    def is_blank(self) -> bool:
        """Whether it holds nothing: no package, no blob, no token."""
        with self._open() as db:
            return not any(
                db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()  # noqa: S608 - constants
                for table in ("package", "blob", "token")
                if db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
            )

    def remove(self) -> None:
        """Remove the file, and what SQLite has put beside it."""
        for end in ("", "-journal", "-wal", "-shm"):
            Path(f"{self.path}{end}").unlink(missing_ok=True)

    @contextmanager
    def _open(self, *, changes: bool = False) -> Iterator[Connection]:
        """A connection for a block, at whose end what it `changes` is committed."""
        try:
            with closing(sqlite3.connect(self._uri(), uri=True, isolation_level=None)) as db:
                db.execute("PRAGMA foreign_keys = ON")
                db.execute("PRAGMA secure_delete = ON")
                if changes:
                    db.execute("BEGIN")
                yield db
                if changes:
                    db.execute("COMMIT")
        except sqlite3.Error as error:
            raise translate(error) from error

    def _uri(self) -> str:
        return f"{self.path.absolute().as_uri()}?mode=rw"


def _rows(db: Connection, table: str) -> Rows:
    found = db.execute(f"SELECT * FROM {table}")  # noqa: S608 - a constant of this module
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]
