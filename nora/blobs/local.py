"""The blob store of a single machine: a directory."""

from __future__ import annotations

import errno
import logging
import os
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from nora._speedups import Hasher
from nora.blobs.base import Ingested, forget
from nora.blobs.bodies import SMALL_BYTES, check_end, check_size, measured, read_head
from nora.blobs.disk import Disk, Durability, translate
from nora.blobs.files import LockedTempFile, remove
from nora.blobs.hashes import algorithms, describe, new_generation
from nora.blobs.scratch import sweep
from nora.errors import NoraError, StorageFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

    from nora.blobs.base import BlobRows, Expect
    from nora.blobs.layout import Layout
    from nora.catalog.records import Blob, NewBlob

_log = logging.getLogger(__name__)

PIECE_BYTES: Final = 64 << 10
"""What `stream` yields at a time: every slow client holds several of them."""
COPIED_BYTES: Final = 1 << 20
PROBE: Final = bytes(4096)


class LocalBlobStore:
    """A BlobStore (see nora.blobs.base) in the directories of `layout`, which exist.

    `reserve_bytes` of the file system stay free: an ingest that would touch them raises StorageFull.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        reserve_bytes: int,
        durable: Durability = "full",
        rows: BlobRows | None = None,
    ) -> None:
        """`rows` is what learns of objects that are lost; without it they stay lost."""
        self.layout = layout
        self._rows = rows
        self.disk = Disk(layout.root, reserve_bytes=reserve_bytes, durable=durable)

    @asynccontextmanager
    async def ingest(self, chunks: AsyncIterable[bytes] | bytes, expect: Expect) -> AsyncIterator[Ingested]:
        """See BlobStore. A body of at most 64 KiB, or of bytes, costs one visit to a disk thread."""
        new = await self._take(chunks, expect)
        ingested = Ingested(new)
        try:
            yield ingested
        except NoraError as error:
            if ingested.live is None:
                await forget(self, new, error)
            raise
        if ingested.live is not None and ingested.live.generation != new.generation:
            ingested.live = await self.settle(new, ingested.live)

    async def _take(self, chunks: AsyncIterable[bytes] | bytes, expect: Expect) -> NewBlob:
        if isinstance(chunks, bytes):
            check_size(len(chunks), expect.size, expect.max_size)
            check_end(len(chunks), expect.size)
            return await self._take_small(chunks, expect)
        async with aclosing(measured(chunks, expect.size, expect.max_size)) as body:
            head, complete = await read_head(body)
            if complete:
                return await self._take_small(head, expect)
            return await self._take_stream(head, body, expect)

    async def _take_small(self, data: bytes, expect: Expect) -> NewBlob:
        made: list[NewBlob] = []  # also when the caller is cancelled while the thread is at it
        try:
            await self.disk.run(self._store, data, expect, made, weight=len(data))
        except BaseException:
            for new in made:
                await forget(self, new)
            raise
        return made[0]

    async def _take_stream(self, head: bytes, body: AsyncIterator[bytes], expect: Expect) -> NewBlob:
        temp = LockedTempFile(self.layout.temp(new_generation()))
        hasher = Hasher(*algorithms(expect))
        try:
            await self.disk.run(self._begin, temp, expect.size)

            def write(data: bytes) -> None:
                self.disk.require_room(len(data))
                hasher.write(temp.fd, data, hasher.size)

            async with self.disk.inflow(write) as inflow:
                await inflow.push(head)
                async for chunk in body:
                    await inflow.push(chunk)
                await inflow.flush()
            return await self.disk.run(self._finish, temp, hasher, expect)
        except BaseException:
            if temp.made:
                with suppress(StorageFailed):  # what stays is swept
                    await self.disk.run(temp.discard)
            raise

    def _begin(self, temp: LockedTempFile, size: int | None) -> None:
        self.disk.require_room(size or 0)
        temp.create()

    def _store(self, data: bytes, expect: Expect, made: list[NewBlob]) -> None:
        hasher = Hasher(*algorithms(expect))
        hasher.update(data)
        new = _describe(hasher, expect)
        self.disk.require_room(len(data))
        self.disk.store(self.layout.draft(new), self.layout.blob(new), data)
        made.append(new)

    def _finish(self, temp: LockedTempFile, hasher: Hasher, expect: Expect) -> NewBlob:
        new = _describe(hasher, expect)
        # The bytes first, then the name: whatever has a name is what the name says, also after a power loss.
        # Files of concurrent ingests share a commit of the journal, so gathering them here would only add a
        # wait (measured on ext4: 355 µs alone; the name first would be 310, without the directory 235).
        self.disk.sync(temp.fd)
        temp.rename(self.layout.blob(new))
        self.disk.sync_directory(self.layout.shard(new))
        temp.close()
        return new

    async def adopt(self, file: LockedTempFile, new: NewBlob) -> None:
        """See BlobStore. The bytes are durable before they get the name, as in `_finish`."""
        await self.disk.run(self._adopt, file, new)

    def _adopt(self, file: LockedTempFile, new: NewBlob) -> None:
        path = self.layout.blob(new)
        file.cut(new.size)
        try:
            self.disk.sync(file.fd)
            os.link(file.path, path)
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
            temp.rename(self.layout.blob(new))
            self.disk.sync_directory(self.layout.shard(new))
            temp.close()
        except BaseException:
            temp.discard()
            raise

    async def settle(self, new: NewBlob, live: Blob) -> Blob:
        """See BlobStore."""
        if live.generation == new.generation:
            return live
        is_same = live.digest == new.digest  # else the row is of what was there before
        if self._rows is not None and is_same and await self._is_lost(live):
            now = await self._rows.replace_object(live, new)
            if now is not None and now.generation == new.generation:
                _log.warning("the bytes of %s were lost, and have come again", new.digest)
                return now
            live = now or live
        await forget(self, new)
        return live

    async def _is_lost(self, blob: Blob) -> bool:
        """Whether an object is known to be lost. One that cannot be looked at is not."""
        try:
            return not await self.is_whole(blob)
        except StorageFailed:
            return False

    async def is_whole(self, blob: Blob) -> bool:
        """See BlobStore. Not in a disk thread: this is one system call."""
        try:
            return os.stat(self.layout.blob(blob)).st_size == blob.size
        except FileNotFoundError:
            return False
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
        if blob.size <= SMALL_BYTES:
            data = _read_cached(path, blob.size)
            if data is not None:
                return data
        return await self.disk.run(_read_all, path, blob.size, weight=blob.size)

    async def stream(self, blob: Blob, start: int, stop: int) -> AsyncIterator[bytes]:
        """See BlobStore."""
        reader = _Reader(self.layout.blob(blob))
        try:
            while start < stop:
                piece = await self.disk.run(reader.read, start, min(PIECE_BYTES, stop - start))
                if not piece:
                    raise StorageFailed("the stored bytes are fewer than they were")
                start += len(piece)
                yield piece
        finally:
            reader.close()

    async def remove(self, blob: Blob | NewBlob) -> None:
        """See BlobStore."""
        await self.disk.run(remove, self.layout.blob(blob))

    async def check(self) -> None:
        """See BlobStore. Writes, syncs and removes a small file."""
        await self.disk.run(self._probe)

    def _probe(self) -> None:
        self.disk.require_room(len(PROBE))
        temp = LockedTempFile(self.layout.temp(new_generation()))
        temp.create()
        try:
            os.write(temp.fd, PROBE)
            os.fsync(temp.fd)
        finally:
            temp.discard()

    async def sweep(self, idle_seconds: float = 60.0) -> int:
        """Remove what crashed writers left in tmp/: files that nobody holds; how many.

        A writer locks its file just after making it; `idle_seconds` keeps sweepers out of that moment.
        """
        return await self.disk.run(sweep, self.layout.temporary, idle_seconds)

    def close(self) -> None:
        """End the disk threads."""
        self.disk.close()


class _Reader:
    """An open file that a cancelled reader can still close."""

    __slots__ = ("_fd", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1

    def read(self, start: int, length: int) -> bytes:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(self._fd, length, start)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _describe(hasher: Hasher, expect: Expect) -> NewBlob:
    hashes = {algorithm: hasher.hexdigest(algorithm) for algorithm in algorithms(expect)}
    return describe(hashes | {"xxh3": hasher.xxh3()}, hasher.size, expect.digest)


def _read_all(path: str, size: int) -> bytes:
    with open(path, "rb", buffering=0) as file:
        data = file.read(size + 1) or b""
        while 0 < len(data) < size and (more := file.read(size - len(data))):
            data += more
    return _complete(data, size)


def _read_cached(path: str, size: int) -> bytes | None:
    """All bytes of a small file if no disk has to be asked for them, else None."""
    if not hasattr(os, "RWF_NOWAIT"):
        return None
    buffer = bytearray(size + 1)
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
    if got < size:
        return None
    return _complete(bytes(memoryview(buffer)[:got]), size)


def _complete(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise StorageFailed("the stored bytes are not as many as they were")
    return data
