"""A file on its way from an upstream, as one process sees it: what is there can be read while it grows.

The last 64 KiB are withheld until the bytes are known to be right, so that nobody ever gets all of a wrong
file: whoever reads gets an error instead, and the server cuts the connection.
"""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from nora.blobs.disk import translate
from nora.errors import NotFound, StorageFailed, UpstreamFailed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

    from nora.blobs.base import BlobStore
    from nora.blobs.disk import Disk
    from nora.catalog.records import Blob
    from nora.proxy.fetch_lock import Failure

WITHHELD_BYTES: Final = 64 << 10
PIECE_BYTES: Final = 64 << 10
"""What a reader gets at a time: every slow client holds several of them."""
_NOT_CACHED: Final = frozenset({errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


class InFlightFile:
    """A file that this process brings in, or sees another process bring in."""

    def __init__(self, store: BlobStore, disk: Disk) -> None:
        self._store = store
        self._disk = disk
        self._waiters: list[asyncio.Future[None]] = []
        self._part: _Part | None = None  # what grows now
        self._written = 0
        self._verified = False
        self._failure: Failure | None = None
        self._waits = 0
        self.left_at = 0.0
        """When somebody last asked for it or stopped waiting for it, by the clock of the event loop."""
        self.left: Callable[[], None] = _nothing
        """Called when the last of those who wait for it has left."""
        self.over = False
        """Nothing more will come: the file is stored, or absent, or it failed."""
        self.blob: Blob | None = None
        """What became of it; None before it is over, and when it is absent."""
        self.total: int | None = None
        """Its size in bytes, as soon as that is known."""

    # -- for those who want it -----------------------------------------------------------------------

    @property
    def begun(self) -> bool:
        """Whether an upstream gives it."""
        return self._part is not None

    @property
    def readable(self) -> int:
        """How many bytes, from the first on, may be read now."""
        if self._verified:
            return self._written
        if self.total is None:
            return max(0, self._written - WITHHELD_BYTES)
        return max(0, min(self._written, self.total - WITHHELD_BYTES))

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for it now."""
        return self._waits > 0

    @property
    def written(self) -> int:
        """How many bytes are here, right or not."""
        return self._written

    @contextmanager
    def wanted(self) -> Iterator[None]:
        """As long as somebody waits for it."""
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1
            if not self._waits and not self.over:
                self.left_at = asyncio.get_running_loop().time()
                self.left()

    async def known(self) -> None:
        """Wait until an upstream gives it or it is over. Raises what it failed with."""
        with self.wanted():
            while not self.begun and not self.over:
                await self._change()
        self._fail()

    async def reaches(self, count: int) -> None:
        """Wait until `count` bytes may be read, or it is over. Raises what it failed with."""
        with self.wanted():
            while self.readable < count and not self.over:
                await self._change()
        self._check()

    async def end(self) -> Blob | None:
        """Wait until it is stored: the blob, or None when it is absent. Raises what it failed with."""
        with self.wanted():
            while not self.over:
                await self._change()
        self._fail()
        return self.blob

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """Bytes start..stop (exclusive; None: all), in pieces of at most 64 KiB, as they come in.

        Raises what it failed with, and UpstreamFailed when what was read is no part of the file any more.
        """
        with self.wanted():
            await self.reaches(start + 1)
            if self._part is None or not self._part.is_open:
                async for piece in self._stored(start, stop):
                    yield piece
                return
            reader = _Reader(self._part)
            try:
                while stop is None or start < stop:
                    self._check()
                    if reader.part is not self._part:
                        raise UpstreamFailed("the file began anew in the middle of the answer")
                    limit = self.readable if stop is None else min(self.readable, stop)
                    if start < limit:
                        piece = await reader.read(self._disk, start, min(PIECE_BYTES, limit - start))
                        start += len(piece)
                        yield piece
                    elif self._verified:
                        return
                    elif self.over:
                        raise UpstreamFailed("the file came from elsewhere in the end")
                    else:
                        await self._change()
            finally:
                reader.close()

    async def _stored(self, start: int, stop: int | None) -> AsyncIterator[bytes]:
        """From the store, for who comes when all is over."""
        blob = await self.end()
        if blob is None:
            raise NotFound("the upstream has no such file")
        last = blob.size if stop is None else min(stop, blob.size)
        async for piece in self._store.stream(blob, start, last):
            yield piece

    def _check(self) -> None:
        """What is known to be right can be read, whatever came after."""
        if not self._verified:
            self._fail()

    def _fail(self) -> None:
        if self._failure is not None:
            raise self._failure.error()

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    # -- for those who bring it in -------------------------------------------------------------------

    def attempt(self, path: str, total: int | None) -> bool:
        """The bytes come into this part file from here on; False when it is not there (any more)."""
        if self._part is None or self._part.path != path:
            try:
                part = _Part(path)
            except FileNotFoundError:
                return False
            except OSError as error:
                raise translate(error) from error
            self._let_go()
            self._part, self._written, self._verified = part, 0, False
        self.total = total
        self._tell()
        return True

    def advance(self, written: int) -> None:
        """So many bytes are in the part file."""
        if written > self._written:
            self._written = written
            self._tell()

    def follow(self, path: str, total: int | None, *, verified: bool) -> None:
        """Another process writes to this part file."""
        if self.attempt(path, total) and self._part is not None:
            self.advance(self._part.size())
            if verified:
                self.verify()

    def verify(self) -> None:
        """The part file is complete and right."""
        self._verified, self.total = True, self._written
        self._tell()

    def finish(self, blob: Blob | None) -> None:
        """It is stored, or absent."""
        self.blob = blob
        self._finish()

    def fail(self, failure: Failure) -> None:
        """It did not work."""
        self._failure = failure
        self._finish()

    def _finish(self) -> None:
        self.over = True
        self._let_go()
        self._tell()

    def _let_go(self) -> None:
        if self._part is not None:
            self._part.close()

    def _tell(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def _nothing() -> None:
    """For nobody who wants to know."""


class _Part:
    """A part file, open for reading. It can be read for as long as somebody has it open, removed or not."""

    __slots__ = ("fd", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    @property
    def is_open(self) -> bool:
        return self.fd >= 0

    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def close(self) -> None:
        if self.fd >= 0:
            descriptor, self.fd = self.fd, -1
            os.close(descriptor)


class _Reader:
    """One who reads a part file, by a descriptor of its own. What was just written is in memory and is read
    on the event loop, as that costs less than asking a thread; the rest comes through a disk thread."""

    __slots__ = ("_fd", "part")

    def __init__(self, part: _Part) -> None:
        self.part = part
        self._fd = os.dup(part.fd)

    async def read(self, disk: Disk, start: int, length: int) -> bytes:
        piece = _read_cached(self._fd, start, length)
        if piece is None:
            piece = await disk.run(os.pread, self._fd, length, start)
        if not piece:
            raise StorageFailed("a part file has fewer bytes than it had")
        return piece

    def close(self) -> None:
        os.close(self._fd)


def _read_cached(fd: int, start: int, length: int) -> bytes | None:
    """Some bytes from `start` on if no disk has to be asked for them, else None."""
    if not hasattr(os, "RWF_NOWAIT"):
        return None
    buffer = bytearray(length)
    try:
        got = os.preadv(fd, [buffer], start, os.RWF_NOWAIT)
    except OSError as error:
        if error.errno in _NOT_CACHED:
            return None
        raise translate(error) from error
    return bytes(memoryview(buffer)[:got]) if got else None
