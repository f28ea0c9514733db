"""The disk as the blob store uses it: threads, room, durability, and what its errors mean.

All blocking work goes through `Disk.run` or an `Inflow`, which is also the only place where an OSError
becomes one of ours.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

from nora._speedups import DURABLE_DATA, DURABLE_FULL, DURABLE_NOT, store_file
from nora.blobs.threads import Threads
from nora.errors import NoraError, StorageBusy, StorageFailed, StorageFull
from nora.processes import lower_priority

if TYPE_CHECKING:
    from collections.abc import Callable

    from nora.blobs.threads import Job

T = TypeVar("T")

Durability = Literal["full", "data", "none"]
"""full: survives power loss. data: the bytes do, their names perhaps not. none: survives the process only."""

_LEVELS: Final = {"full": DURABLE_FULL, "data": DURABLE_DATA, "none": DURABLE_NOT}

THREADS: Final = 16
"""More than the cores, because most of them wait for the disk; the kernel groups what they wait for."""
BULK_BYTES: Final = 1 << 20
BULK_THREADS: Final = 4
BATCH_BYTES: Final = 1 << 20
"""What one inflow hands to a thread at a time, when it is alone."""
BUDGET_BYTES: Final = 16 << 20
"""What all inflows together gather; as much again is being written."""
SMALLEST_BATCH_BYTES: Final = 64 << 10

_MEANINGS: Final[dict[int | None, tuple[type[NoraError], str]]] = {
    errno.ENOSPC: (StorageFull, "the storage has no room left"),
    errno.EDQUOT: (StorageFull, "the quota of the storage is used up"),
    errno.EMFILE: (StorageBusy, "too many files are open"),
    errno.ENFILE: (StorageBusy, "too many files are open"),
    errno.EAGAIN: (StorageBusy, "the storage is busy"),
    errno.ENOMEM: (StorageBusy, "there is no memory left"),
}


def translate(error: OSError) -> NoraError:
    """What an error of the disk means to us. Never an absence: whoever asks for a file expects it."""
    if (meaning := _MEANINGS.get(error.errno)) is not None:
        kind, message = meaning
        return kind(message)
    return StorageFailed(f"the storage failed: {error.strerror or type(error).__name__}")


class Disk:
    """The file system under `root`. `reserve_bytes` stay free, for deletes, tags and collection."""

    def __init__(self, root: str, *, reserve_bytes: int, durable: Durability, threads: int = THREADS) -> None:
        self._root = root
        self._reserve_bytes = reserve_bytes
        self._durable = durable
        self._threads = Threads(threads, "disk")
        self._bulk = Threads(BULK_THREADS, "bulk", lower_priority)
        self._inflows = 0

    def start(self, call: Callable[..., T], *arguments: Any) -> Job[T]:
        """Begin a call in a disk thread. An OSError of the call comes back translated."""
        return self._threads.start(partial(_translated, call, *arguments))

    async def run(self, call: Callable[..., T], *arguments: Any, weight: int = 0) -> T:
        """The result of a call in a disk thread. When cancelled, the call ends before this does.

        A call that moves more than `BULK_BYTES` keeps a core busy for milliseconds: with that as its `weight`
        it is made by a thread that lets those go first who answer requests.
        """
        threads = self._threads if weight <= BULK_BYTES else self._bulk
        return await threads.start(partial(_translated, call, *arguments)).result()

    def inflow(self, write: Callable[[bytes], object]) -> Inflow:
        """A way for a stream of bytes into `write`, which runs in a disk thread, never twice at a time."""
        return Inflow(self, write)

    def require_room(self, size: int) -> None:
        """Raise StorageFull unless `size` more bytes leave the reserve untouched. For disk threads."""
        room = os.statvfs(self._root)
        if room.f_bavail * room.f_frsize < self._reserve_bytes + size or (room.f_files and not room.f_favail):
            raise StorageFull("the storage has no room left")

    def store(self, temp: str, path: str, data: bytes) -> None:
        """Make a file of a few bytes, whole and durable before it gets its name. For disk threads."""
        store_file(temp, path, data, _LEVELS[self._durable])

    def sync(self, descriptor: int) -> None:
        """Make the bytes of a file durable."""
        if self._durable != "none":
            os.fsync(descriptor)

    def sync_directory(self, path: str) -> None:
        """Make the names in a directory durable."""
        if self._durable != "full":
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Let the threads finish and end."""
        self._threads.close()
        self._bulk.close()

    @property
    def batch_bytes(self) -> int:
        """How much an inflow gathers now: less when there are many, so that all stay in the budget."""
        return max(SMALLEST_BATCH_BYTES, min(BATCH_BYTES, BUDGET_BYTES // max(1, self._inflows)))

    def count_inflow(self, change: int) -> None:
        """Inflows say when they begin (1) and end (-1)."""
        self._inflows += change


class Inflow:
    """Bytes on their way into a file: one batch is written while the next comes in, and no more than that.

        async with disk.inflow(write) as inflow:
            async for chunk in body:
                await inflow.push(chunk)
            await inflow.flush()

    Leaving the block waits for the batch that is being written and forgets what was not handed over.
    """

    __slots__ = ("_disk", "_held", "_parts", "_write", "_writing")

    def __init__(self, disk: Disk, write: Callable[[bytes], object]) -> None:
        self._disk = disk
        self._write = write
        self._parts: list[bytes] = []
        self._held = 0
        self._writing: Job[None] | None = None

    async def __aenter__(self) -> Self:
        self._disk.count_inflow(1)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._disk.count_inflow(-1)
        self._parts.clear()
        if self._writing is not None:
            with suppress(NoraError):  # whoever pushed has heard of it, or raises something of its own
                await self._writing.result()

    async def push(self, chunk: bytes) -> None:
        """Take a chunk; waits while the disk is behind. Raises what the write before raised."""
        self._parts.append(chunk)
        self._held += len(chunk)
        if self._held >= self._disk.batch_bytes:
            await self._hand_over()

    async def flush(self) -> None:
        """Wait until everything that was pushed is written."""
        if self._parts:
            await self._hand_over()
        await self._written()

    async def _hand_over(self) -> None:
        await self._written()
        parts, self._parts, self._held = self._parts, [], 0
        self._writing = self._disk.start(self._write_parts, parts)

    async def _written(self) -> None:
        if self._writing is not None:
            await self._writing.result()
            self._writing = None

    def _write_parts(self, parts: list[bytes]) -> None:
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._write(data)


def _translated(call: Callable[..., T], *arguments: Any) -> T:
    try:
        return call(*arguments)
    except OSError as error:
        raise translate(error) from error
