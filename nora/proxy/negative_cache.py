"""What upstreams said they do not have, for a short time and for the whole machine.

A file of slots of one size: bounded however many names are asked for, and an absence that is pushed out by
another is only asked again. Nothing is locked: a slot that two processes write at once matches nothing.
"""

from __future__ import annotations

import os
import struct
from hashlib import blake2b
from math import inf
from typing import TYPE_CHECKING, Final

from nora.blobs.layout import FILE_MODE

if TYPE_CHECKING:
    from collections.abc import Callable

SLOTS: Final = 1 << 15
_SLOT: Final = struct.Struct("<16s8sd")
"""Hash of what is absent, hash of the package that it is about, when that is forgotten."""
_EMPTY: Final = bytes(_SLOT.size)


class NegativeCache:
    """The absences that the processes of one data directory share: 1 MiB at `path`, made when needed.

    An error of the disk means that nothing is known: whoever asks then asks the upstream.
    """

    def __init__(self, path: str, clock: Callable[[], float], longest: float = inf) -> None:
        """No absence is remembered for more than `longest` seconds: what seems to be was noted by a clock
        that was wrong."""
        self._path = path
        self._clock = clock
        self._longest = longest
        self._fd = -1

    def has(self, key: str) -> bool:
        """Whether an upstream said so a short time ago. Costs a hash and a read of 32 bytes: some 5 µs."""
        name = _hash(key, 16)
        try:
            found, _, until = _SLOT.unpack(os.pread(self._descriptor(), _SLOT.size, _offset(name)))
        except (OSError, struct.error):
            return False
        return bool(found == name and 0 < until - self._clock() <= self._longest)

    def remember(self, key: str, package: str | None, seconds: float) -> None:
        """An upstream said so just now; `package` is what `forget_package` will name."""
        name = _hash(key, 16)
        about = _hash(package, 8) if package is not None else bytes(8)
        if seconds > 0:
            self._write(name, _SLOT.pack(name, about, self._clock() + seconds))

    def forget(self, key: str) -> None:
        """It may be there now."""
        if self.has(key):
            self._write(_hash(key, 16), _EMPTY)

    def forget_package(self, package: str) -> None:
        """Anything about this package may be there now. Reads the whole file (1 ms)."""
        about = _hash(package, 8)
        try:
            slots = os.pread(self._descriptor(), SLOTS * _SLOT.size, 0)
        except OSError:
            return
        at = slots.find(about)
        while at >= 0:
            start = at - at % _SLOT.size
            if at == start + 16:
                self._write(slots[start : start + 16], _EMPTY)
            at = slots.find(about, at + 1)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, name: bytes, slot: bytes) -> None:
        try:
            os.pwrite(self._descriptor(), slot, _offset(name))
        except OSError:  # it is asked again then
            return

    def _descriptor(self) -> int:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        return self._fd


def _hash(text: str, size: int) -> bytes:
    """Not one that somebody could choose names for that collide."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()


def _offset(name: bytes) -> int:
    return int.from_bytes(name[:4], "little") % SLOTS * _SLOT.size
