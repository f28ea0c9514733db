"""What lies where under `storage.path`. The only module that builds paths of stored files.

    <root>/
      catalog.sqlite3                            the catalog of a single machine; -wal and -shm beside it are
                                                 SQLite's, .turn and .write its writers' turnstile
      blobs/sha256/<first 2 hex>/<hex>-<generation>
                                                 a stored object: exactly the bytes of that sha256.
                                                 <generation>, 16 hex digits, is random: two ingests of the
                                                 same bytes never share an object; the catalog's row says
                                                 which one lives, and an object that no row names is garbage
      blobs/sha256/<first 2 hex>/<hex>-<generation>.draft
                                                 a small object that is being written; one that was left by a
                                                 crash is garbage, as an object that no row names
      tmp/<16 hex>                               more bytes on their way in; locked by their writer, so what
                                                 can be locked was left by a crash
      audit.jsonl  audit.jsonl.1 …               the audit log and what was put aside of it; .lock is its lock
      nora.lock  password.lock                   locked by the server of this directory, and by the process
                                                 that checks a password; never removed

What is on its way has a tree of its own, in the same root: see nora.blobs.scratch. The file system knows
flock and hard links: files come to their final names by rename and by link. Directories and files are made
for their owner alone (0700, 0600); a directory that exists keeps the mode that it was given.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nora.catalog.records import Blob, NewBlob

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600

_OBJECT: Final = re.compile(r"[0-9a-f]{64}-[0-9a-f]{16}", re.ASCII)
_SHARDS: Final = tuple(f"{number:02x}" for number in range(256))


class Layout:
    """The tree under one root. Builds paths from values that were parsed before, and never looks at them."""

    __slots__ = (
        "audit",
        "catalog",
        "password_lock",
        "root",
        "temporary",
    )

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.path.abspath(root)
        self.catalog = Path(self.root, "catalog.sqlite3")
        self.audit = Path(self.root, "audit.jsonl")
        self.password_lock = Path(self.root, "password.lock")
        self.temporary = f"{self.root}/tmp"  # noqa: S108
        """The folder of bytes on their way in."""

    def shard(self, blob: Blob | NewBlob) -> str:
        """The folder of an object."""
        return f"{self.root}/blobs/sha256/{blob.digest[7:9]}"

    def blob(self, blob: Blob | NewBlob) -> str:
        """The file of an object."""
        digest = blob.digest
        return f"{self.root}/blobs/sha256/{digest[7:9]}/{digest[7:]}-{blob.generation:016x}"

    def draft(self, blob: NewBlob) -> str:
        """Where a small object is written before it gets its name: in the same folder, so that this takes one
        folder's lock, and where nobody sweeps by the clock."""
        return f"{self.blob(blob)}.draft"

    def temp(self, number: int) -> str:
        """A file for bytes on their way in, by a random number of at most 64 bits."""
        return f"{self.temporary}/{number:016x}"

    def create(self) -> None:
        """Make the directories that are missing, durably. Raises OSError.

        The shards are made here, before any worker starts, so that an ingest never makes a directory.
        """
        make_directories(self.root, ("blobs", "tmp"))
        make_directories(f"{self.root}/blobs", ("sha256",))
        make_directories(f"{self.root}/blobs/sha256", _SHARDS)

    def empty_temporary(self) -> list[str]:
        """Remove what a crash left in tmp/, before any worker starts. See `empty`."""
        return empty(self.temporary)

    def find_object(self) -> str | None:
        """Some stored object; None when there is none. Raises OSError."""
        shards = f"{self.root}/blobs/sha256"
        for shard in sorted(os.listdir(shards)) if os.path.isdir(shards) else ():
            if len(shard) == 2 and os.path.isdir(f"{shards}/{shard}"):
                with os.scandir(f"{shards}/{shard}") as entries:
                    found = next((entry.path for entry in entries if _OBJECT.fullmatch(entry.name)), None)
                if found is not None:
                    return found
        return None


def empty(folder: str) -> list[str]:
    """Remove the files of a folder; returns the directories, which are somebody else's. Raises OSError."""
    strangers = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                strangers.append(entry.path)
            else:
                with suppress(FileNotFoundError):
                    os.unlink(entry.path)
    return strangers


def make_directories(parent: str, names: tuple[str, ...]) -> None:
    """Make the directories that are missing in a parent, and the parent, durably. Raises OSError."""
    if not os.path.isdir(parent):
        os.makedirs(parent, DIRECTORY_MODE, exist_ok=True)
        _sync_directory(os.path.dirname(os.path.abspath(parent)))
    missing = set(names).difference(os.listdir(parent))
    for name in sorted(missing):
        os.makedirs(f"{parent}/{name}", DIRECTORY_MODE, exist_ok=True)
    if missing:
        _sync_directory(parent)


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
