"""What happens once before the catalog is used: suitability, creation, migration, and a look for damage.

Start-up may not depend on how much is stored, so the look is bounded. Always: the log is folded in (its
size is bounded), the file has the length that its header says, its schema is the one of its version, and
each table and index can be walked to its first row. Then SQLite's own check runs for at most
CHECK_SECONDS: a small catalog is checked wholly, a large one in part. Damage that is met later is
StorageFailed for the request that meets it, never an absence.

A catalog that was lost is not made anew: nothing starts as an empty registry over somebody's data.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from nora.catalog.sqlite.engine import Connection, connect_writer
from nora.catalog.sqlite.schema import MIGRATIONS
from nora.errors import CatalogUnusable, StorageFailed
from nora.locks import Turnstile, file_system_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

APPLICATION_ID: Final = 0x4E4F5241
"""`NORA`, in the header of the file: another program's database is not migrated by mistake."""

CHECK_SECONDS: Final = 0.1
"""Enough for a catalog of about 25,000 files."""

OLDEST_SQLITE: Final = (3, 35, 0)

NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "fhgfs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4"}
    | {"smb3", "smbfs", "virtiofs"}
)
"""Their locks, and the shared memory of SQLite's log, do not hold between machines."""


FindObject = Callable[[], str | None]
"""The path of some stored object, None when there is none. Raises OSError."""


def prepare(
    path: Path,
    *,
    allow_fuse: bool,
    find_object: FindObject = lambda: None,
    migrations: Sequence[Sequence[str]] = MIGRATIONS,
) -> None:
    """Create the catalog at `path`, or bring it to the newest version. Raises CatalogUnusable.

    Called by one process, under the lock of the data directory, before any other opens the catalog.
    """
    _check_library()
    _check_file_system(path, allow_fuse)
    try:
        _check_not_lost(path, find_object)
        _ensure_file(path)
        with (
            closing(Turnstile(path)) as turnstile,
            turnstile,
            closing(connect_writer(path, any_thread=True)) as db,
        ):
            _check_owner(db, path, len(migrations))
            _fold_log(db, path)
            _migrate(db, migrations)
            _check_schema(db, path, migrations)
            if not _was_used(db):
                _refuse_over_objects(path, find_object)
            _check_roots(db)
            _check_content(db, path)
    except (sqlite3.Error, StorageFailed) as error:
        raise CatalogUnusable(f"the catalog {path} cannot be used: {error}") from error
    except OSError as error:
        raise CatalogUnusable(f"the catalog {path} cannot be used: {error.strerror}") from error


def _check_library() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise CatalogUnusable(f"SQLite {sqlite3.sqlite_version} is too old: {oldest} or newer is needed")
    with closing(sqlite3.connect(":memory:")) as db:
        try:
            db.execute("CREATE VIRTUAL TABLE probe USING fts5(text)")
        except sqlite3.OperationalError as error:
            version = sqlite3.sqlite_version
            raise CatalogUnusable(f"SQLite {version} was built without full-text search (FTS5)") from error


def _check_file_system(path: Path, allow_fuse: bool) -> None:
    kind = file_system_type(path.parent)
    if kind is None:
        return
    base, _, behind = kind.partition(".")
    if base in NETWORK_FILE_SYSTEMS or behind in NETWORK_FILE_SYSTEMS:
        raise CatalogUnusable(
            f"{path.parent} is on a network file system ({kind}), where SQLite's locks and shared "
            "memory do not hold; put the data directory on a local disk"
        )
    if base.startswith("fuse") and not allow_fuse:
        raise CatalogUnusable(
            f"{path.parent} is on a FUSE file system ({kind}), which may be remote and may lose what "
            "was synced; put the data directory on a local disk"
        )


def _check_not_lost(path: Path, find_object: FindObject) -> None:
    """Whether a catalog may be made here, if there is none, or nothing in it."""
    if _size(path):
        return
    log = path.with_name(path.name + "-wal")
    if _size(log):
        raise CatalogUnusable(
            f"the catalog {path} is missing or empty, but its log {log.name} is there: the file was lost, "
            f"and the log is no use alone. Put back {path.name} as it was beside the log, or restore both "
            f"from one backup. To begin an empty registry all the same, move {log.name} and the blobs away"
        )
    _refuse_over_objects(path, find_object)


