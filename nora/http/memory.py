"""The memory of a worker for hot answers: small blobs, manifests, derived documents."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

ENTRY_OVERHEAD = 200
"""What an entry costs beside its bytes: its key, its slot, the object header."""


class MemoryCache:
    """The most recently used values, up to a number of bytes.

    Only for what cannot change under its key (content by digest, a document by revision): nothing here
    expires, and another process never hears of a change.
    """

    __slots__ = ("_entries", "_free", "_max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._entries: OrderedDict[Hashable, bytes] = OrderedDict()
        self._max_bytes = max_bytes
        self._free = max_bytes

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def used(self) -> int:
        """Bytes in use, the overhead of the entries included."""
        return self._max_bytes - self._free

    @property
    def largest(self) -> int:
        """Bytes of the largest value that is kept."""
        return max(0, self._max_bytes // 8 - ENTRY_OVERHEAD)

    def get(self, key: Hashable) -> bytes | None:
        """The value, which becomes the most recently used one."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: Hashable, value: bytes) -> None:
        """Remember a value; the least recently used ones make room. One that is larger than an eighth
        of the whole is not kept: it would push out too much."""
        self.discard(key)
        cost = len(value) + ENTRY_OVERHEAD
        if cost * 8 > self._max_bytes:
            return
        while cost > self._free:
            _, old = self._entries.popitem(last=False)
            self._free += len(old) + ENTRY_OVERHEAD
        self._entries[key] = value
        self._free -= cost

    def discard(self, key: Hashable) -> None:
        """Forget a value; no error when there is none."""
        old = self._entries.pop(key, None)
        if old is not None:
            self._free += len(old) + ENTRY_OVERHEAD
