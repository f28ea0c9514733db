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
      damaged/<hex>-<generation>                 an object whose bytes are others by now, put aside
      tmp/<16 hex>                               more bytes on their way in; locked by their writer, so what
                                                 can be locked was left by a crash
      audit.jsonl  audit.jsonl.1 …               the audit log and what was put aside of it; .lock is its lock
      restore.partial                            a backup is being put back, or was not to its end
      catalog.sqlite3.replaced  ….replaced.2 …   catalogs that were here before a backup was put back
      nora.lock  password.lock  removal.lock     locked by the server of this directory, by the process that
                                                 checks a password, and by who removes stored objects, or
                                                 keeps others from it while it copies them; never removed

What is on its way has a tree of its own, in the same root: see nora.blobs.scratch. The file system knows
flock and hard links: files come to their final names by rename and by link. Directories and files are made
for their owner alone (0700, 0600); a directory that exists keeps the mode that it was given.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from glob import escape, glob
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nora.model import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nora.catalog.records import Blob, NewBlob

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600

SHARDS: Final = tuple(f"{number:02x}" for number in range(256))
"""The names of the folders of objects."""
DRAFT: Final = ".draft"
"""The end of the name of an object that is being written."""
_OBJECT: Final = re.compile(r"([0-9a-f]{64})-([0-9a-f]{16})(\.draft)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as a listing has it, whether a row names it or not."""

    digest: Digest
    """sha256."""
    generation: int
    size: int
    changed_at: float
    """Since when it has its name, in seconds since the epoch; of an object in a bucket perhaps when it was
    begun."""
    is_draft: bool = False

    @classmethod
    def of(cls, name: str, size: int, changed_at: float) -> StoredObject | None:
        """What the name of a file or the end of a key says; None for a stranger's."""
        found = _OBJECT.fullmatch(name)
        if found is None:
            return None
        digest, generation, draft = found.groups()
        return cls(Digest(f"sha256:{digest}"), int(generation, 16), size, changed_at, draft is not None)


class Layout:
    """The tree under one root. Builds paths from values that were parsed before, and never looks at them."""

    __slots__ = (
        "audit",
        "catalog",
        "objects",
        "password_lock",
        "removal_lock",
        "restoring",
        "root",
        "temporary",
    )

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.path.abspath(root)
        self.catalog = Path(self.root, "catalog.sqlite3")
        self.audit = Path(self.root, "audit.jsonl")
        self.password_lock = Path(self.root, "password.lock")
        self.removal_lock = Path(self.root, "removal.lock")
        self.restoring = Path(self.root, "restore.partial")
        self.objects = f"{self.root}/blobs/sha256"
        """The folder of the folders of stored objects."""
        self.temporary = f"{self.root}/tmp"  # noqa: S108
        """The folder of bytes on their way in."""

    def shard(self, blob: Blob | NewBlob) -> str:
        """The folder of an object: made by the first ingest that needs it, see `make_shard`."""
        return f"{self.objects}/{blob.digest[7:9]}"

    def blob(self, blob: Blob | NewBlob | StoredObject) -> str:
        """The file of an object."""
        digest = blob.digest
        return f"{self.objects}/{digest[7:9]}/{digest[7:]}-{blob.generation:016x}"

    def damaged(self, blob: Blob) -> str:
        """The file of an object that was put aside, because it has other bytes than were written."""
        return f"{self.root}/damaged/{blob.digest[7:]}-{blob.generation:016x}"

    def draft(self, blob: NewBlob) -> str:
        """Where a small object is written before it gets its name: in the same folder, so that this takes one
        folder's lock, and where nobody sweeps by the clock."""
        return f"{self.blob(blob)}{DRAFT}"

    def list_objects(self, shard: str) -> list[StoredObject]:
        """What is in a folder of objects, drafts too; strangers are passed over. Raises OSError."""
        found = []
        try:
            with os.scandir(f"{self.objects}/{shard}") as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # it was renamed or removed meanwhile
                        status = entry.stat(follow_symlinks=False)
                        # Not when it was written: a session may have lain for long before it got its name
                        made = StoredObject.of(entry.name, status.st_size, status.st_ctime)
                        if made is not None and stat.S_ISREG(status.st_mode):
                            found.append(made)
        except FileNotFoundError:  # the first object makes the folder
            if not os.path.isdir(self.objects):
                raise
        return found

    def replaced_catalogs(self) -> Iterator[Path]:
        """Where catalogs are put that a restore replaces, each where none is, without an end."""
        name = f"{self.catalog}.replaced"
        yield Path(name)
        for number in count(2):
            yield Path(f"{name}.{number}")

    def has_replaced_catalog(self) -> bool:
        """Whether one was put aside, and may be put back: objects of it are here still."""
        found = glob(f"{escape(str(self.catalog))}.replaced*")
        return any(not name.endswith(("-wal", "-shm")) for name in found)

    def temp(self, number: int) -> str:
        """A file for bytes on their way in, by a random number of at most 64 bits."""
        return f"{self.temporary}/{number:016x}"

    def create(self) -> None:
        """Make the directories that are missing, durably. Raises OSError."""
        make_directories(self.root, ("blobs", "tmp"))
        make_directories(f"{self.root}/blobs", ("sha256",))

    def make_shard(self, blob: Blob | NewBlob) -> list[str]:
        """Make the folder of an object unless it is there; returns the folders that there are now. They are
        durable when the caller has made those of `objects` durable. Raises OSError."""
        with suppress(FileExistsError):
            os.mkdir(self.shard(blob), DIRECTORY_MODE)
        return [f"{self.objects}/{name}" for name in os.listdir(self.objects)]

    def empty_temporary(self) -> list[str]:
        """Remove what a crash left in tmp/, before any worker starts. See `empty`."""
        return empty(self.temporary)

    def find_object(self) -> str | None:
        """Some stored object; None when there is none. Raises OSError."""
        for shard in sorted(os.listdir(self.objects)) if os.path.isdir(self.objects) else ():
            if len(shard) == 2 and os.path.isdir(f"{self.objects}/{shard}"):
                with os.scandir(f"{self.objects}/{shard}") as entries:
                    found = next((entry.path for entry in entries if _is_object(entry.name)), None)
                if found is not None:
                    return found
        return None


def _is_object(name: str) -> bool:
    return not name.endswith(DRAFT) and _OBJECT.fullmatch(name) is not None


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