def _refuse_over_objects(path: Path, find_object: FindObject) -> None:
    found = find_object()
    if found is not None:
        raise CatalogUnusable(
            f"the catalog {path} is missing or empty, but there are stored blobs ({found}, for one): without "
            f"it nobody knows what they are. Restore {path.name}, with its -wal if there is one, from a "
            "backup. To begin an empty registry all the same, move the blobs away"
        )


def _was_used(db: Connection) -> bool:
    """Whether a server has ever begun to use the catalog: each start makes sure of its repositories."""
    known = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'repository'").fetchone()
    return known is not None and db.execute("SELECT 1 FROM repository LIMIT 1").fetchone() is not None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _ensure_file(path: Path) -> None:
    """Make the file, for its owner alone, and its name durable: SQLite syncs only what is in it."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    if sys.platform != "win32":  # which opens no directories
        fd = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _check_owner(db: Connection, path: Path, newest: int) -> None:
    version = _pragma(db, "user_version")
    if version > newest:
        raise CatalogUnusable(
            f"the catalog {path} has schema version {version}, this NORA knows versions up to {newest}: "
            "start the NORA that wrote it, or a newer one"
        )
    empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if _pragma(db, "application_id") != APPLICATION_ID and not (empty and version == 0):
        raise CatalogUnusable(f"{path} is a database of another program")


def _fold_log(db: Connection, path: Path) -> None:
    """Move the log into the file, after which the file must have the length that it claims."""
    if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise CatalogUnusable(f"SQLite cannot keep a write-ahead log beside {path}")
    busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    claimed = _pragma(db, "page_count") * _pragma(db, "page_size")
    if not busy and path.stat().st_size < claimed:
        raise CatalogUnusable(
            f"the catalog {path} is damaged: it is {path.stat().st_size} bytes long where {claimed} are "
            "expected; restore it from a backup"
        )


def _migrate(db: Connection, migrations: Sequence[Sequence[str]]) -> None:
    """Each step is one transaction together with its number: a crash leaves a whole version."""
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = OFF")
    for number in range(_pragma(db, "user_version") + 1, len(migrations) + 1):
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in migrations[number - 1]:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {number}")
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")


def _check_schema(db: Connection, path: Path, migrations: Sequence[Sequence[str]]) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        for statements in migrations:
            for statement in statements:
                model.execute(statement)
        missing = _schema(model) - _schema(db)
    if missing:
        names = ", ".join(sorted(name for name, _ in missing))
        raise CatalogUnusable(
            f"the catalog {path} is damaged: its schema differs at {names}; restore a backup"
        )


def _check_roots(db: Connection) -> None:
    """Walk to the first row of each table and index: damage on the way raises sqlite3.DatabaseError."""
    for table, index, sql in db.execute(
        "SELECT tbl_name, iif(type = 'index', name, NULL), sql FROM sqlite_master WHERE rootpage > 0"
    ).fetchall():
        hint = "NOT INDEXED"
        if index is not None:
            hint = f'INDEXED BY "{index}"'
            _, where, condition = (sql or "").partition(" WHERE ")
            hint += where + condition  # a partial index serves only queries that imply its condition
        db.execute(f'SELECT * FROM "{table}" {hint} LIMIT 1').fetchall()  # noqa: S608


def _check_content(db: Connection, path: Path) -> None:
    with _interrupted_after(db, CHECK_SECONDS):
        try:
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            return
    if verdict != "ok":
        raise CatalogUnusable(f"the catalog {path} is damaged ({verdict}); restore it from a backup")


@contextmanager
def _interrupted_after(db: Connection, seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, db.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _schema(db: Connection) -> set[tuple[str, str]]:
    rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {(name, sql) for name, sql in rows if not name.startswith("sqlite_")}


def _pragma(db: Connection, name: str) -> int:
    value: int = db.execute(f"PRAGMA {name}").fetchone()[0]
    return value
