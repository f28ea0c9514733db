"""The blob store of a single machine: a directory."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

from nora._speedups import Hasher
from nora.blobs.bodies import PIECE_BYTES, SMALL_BYTES
from nora.blobs.disk import BULK_BYTES, translate
from nora.blobs.files import LockedTempFile, remove
from nora.blobs.hashes import DamagedBlob, algorithms, damaged, describe_seen, new_generation, verified
from nora.blobs.intake import Intake
from nora.blobs.layout import DRAFT, StoredObject, make_directories
from nora.errors import StorageFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from nora.blobs.base import Expect
    from nora.catalog.records import Blob, NewBlob

COPIED_BYTES: Final = 1 << 20
PROBE: Final = bytes(4096)


class LocalBlobStore(Intake):
    """A BlobStore (see nora.blobs.base) in the directories of `layout`, which exist."""

    @cached_property
    def _shards(self) -> set[str]:
        """Folders that this process knows to be there, durably."""
        return set()

    async def keep_small(self, data: bytes, expect: Expect, made: list[NewBlob]) -> None:
        """See Intake: one visit to a disk thread."""
        await self.disk.run(self._store, data, expect, made, weight=len(data))

    async def keep_file(self, temp: LockedTempFile, hasher: Hasher, expect: Expect) -> NewBlob:
        """See Intake: the file gets a name."""
        return await self.disk.run(self._finish, temp, hasher, expect)

    def _store(self, data: bytes, expect: Expect, made: list[NewBlob]) -> None:
        hasher = Hasher(*algorithms(expect))
        hasher.update(data)
        new = describe_seen(hasher, expect)
        self.disk.require_room(len(data))
        self._in_shard(new, lambda: self.disk.store(self.layout.draft(new), self.layout.blob(new), data))
        made.append(new)

    def _finish(self, temp: LockedTempFile, hasher: Hasher, expect: Expect) -> NewBlob:
        new = describe_seen(hasher, expect)
        # The bytes first, then the name: whatever has a name is what the name says, also after a power loss.
        # Files of concurrent ingests share a commit of the journal, so gathering them here would only add a
        # wait (measured on ext4: 355 µs alone; the name first would be 310, without the directory 235).
        self.disk.sync(temp.fd)
        self._in_shard(new, lambda: temp.rename(self.layout.blob(new)))
        self.disk.sync_directory(self.layout.shard(new))
        temp.close()
        return new

    def _in_shard(self, new: NewBlob, put: Callable[[], None]) -> None:
        """Put an object into its folder, which is made if need be: also where somebody has removed it, empty,
        after this process had asked for it."""
        self._prepare_shard(new)
        try:
            put()
        except FileNotFoundError:
            self._shards.discard(self.layout.shard(new))
            self._prepare_shard(new)
            put()

    def _prepare_shard(self, new: NewBlob) -> None:
        """Make the folder of an object, durably. Each process asks for a folder once: another one may have
        made it, and not yet have made it durable."""
        if self.layout.shard(new) not in self._shards:
            found = self.layout.make_shard(new)
            self.disk.sync_directory(self.layout.objects)
            self._shards.update(found)

    async def adopt(self, file: LockedTempFile, new: NewBlob) -> None:
        """See BlobStore. The bytes are durable before they get the name, as in `_finish`."""
        await self.disk.run(self._adopt, file, new)

    def _adopt(self, file: LockedTempFile, new: NewBlob) -> None:
        path = self.layout.blob(new)
        file.cut(new.size)
        try:
            self.disk.sync(file.fd)
            self._in_shard(new, lambda: os.link(file.path, path))
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy(file, new)
            return
        try:
            self.disk.sync_directory(self.layout.shard(new))
        except OSError:
            remove(path)
            raise

    def _copy(self, file: LockedTempFile, new: NewBlob) -> None:
        """Make an object of a file that is on another file system."""
        self.disk.require_room(new.size)
        temp = LockedTempFile(self.layout.temp(new_generation()))
        temp.create()
        try:
            while (done := temp.size()) < new.size:
                data = os.pread(file.fd, COPIED_BYTES, done)
                if not data:
                    raise StorageFailed("a file has fewer bytes than it had")
                temp.write(data, done)
            self.disk.sync(temp.fd)
            self._in_shard(new, lambda: temp.rename(self.layout.blob(new)))
            self.disk.sync_directory(self.layout.shard(new))
            temp.close()
        except BaseException:
            temp.discard()
            raise

    async def is_damaged(self, blob: Blob) -> bool:
        """See Intake."""
        return await self.disk.run(_is_damaged, self.layout.blob(blob), blob, weight=blob.size)

    async def looks_damaged(self, blob: Blob) -> bool:
        """See Intake. By its bytes if they are few, else by their number."""
        if blob.size <= SMALL_BYTES:
            return await self.is_damaged(blob)
        return not await self.is_whole(blob)

    def _has_lost_it(self) -> Literal[False]:
        """Not whole. Raises StorageFailed when no object is there: a disk that is not mounted has lost
        nothing."""
        if not os.path.isdir(self.layout.objects):
            raise StorageFailed("the folder of all stored objects is not there")
        return False

    async def is_whole(self, blob: Blob) -> bool:
        """See BlobStore. Not in a disk thread: this is one system call."""
        try:
            return os.stat(self.layout.blob(blob)).st_size == blob.size
        except FileNotFoundError:
            return self._has_lost_it()
        except OSError as error:
            raise translate(error) from error

    def path(self, blob: Blob | NewBlob) -> str | None:
        """See BlobStore."""
        return self.layout.blob(blob)

    @asynccontextmanager
    async def local_copy(self, blob: Blob | NewBlob) -> AsyncIterator[str]:
        """See BlobStore. The object itself."""
        yield self.layout.blob(blob)

    def redirect_url(self, blob: Blob, media_type: bytes) -> str | None:
        """See BlobStore. Nobody else can send a file of this machine."""
        return None

    async def read(self, blob: Blob) -> bytes:
        """See BlobStore. What the kernel has in memory is read at once, else in a disk thread."""
        path = self.layout.blob(blob)
        try:
            if blob.size <= SMALL_BYTES:
                data = _read_cached(path, blob)
                if data is not None:
                    return data
            return await self.disk.run(_read_all, path, blob, weight=blob.size)
        except DamagedBlob:
            self.suspect(blob)
            raise

    async def stream(self, blob: Blob, start: int, stop: int) -> AsyncIterator[bytes]:
        """See BlobStore."""
        hasher = hashlib.sha256() if self.verifies and (start, stop) == (0, blob.size) else None
        reader = _Reader(self.layout.blob(blob), hasher)
        try:
            while start < stop:
                piece = await self.disk.run(reader.read, start, min(PIECE_BYTES, stop - start))
                if not piece:
                    raise StorageFailed("the stored bytes are fewer than they were")
                start += len(piece)
                if start == stop and hasher is not None and hasher.hexdigest() != blob.digest.encoded:
                    self.suspect(blob)
                    raise damaged(blob)  # before the last piece: nobody takes the rest for the whole
                yield piece
        finally:
            reader.close()

    async def put_aside(self, blob: Blob) -> str:
        """See BlobStore."""
        return await self.disk.run(self._put_aside, blob)

    def _put_aside(self, blob: Blob) -> str:
        path = self.layout.damaged(blob)
        make_directories(self.layout.root, ("damaged",))
        os.rename(self.layout.blob(blob), path)
        return path

    async def remove(self, blob: Blob | NewBlob | StoredObject) -> None:
        """See BlobStore."""
        await self.disk.run(remove, self._path(blob))

    async def remove_all(self, blobs: Sequence[Blob | StoredObject]) -> None:
        """See BlobStore. One visit to a thread that lets others go first."""
        await self.disk.run(_remove_all, [self._path(one) for one in blobs], weight=BULK_BYTES + 1)

    def _path(self, blob: Blob | NewBlob | StoredObject) -> str:
        is_draft = isinstance(blob, StoredObject) and blob.is_draft
        return f"{self.layout.blob(blob)}{DRAFT}" if is_draft else self.layout.blob(blob)

    async def list_objects(self, shard: str) -> list[StoredObject]:
        """See BlobStore."""
        return await self.disk.run(self.layout.list_objects, shard)

    async def check(self) -> None:
        """See BlobStore. Writes, syncs and removes a small file."""
        await self.disk.run(self._probe)

    def _probe(self) -> None:
        self.disk.require_room(len(PROBE))
        os.stat(self.layout.objects)
        temp = LockedTempFile(self.layout.temp(new_generation()))
        temp.create()
        try:
            os.write(temp.fd, PROBE)
            os.fsync(temp.fd)
        finally:
            temp.discard()


class _Reader:
    """An open file that a cancelled reader can still close."""

    __slots__ = ("_fd", "_hasher", "_path")

    def __init__(self, path: str, hasher: hashlib._Hash | None) -> None:
        """`hasher` gets all that is read."""
        self._path = path
        self._hasher = hasher
        self._fd = -1

    def read(self, start: int, length: int) -> bytes:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        data = os.pread(self._fd, length, start)
        if self._hasher is not None:
            self._hasher.update(data)
        return data

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _read_all(path: str, blob: Blob) -> bytes:
    with open(path, "rb", buffering=0) as file:
        data = file.read(blob.size + 1) or b""
        while 0 < len(data) < blob.size and (more := file.read(blob.size - len(data))):
            data += more
    return verified(data, blob)


def _read_cached(path: str, blob: Blob) -> bytes | None:
    """All bytes of a small file if no disk has to be asked for them, else None."""
    if not hasattr(os, "RWF_NOWAIT"):
        return None
    buffer = bytearray(blob.size + 1)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            got = os.preadv(descriptor, [buffer], 0, os.RWF_NOWAIT)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}:
            return None
        raise translate(error) from error
    if got < blob.size:
        return None
    return verified(bytes(memoryview(buffer)[:got]), blob)


def _remove_all(paths: list[str]) -> None:
    """Raises OSError, that of the first that cannot be removed, when all others are."""
    failed: OSError | None = None
    for path in paths:
        try:
            remove(path)
        except OSError as error:
            failed = failed or error
    if failed is not None:
        raise failed


def _is_damaged(path: str, blob: Blob) -> bool:
    """Whether a file is gone, or has other bytes than were written. Raises OSError."""
    try:
        with open(path, "rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size != blob.size:
                return True
            return hashlib.file_digest(file, "sha256").hexdigest() != blob.digest.encoded
    except FileNotFoundError:
        return True
