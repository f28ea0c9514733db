"""What a process has read lately, and how it knows that this is still true.

A point read costs some 20 µs, most of it for letting go of the interpreter lock and taking it again. Most
reads of a busy registry ask for what was asked a moment ago, so the answers are kept - and each is looked
at again before it is used: processes agree through the catalog, never through memory.

What they look at are epochs: numbers in a small file that all processes of a catalog map, one for each of
`SLOTS` sets of packages, and one of what is blocked. Whoever commits a change of a package, whichever process
it is, moves the epoch of its slot: to an odd number before the commit, to the next even one after it. An
answer is kept with the epoch that stood before it was read, unless that is odd, and is true as long as the
same number stands there. A process that dies in between leaves an odd epoch: nothing of that slot is kept
until the next commit there, or the first one of another process. The file needs no durability: after a
restart nobody remembers anything.
"""

from __future__ import annotations

import mmap
import os
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Final, Generic, Literal, TypeVar
from zlib import crc32

SLOTS: Final = 8192
"""Packages that share a slot make each other's answers unknown, not wrong."""
BLOCKS_SLOT: Final = SLOTS
"""The epoch of what is blocked."""
ALL_SLOTS: Final = range(SLOTS + 1)
_BYTES: Final = len(ALL_SLOTS) * 8

RECENT_ANSWERS: Final = 4096
"""Of each kind of point read that are kept; some 700 bytes each."""

T = TypeVar("T")


def epochs_path(catalog: Path) -> Path:
    """Where the epochs of a catalog are."""
    return catalog.with_name(catalog.name + ".epochs")


class Epochs:
    """The epochs of a catalog, mapped into this process. Raises OSError when they cannot be."""

    __slots__ = ("_numbers",)

    def __init__(self, catalog: Path) -> None:
        descriptor = os.open(epochs_path(catalog), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size != _BYTES:
                # Really allocated: on a full disk a store into a hole would kill the process
                os.pwrite(descriptor, bytes(_BYTES), 0)
            self._numbers = memoryview(mmap.mmap(descriptor, _BYTES)).cast("B").cast("Q")
        finally:
            # FUSE tells here that it could not write what somebody else stored earlier, which need not last
            with suppress(OSError):
                os.close(descriptor)

    def __getitem__(self, slot: int) -> int:
        return self._numbers[slot]

    def stamp(self, slots: Iterable[int]) -> Stamp | None:
        """How these slots stand; None while one of them changes."""
        numbers = self._numbers
        at = tuple((slot, numbers[slot]) for slot in slots)
        return None if any(epoch & 1 for _, epoch in at) else Stamp(numbers, at)

    def settle(self) -> None:
        """Move on what processes have left that died in a commit. Under the turnstile: nobody commits now."""
        for slot in ALL_SLOTS:
            if self._numbers[slot] & 1:
                self._numbers[slot] += 1

    @contextmanager
    def changing(self, slots: Iterable[int]) -> Iterator[None]:
        """Around the commit of a change in these slots. One process at a time, under the turnstile."""
        for slot in slots:
            self._numbers[slot] |= 1
        try:
            yield
        finally:
            for slot in slots:
                self._numbers[slot] = (self._numbers[slot] | 1) + 1


class Stamp:
    """The epochs of some slots at one moment: see nora.catalog.packages.Stamp."""

    __slots__ = ("_at", "_numbers")

    def __init__(self, numbers: memoryview, at: tuple[tuple[int, int], ...]) -> None:
        self._numbers = numbers
        self._at = at

    def holds(self) -> bool:
        numbers = self._numbers
        for slot, epoch in self._at:  # noqa: SIM110 - this is for each request, and a generator takes longer
            if numbers[slot] != epoch:
                return False
        return True


def slot_of(repository_id: int, package: str) -> int:
    """The slot of a package: the same in every process."""
    return crc32(package.encode(), repository_id) % SLOTS


class Unknown(Enum):
    """What `ReadCache.get` answers when it has no answer: None is one."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


class ReadCache(Generic[T]):
    """The most recent answers of one kind of read, at most `limit` of them."""

    __slots__ = ("_answers", "_epochs", "_keeps_absence", "_limit")

    def __init__(self, epochs: Epochs, limit: int, *, keeps_absence: bool = True) -> None:
        self._epochs = epochs
        self._limit = limit
        self._keeps_absence = keeps_absence
        self._answers: OrderedDict[Hashable, tuple[int, int, T | None]] = OrderedDict()

    def get(self, key: Hashable) -> T | Literal[Unknown.UNKNOWN] | None:
        """The answer, if it is known and still true; None is the answer that there is nothing."""
        known = self._answers.get(key)
        if known is None:
            return UNKNOWN
        slot, epoch, answer = known
        if self._epochs[slot] != epoch:
            del self._answers[key]
            return UNKNOWN
        self._answers.move_to_end(key)
        return answer

    def put(self, key: Hashable, slot: int, epoch: int, answer: T | None) -> None:
        """Keep an answer that was read while or after `epoch` stood in `slot`."""
        if epoch & 1 or (answer is None and not self._keeps_absence):
            return
        if len(self._answers) >= self._limit:
            self._answers.popitem(last=False)
        self._answers[key] = (slot, epoch, answer)
