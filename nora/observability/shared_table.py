"""A table that the workers of one server share: small records by key, changed by one process at a time.

For what is said of many (clients, names) and need not be kept for ever. It is memory and not a file for the
reasons that `nora.observability.shared` gives, and of a fixed size, so that nobody can fill it.
"""

from __future__ import annotations

import mmap
import os
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple, TypeVar

from nora.locks import NumberedLocks

T = TypeVar("T")

_WAYS: Final = 4
"""Cells of a row."""
_CELL: Final = 4
"""Numbers of a cell: whose it is, until when it says anything, and the two that are kept there."""


class Cell(NamedTuple):
    """What is kept for a key."""

    expires: float
    """When it may be forgotten, on the clock of `time.monotonic`."""
    level: float = 0.0
    tally: float = 0.0


Step = Callable[[Cell, float], tuple[Cell | None, T]]
"""Gets a cell and the time; returns what is to stand there, None for no change, and a result."""


class SharedTable:
    """A table of fixed size in the memory of all workers. Make it in the parent process.

    A key has its place in one of the rows of four cells; where these are taken, the one that can be forgotten
    first makes room. Keys are told apart by 64 bits of a hash with a secret key, so that nobody can choose an
    address or a name that shares a cell with another's.
    """

    def __init__(self, rows: int, *, processes: int = 2, threads: bool = False) -> None:
        """With one process there is nobody to lock against, which saves most of what a change costs.
        `threads`: not only the thread of the event loop changes cells."""
        memory = memoryview(mmap.mmap(-1, rows * _WAYS * _CELL * 8)).cast("B")
        self._rows = rows
        self._owners = memory.cast("Q")
        self._numbers = memory.cast("d")
        self._locks = NumberedLocks() if processes > 1 else None
        self._thread_lock = threading.Lock() if threads else None
        self._secret = os.urandom(16)
        self._owner_of = lru_cache(1024)(self._hash)

    def change(self, key: str, step: Step[T]) -> T:
        """Let `step` look at the cell of a key, and change it, while no other process does."""
        if self._thread_lock is None:
            return self._locked(key, step)
        with self._thread_lock:
            return self._locked(key, step)

    def _locked(self, key: str, step: Step[T]) -> T:
        owner = self._owner_of(key)
        row = (owner >> 1) % self._rows
        if self._locks is None:
            return self._change(owner, row, step)
        self._locks.acquire(row)
        try:
            return self._change(owner, row, step)
        finally:
            self._locks.release(row)

    def _change(self, owner: int, row: int, step: Step[T]) -> T:
        now = time.monotonic()
        place, cell = self._find(owner, row * _WAYS * _CELL)
        changed, result = step(cell, now)
        if changed is not None:
            self._owners[place] = owner
            self._numbers[place + 1] = changed.expires
            self._numbers[place + 2] = changed.level
            self._numbers[place + 3] = changed.tally
        return result

    def _hash(self, key: str) -> int:
        hashed = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8, key=self._secret).digest()
        return int.from_bytes(hashed, "little") | 1  # 0 is nobody

    def _find(self, owner: int, start: int) -> tuple[int, Cell]:
        """Where the cell of an owner is, or may be put."""
        numbers = self._numbers
        places = range(start, start + _WAYS * _CELL, _CELL)
        for place in places:
            if self._owners[place] == owner:
                return place, Cell(numbers[place + 1], numbers[place + 2], numbers[place + 3])
        return min(places, key=lambda place: numbers[place + 1]), Cell(0.0)
