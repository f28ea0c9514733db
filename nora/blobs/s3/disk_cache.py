"""Large objects of a bucket that are kept on a disk of this machine, too: what was read last, so many bytes.

    <folder>/<64 hex>            all bytes of that sha256: compared before it has its name, and durable then
    <folder>/<64 hex>.<16 hex>   more of them on their way, as long as they will be; locked by their writer
    <folder>/lock                locked by who looks for room

All processes of the machine share it, and nothing is lost with it: whoever reads has the file open, so it may
be removed at any time. When it was used last is its time of modification.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nora.blobs.files import LockedTempFile, remove, remove_unheld
from nora.blobs.hashes import new_generation
from nora.blobs.layout import DIRECTORY_MODE
from nora.errors import NoraError, StorageFailed, StorageFull
from nora.locks import FileLock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from nora.blobs.disk import Disk
    from nora.catalog.records import Blob
    from nora.model import Digest

_log = logging.getLogger(__name__)

SMALLEST_BYTES: Final = 1 << 20
"""What is smaller is quickly had from the bucket, and would be many files."""
IDLE_SECONDS: Final = 60.0
LOCK: Final = "lock"


class DiskCache:
    """At most `size` bytes below `folder`, which is made when it is needed. The methods block and raise
    OSError."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = str(folder)
        self.size = size
        self.coming: set[Digest] = set()
        """What this process is about to keep: once is enough."""

    def _path(self, blob: Blob) -> str:
        return f"{self.folder}/{blob.digest[7:]}"

    def may_keep(self, blob: Blob) -> bool:
        """Whether its size is one that is kept."""
        return SMALLEST_BYTES <= blob.size <= self.size

    def open(self, blob: Blob) -> int | None:
        """A descriptor of all bytes of a blob, which is to be closed; None when they are not here."""
        path = self._path(blob)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        if os.fstat(descriptor).st_size != blob.size:  # somebody has changed it
            os.close(descriptor)
            self.remove(blob)
            return None
        with suppress(OSError):
            os.utime(path)
        return descriptor

    def begin(self, blob: Blob, temp: LockedTempFile) -> None:
        """Make a file for the bytes of a blob, at the cost of those that nobody has read for longest. Raises
        StorageFull when there is no room even so."""
        os.makedirs(self.folder, DIRECTORY_MODE, exist_ok=True)
        lock = FileLock(Path(self.folder, LOCK))
        lock.acquire()
        try:
            self._make_room(blob.size)
            temp.create()
            os.truncate(temp.fd, blob.size)  # who looks for room next counts all of it
        finally:
            lock.close()

    def temp(self, blob: Blob) -> LockedTempFile:
        """For `begin`."""
        return LockedTempFile(f"{self._path(blob)}.{new_generation():016x}")

    def keep(self, blob: Blob, temp: LockedTempFile) -> None:
        """Give the bytes, which were compared, their name; they are read from here on."""
        os.fsync(temp.fd)
        temp.rename(self._path(blob))
        temp.close()

    def remove(self, blob: Blob) -> None:
        """Forget a blob; nothing when it is not here."""
        remove(self._path(blob))

    def _make_room(self, wanted: int) -> None:
        kept, taken, now = [], 0, time.time()
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if entry.name == LOCK or not entry.is_file(follow_symlinks=False):
                        continue
                    if "." not in entry.name:
                        kept.append((status.st_mtime, status.st_size, entry.path))
                    elif now - status.st_mtime > IDLE_SECONDS and remove_unheld(entry.path):
                        continue  # its writer was killed
                    taken += status.st_size
        for _, size, path in sorted(kept):
            if taken + wanted <= self.size:
                break
            remove(path)
            taken -= size
        if taken + wanted > self.size:
            raise StorageFull("the disk cache is filled by what is on its way")


class Kept:
    """A blob that may be in the cache, open as long as it is read; who is cancelled can still close it."""

    __slots__ = ("_blob", "_cache", "_disk", "_fd")

    def __init__(self, cache: DiskCache, disk: Disk, blob: Blob) -> None:
        self._cache = cache
        self._disk = disk
        self._blob = blob
        self._fd = -1

    async def open(self) -> bool:
        """Whether it is there. A disk that fails has nothing."""
        try:
            return await self._disk.run(self._open)
        except NoraError as error:
            _log.warning("the disk cache cannot be read: %s", error)
            return False

    def _open(self) -> bool:
        found = self._cache.open(self._blob)
        self._fd = -1 if found is None else found
        return found is not None

    async def read(self, start: int, stop: int, piece: int) -> AsyncGenerator[bytes, None]:
        """Bytes start..stop (exclusive), so many at a time. Raises StorageFailed."""
        while start < stop:
            data = await self._disk.run(os.pread, self._fd, min(piece, stop - start), start)
            if not data:
                raise StorageFailed("the kept bytes are fewer than they were")
            start += len(data)
            yield data

    async def forget(self) -> None:
        """Remove it from the cache: it has other bytes than were kept."""
        with suppress(NoraError):
            await self._disk.run(self._cache.remove, self._blob)

    def close(self) -> None:
        """Close it, if it is open."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Filling:
    """A blob on its way into the cache beside its reader, who never fails with it."""

    __slots__ = ("_blob", "_cache", "_disk", "_is_on", "_size", "_temp")

    def __init__(self, cache: DiskCache, disk: Disk, blob: Blob) -> None:
        self._cache = cache
        self._disk = disk
        self._blob = blob
        self._temp = cache.temp(blob)
        self._size = 0
        self._is_on = False

    async def begin(self) -> bool:
        """Whether it is to be kept: its size says so, there is room, and nobody here is at it."""
        if self._cache.may_keep(self._blob) and self._blob.digest not in self._cache.coming:
            self._cache.coming.add(self._blob.digest)
            self._is_on = True
            await self._try(self._cache.begin, self._blob, self._temp)
        return self._is_on

    async def write(self, data: bytes) -> None:
        """What comes next."""
        await self._try(self._temp.write, data, self._size)
        self._size += len(data)

    async def keep(self) -> None:
        """All of it has come, and is what it is to be."""
        await self._try(self._cache.keep, self._blob, self._temp)
        self._leave()

    async def end(self) -> None:
        """Nothing more comes; what is not kept goes."""
        if self._is_on:
            self._leave()
            if self._temp.made:
                with suppress(NoraError):  # what stays is swept
                    await self._disk.run(self._temp.discard)

    async def _try(self, call: Callable[..., object], *arguments: object) -> None:
        if not self._is_on:
            return
        try:
            await self._disk.run(call, *arguments)
        except NoraError as error:
            _log.warning("nothing is kept in the disk cache of %s: %s", self._blob.digest, error)
            await self.end()

    def _leave(self) -> None:
        self._is_on = False
        self._cache.coming.discard(self._blob.digest)
