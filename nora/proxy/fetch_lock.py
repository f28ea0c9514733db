"""Who may ask an upstream for something: one holder on the whole machine, who tells the others how it stands.

A fetch lock is a file named by what is asked for. Its holder has the lock of it, which the kernel frees
however the holder ends, and writes a state into it. Those who find it held wait for the lock, or for the
holder's last state. The file goes with its holder: whoever gets the lock of a file that was removed begins
again, unless the last state is in it. While it works the holder beats: who sees nothing of it for too long
takes it for stopped, and gives up. There is no lock to be had from a process that is stopped, but alive.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from math import inf
from typing import TYPE_CHECKING, Final, Literal
from zlib import crc32

import orjson

from nora.blobs.files import remove
from nora.blobs.layout import FILE_MODE
from nora.errors import (
    Blocked,
    NoraError,
    StorageBusy,
    StorageFailed,
    StorageFull,
    UpstreamFailed,
    UpstreamLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from nora.http.tasks import spawn
from nora.locks import lock_descriptor

if TYPE_CHECKING:
    from nora.blobs.disk import Disk

POLL_SECONDS: Final = 0.02
"""How often those who wait look."""
WORD_BYTES: Final = 4096
"""The room of a state in its file, taken at the beginning: the disk may be full later."""
BEAT_BYTES: Final = 8
"""The last of them: a number that grows."""
BEATS: Final = 6
"""In the time after which a holder is taken for stopped."""

_KINDS: Final[dict[str, type[NoraError]]] = {
    kind.__name__: kind
    for kind in (
        Blocked,
        UpstreamFailed,
        UpstreamLimited,
        UpstreamRefused,
        UpstreamTimeout,
        UpstreamUnavailable,
        StorageBusy,
        StorageFailed,
        StorageFull,
    )
}

State = Literal["running", "done", "absent", "failed"]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as another process can raise it, and any number of waiters."""

    kind: str
    message: str
    retry_after: int | None = None
    """As an upstream said it."""
    origin: str = ""
    """Who failed."""

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """What others are told of an error: the nearest kind that they know."""
        if not isinstance(error, NoraError):
            return cls("StorageFailed", "what the upstream gave could not be taken in; the log says why")
        names = (kind.__name__ for kind in type(error).__mro__)
        known = next((name for name in names if name in _KINDS), "UpstreamFailed")
        told = error.retry_after if isinstance(error, UpstreamUnavailable) and error.is_told else None
        return cls(known, str(error)[:500], told, getattr(error, "origin", ""))

    def error(self) -> NoraError:
        """The error, to be raised once."""
        kind = _KINDS[self.kind]
        if not issubclass(kind, UpstreamFailed):
            return kind(self.message)
        found = (
            kind(self.message, self.retry_after)
            if issubclass(kind, UpstreamUnavailable)
            else kind(self.message)
        )
        found.origin = self.origin
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderState:
    """What the holder of a lock tells the others."""

    state: State = "running"
    attempt: int | None = None
    """Of a file: the number of the part file that grows now."""
    total: int | None = None
    """Its size, where that is known."""
    verified: bool = False
    """The part file is complete, and what it must be."""
    url: str = ""
    etag: str = ""
    """Where the bytes come from, and the strong validator that they came with."""
    failure: Failure | None = None

    @property
    def ended(self) -> bool:
        """Whether it is the last one."""
        return self.state != "running"


