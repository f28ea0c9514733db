"""When something last happened, by key, for all workers of a server: numbers in memory that they share."""

from __future__ import annotations

import mmap
from typing import Final
from zlib import crc32

PLACES: Final = 1024
"""Keys that share a place share their timestamp: use it where one too late does no harm."""


class Timestamp:
    """When one thing last happened, on a clock that all workers have in common, such as `time.monotonic`."""

    __slots__ = ("_place", "_times")

    def __init__(self, times: memoryview[float] | None = None, place: int = 0) -> None:
        """By default, one of this process alone."""
        self._times = memoryview(bytearray(8)).cast("d") if times is None else times
        self._place = place

    def note(self, now: float) -> None:
        """It happened now."""
        self._times[self._place] = now

    @property
    def last(self) -> float:
        """When any worker last noted it; 0.0 if none did."""
        return self._times[self._place]


class SharedTimestamps:
    """Make it in the parent process. Nothing is locked: a timestamp is one store of eight bytes."""

    def __init__(self) -> None:
        self._times = memoryview(mmap.mmap(-1, PLACES * 8)).cast("B").cast("d")

    def of(self, key: str) -> Timestamp:
        """That of a key."""
        return Timestamp(self._times, crc32(key.encode()) % PLACES)
