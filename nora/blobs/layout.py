"""What lies where under `storage.path`. The only module that builds paths of stored files.

    <root>/
      catalog.sqlite3                            the catalog of a single machine; -wal and -shm beside it are
                                                 SQLite's, .turn and .write its writers' turnstile
      blobs/sha256/<first 2 hex>/<hex>-<generation>
                                                 a stored object: exactly the bytes of that sha256.
                                                 <generation>, 16 hex digits, is random: two ingests of the
                                                 same bytes never share an object; the catalog's row says
                                                 which one lives, and an object that no row names is garbage
      uploads/<uuid>                             the bytes of an upload session; its row says how many count
      render_cache/<32 hex>                      documents that were computed, too large for memory; swept
      tmp/<16 hex>                               bytes on their way in; locked by their writer, so what can
                                                 be locked was left by a crash
      downloads/<32 hex>                         locked by who asks an upstream for something: the name is a
                                                 hash of what, the content says how it stands
      downloads/<32 hex>.<16 hex>                the bytes of a file that is on its way from an upstream, one
                                                 name for each attempt; locked by their writer
      negative_cache                             what upstreams said they do not have, in slots of one size
      audit.jsonl  audit.jsonl.1 …               the audit log and what was put aside of it; .lock is its lock
      locks/<work>                               locked by the process that does what only one does
      nora.lock  password.lock                   locked by the server of this directory, and by the process
                                                 that checks a password; never removed, nor are locks/

Everything is on one file system, which knows flock and hard links: files come to their final names by rename
and by link. Directories and files are made for their owner alone (0700, 0600); a directory that exists keeps
the mode that it was given.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nora.catalog.records import Blob, NewBlob

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600

_SHARDS: Final = tuple(f"{number:02x}" for number in range(256))


class Layout:
    """The tree under one root. Builds paths from values that were parsed before, and never looks at them."""

    __slots__ = (
        "audit",
        "catalog",
        "downloads",
        "locks",
        "negative_cache",
        "password_lock",
        "render_cache",
        "root",
        "temporary",
        "uploads",
    )

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.path.abspath(root)
        self.catalog = Path(self.root, "catalog.sqlite3")
        self.audit = Path(self.root, "audit.jsonl")
        self.password_lock = Path(self.root, "password.lock")
        self.locks = f"{self.root}/locks"
        """The folder of the locks of nora.http.tasks.Exclusive."""
        self.render_cache = f"{self.root}/render_cache"
        """The folder of computed documents: see nora.http.render_cache."""
        self.temporary = f"{self.root}/tmp"  # noqa: S108
        """The folder of bytes on their way in."""
        self.uploads = f"{self.root}/uploads"
        """The folder of upload sessions."""
        self.downloads = f"{self.root}/downloads"
        """The folder of what is on its way from upstreams."""
        self.negative_cache = f"{self.root}/negative_cache"

    def shard(self, blob: Blob | NewBlob) -> str:
        """The folder of an object."""
        return f"{self.root}/blobs/sha256/{blob.digest[7:9]}"

    def blob(self, blob: Blob | NewBlob) -> str:
        """The file of an object."""
        digest = blob.digest
        return f"{self.root}/blobs/sha256/{digest[7:9]}/{digest[7:]}-{blob.generation:016x}"

    def temp(self, number: int) -> str:
        """A file for bytes on their way in, by a random number of at most 64 bits."""
        return f"{self.temporary}/{number:016x}"

    def upload(self, upload_id: str) -> str:
        """The file of an upload session; the id is one that `nora.blobs.uploads` has checked."""
        return f"{self.root}/uploads/{upload_id}"

    def download(self, key: str) -> str:
        """The file whose holder may ask an upstream for what `key` names."""
        return f"{self.downloads}/{blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"

    def part(self, download: str, number: int) -> str:
        """The file for the bytes of a download, by the random number of the attempt."""
        return f"{download}.{number:016x}"

    def create(self) -> None:
        """Make the directories that are missing, durably. Raises OSError.

        The shards are made here, before any worker starts, so that an ingest never makes a directory.
        """
        if not os.path.isdir(self.root):
            os.makedirs(self.root, DIRECTORY_MODE, exist_ok=True)
            _sync_directory(os.path.dirname(os.path.abspath(self.root)))
        _fill(self.root, ("blobs", "render_cache", "uploads", "tmp", "downloads", "locks"))
        _fill(f"{self.root}/blobs", ("sha256",))
        _fill(f"{self.root}/blobs/sha256", _SHARDS)

    def empty_temporary(self) -> None:
        """Remove what a crash left in tmp/, downloads/, render_cache/, before any worker starts.

        After a power loss a file of these may not hold what was written to it. Raises OSError.
        """
        for folder in (self.temporary, self.downloads, self.render_cache):
            with os.scandir(folder) as entries:
                for entry in entries:
                    os.unlink(entry.path)


def _fill(parent: str, names: tuple[str, ...]) -> None:
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