class FetchLock:
    """One try to be the one who asks. `close` it in any case; a lock that is closed without `end` is free
    for whoever waits, as if its holder had died."""

    __slots__ = ("_disk", "_fd", "_heard", "_heard_at", "_silence", "_waited", "path")

    def __init__(self, disk: Disk, path: str, silence_seconds: float = inf) -> None:
        """After `silence_seconds` without a word of its holder nobody waits for it any more."""
        self._disk = disk
        self.path = path
        self._fd = -1
        self._waited = False
        self._silence = silence_seconds
        self._heard = b""
        self._heard_at = inf

    async def take(self) -> LeaderState | None:
        """Wait until the lock is ours, which is None, or its holder has said how it ended. Raises what `look`
        does."""
        while True:
            leader = await self.look()
            if leader is None or leader.ended:
                return leader
            await asyncio.sleep(POLL_SECONDS)

    async def look(self) -> LeaderState | None:
        """The holder's state, ended or not; None: the lock is ours now.

        Raises UpstreamTimeout for a holder that is stopped, StorageFailed, StorageFull.
        """
        if self._fd < 0:
            await self._disk.run(self._open)
        if not lock_descriptor(self._fd, block=False):
            self._waited = True
            record = os.pread(self._fd, WORD_BYTES, 0)
            self._listen(record)
            return _decode(record) or LeaderState()
        leader = self.read()
        if self._waited and leader is not None and leader.ended:
            return leader
        if not os.fstat(self._fd).st_nlink:
            self.close()
            return LeaderState()
        if leader is not None and leader.ended:
            # Its holder was killed before it could remove the file: nobody is to take that for ours.
            os.ftruncate(self._fd, 0)
        return None

    def _listen(self, record: bytes) -> None:
        now = time.monotonic()
        if self._heard_at == inf or record != self._heard:
            self._heard, self._heard_at = record, now
        elif now - self._heard_at > self._silence:
            raise UpstreamTimeout(
                "the process that asks the upstream for this has stopped: nothing was heard of it for "
                f"{self._silence:g} s (proxy.read_timeout)"
            )

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Let the others hear that the holder is alive, until it is said how it ended."""
        task = None if self._silence == inf else spawn(self._beat(), "telling followers of a fetch")
        try:
            yield
        finally:
            if task is not None:
                task.cancel()

    async def _beat(self) -> None:
        number = 0
        while self._fd >= 0:
            number += 1
            with suppress(OSError):  # they give up, then
                os.pwrite(self._fd, b"%0*x" % (BEAT_BYTES, number), WORD_BYTES - BEAT_BYTES)
            await asyncio.sleep(self._silence / BEATS)

    def read(self) -> LeaderState | None:
        """What is written now; None for nothing, and for one that is just being written."""
        return _decode(os.pread(self._fd, WORD_BYTES, 0))

    async def write(self, leader: LeaderState) -> None:
        """Tell the others. The first one takes the room of all: it may raise StorageFull."""
        await self._disk.run(os.pwrite, self._fd, _encode(leader), 0)

    def mark(self) -> None:
        """Tell the holder that somebody waits for what it brings in."""
        with suppress(OSError):  # it was removed, or the disk does not say: the holder may leave too early
            os.utime(self._fd, (time.time(), os.fstat(self._fd).st_mtime))

    def is_marked(self, seconds: float) -> bool:
        """Whether somebody in another process has waited for it not so long ago."""
        return self._fd >= 0 and time.time() - os.fstat(self._fd).st_atime < seconds

    async def end(self, leader: LeaderState) -> None:
        """Tell the last state and let go."""
        await self._disk.run(self._end, _encode(leader))

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)

    def _end(self, leader: bytes) -> None:
        with suppress(OSError):  # who waits then asks by itself
            os.pwrite(self._fd, leader, 0)
        try:
            remove(self.path)
        finally:
            self.close()

    def close(self) -> None:
        """Let go; nothing when it was let go before."""
        if self._fd >= 0:
            descriptor, self._fd = self._fd, -1
            os.close(descriptor)
        self._waited, self._heard_at = False, inf


def _encode(leader: LeaderState) -> bytes:
    text = orjson.dumps(asdict(leader))
    if len(text) > WORD_BYTES - 8 - BEAT_BYTES:  # a validator of kilobytes is not worth a resumption
        text = orjson.dumps(asdict(leader) | {"url": "", "etag": ""})
    return (b"%08x" % crc32(text) + text).ljust(WORD_BYTES)


def _decode(record: bytes) -> LeaderState | None:
    text = record[8 : WORD_BYTES - BEAT_BYTES].rstrip()
    if not text or record[:8] != b"%08x" % crc32(text):
        return None
    fields = orjson.loads(text)
    failure = fields.pop("failure")
    return LeaderState(**fields, failure=Failure(**failure) if failure else None)
