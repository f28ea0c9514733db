"""Who may ask an upstream for something: one holder on the whole machine, and a word to everybody who waits.

A claim is a file named by what is asked for. Its holder has the lock of it, which the kernel frees however
the holder ends, and writes into it how it stands. Those who find it held wait for the lock, or for the
holder's last word. The file goes with its holder: whoever gets the lock of a file that was removed begins
again, unless the last word is in it.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Literal
from zlib import crc32

import orjson

from nora.blobs.files import remove
from nora.blobs.layout import FILE_MODE
from nora.errors import (
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
from nora.locks import lock_descriptor

if TYPE_CHECKING:
    from nora.blobs.disk import Disk

POLL_SECONDS: Final = 0.02
"""How often those who wait look."""
WORD_BYTES: Final = 4096
"""The room of a word in its file, taken at the beginning: the disk may be full later."""

_KINDS: Final[dict[str, type[NoraError]]] = {
    kind.__name__: kind
    for kind in (
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

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """What others are told of an error: the nearest kind that they know."""
        if not isinstance(error, NoraError):
            return cls("StorageFailed", "what the upstream gave could not be taken in; the log says why")
        names = (kind.__name__ for kind in type(error).__mro__)
        known = next((name for name in names if name in _KINDS), "UpstreamFailed")
        told = error.retry_after if isinstance(error, UpstreamUnavailable) and error.is_told else None
        return cls(known, str(error)[:500], told)

    def error(self) -> NoraError:
        """The error, to be raised once."""
        kind = _KINDS[self.kind]
        if issubclass(kind, UpstreamUnavailable):
            return kind(self.message, self.retry_after)
        return kind(self.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What the holder of a claim tells the others."""

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
        """Whether it is the last word."""
        return self.state != "running"


class Claim:
    """One try to be the one who asks. `close` it in any case; a claim that is closed without `end` is free
    for whoever waits, as if its holder had died."""

    __slots__ = ("_disk", "_fd", "_waited", "path")

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self.path = path
        self._fd = -1
        self._waited = False

    async def take(self) -> Word | None:
        """Wait until the claim is ours, which is None, or its holder has said how it ended."""
        while True:
            word = await self.look()
            if word is None or word.ended:
                return word
            await asyncio.sleep(POLL_SECONDS)

    async def look(self) -> Word | None:
        """The holder's word, ended or not; None: the claim is ours now. Raises StorageFailed, StorageFull."""
        if self._fd < 0:
            await self._disk.run(self._open)
        if not lock_descriptor(self._fd, block=False):
            self._waited = True
            return self.read() or Word()
        word = self.read()
        if self._waited and word is not None and word.ended:
            return word
        if not os.fstat(self._fd).st_nlink:
            self.close()
            return Word()
        if word is not None and word.ended:
            # Its holder was killed before it could remove the file: nobody is to take that for our word.
            os.ftruncate(self._fd, 0)
        return None

    def read(self) -> Word | None:
        """What is written now; None for nothing, and for a word that is just being written."""
        return _decode(os.pread(self._fd, WORD_BYTES, 0))

    async def write(self, word: Word) -> None:
        """Tell the others. The first word takes the room of all: it may raise StorageFull."""
        await self._disk.run(os.pwrite, self._fd, _encode(word), 0)

    async def end(self, word: Word) -> None:
        """Say the last word and let go."""
        await self._disk.run(self._end, _encode(word))

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)

    def _end(self, word: bytes) -> None:
        with suppress(OSError):  # who waits then asks by itself
            os.pwrite(self._fd, word, 0)
        try:
            remove(self.path)
        finally:
            self.close()

    def close(self) -> None:
        """Let go; nothing when it was let go before."""
        if self._fd >= 0:
            descriptor, self._fd = self._fd, -1
            os.close(descriptor)
        self._waited = False


def _encode(word: Word) -> bytes:
    text = orjson.dumps(asdict(word))
    if len(text) > WORD_BYTES - 16:  # a validator of kilobytes is not worth a resumption
        text = orjson.dumps(asdict(word) | {"url": "", "etag": ""})
    return (b"%08x" % crc32(text) + text).ljust(WORD_BYTES)


def _decode(record: bytes) -> Word | None:
    text = record[8:].rstrip()
    if not text or record[:8] != b"%08x" % crc32(text):
        return None
    fields = orjson.loads(text)
    failure = fields.pop("failure")
    return Word(**fields, failure=Failure(**failure) if failure else None)
