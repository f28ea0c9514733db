"""Connections to SQLite, and the one place where its errors become ours."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from nora.errors import NoraError, StorageBusy, StorageFailed, StorageFull

Connection = sqlite3.Connection

READ_CACHE: Final = 2 << 20
"""Bytes of the page cache of the reader that point reads go to, filled on demand. What is asked for
often is kept as answers, and the system has the file in memory once for all processes: a larger cache saves
copying a page at a read that is new, and each worker pays for it. There is no mmap, which would share the
pages: an I/O error in mapped memory kills the process instead of failing a read."""

LISTING_CACHE: Final = 512 << 10
"""Bytes of that of a reader for long listings, which look at most pages once."""

WRITE_CACHE: Final = 2 << 20
"""Bytes of the page cache of a writer."""

WAL_LIMIT: Final = 4 << 20
"""Bytes of the log at which a commit checkpoints in any case. With the reserve that uploads leave free
(`storage.reserve`), a delete on a full disk has room: it needs a few pages of log."""

PAGE_SIZE: Final = 4096

_PATIENCE_OF_READER = 1.0
_PATIENCE_OF_WRITER = 5.0

# Primary result codes; everything that is not listed is StorageFailed: I/O errors, damage, a read-only
# or vanished file. https://www.sqlite.org/rescode.html
_TRANSLATION: Final[dict[int, tuple[type[NoraError], str]]] = {
    sqlite3.SQLITE_FULL: (StorageFull, "no room left for the catalog"),
    sqlite3.SQLITE_BUSY: (StorageBusy, "the catalog is busy"),
    sqlite3.SQLITE_LOCKED: (StorageBusy, "the catalog is busy"),
}


def translate(error: sqlite3.Error) -> NoraError:
    """The error of ours for one of SQLite's. Most specific wins; never an absence."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    kind, message = _TRANSLATION.get(code & 0xFF, (StorageFailed, f"the catalog failed: {error}"))
    return kind(message)


def connect_reader(path: Path, cache: int = READ_CACHE) -> Connection:
    """A connection for the reads of this thread. Raises sqlite3.Error."""
    db = _connect(path, _PATIENCE_OF_READER, cache)
    db.execute("PRAGMA query_only = ON")
    return db


def connect_writer(path: Path, *, any_thread: bool = False) -> Connection:
    """A connection for write transactions, which the caller begins and ends. Raises sqlite3.Error."""
    db = _connect(path, _PATIENCE_OF_WRITER, WRITE_CACHE, check_same_thread=not any_thread)
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA secure_delete = OFF")
    db.execute(f"PRAGMA wal_autocheckpoint = {WAL_LIMIT // PAGE_SIZE}")
    db.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
    return db


def _connect(path: Path, busy_seconds: float, cache: int, *, check_same_thread: bool = True) -> Connection:
    # mode=rw: a catalog that vanished is a failure, not a reason to make an empty one.
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        cached_statements=128,
        check_same_thread=check_same_thread,
    )
    try:
        db.execute(f"PRAGMA cache_size = {-cache // 1024}")
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute("PRAGMA mmap_size = 0")
    except BaseException:
        db.close()
        raise
    return db
