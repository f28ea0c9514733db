"""The memory of hot answers."""

from __future__ import annotations

from nora.http.memory import ENTRY_OVERHEAD, MemoryCache


def test_the_least_recently_used_makes_room() -> None:
    cache = MemoryCache(10 * (100 + ENTRY_OVERHEAD))
    for key in range(10):
        cache.put(key, bytes(100))
    assert cache.get(0) == bytes(100)
    cache.put("new", bytes(100))
    assert cache.get(1) is None
    assert cache.get(0) is not None
    assert len(cache) == 10


def test_what_is_used_never_exceeds_the_bound() -> None:
    cache = MemoryCache(20_000)
    for key in range(1000):
        cache.put(key % 37, bytes(key))
        assert cache.used <= 20_000
    for key in range(37):
        cache.discard(key)
    assert (cache.used, len(cache)) == (0, 0)


def test_replacing_counts_once() -> None:
    cache = MemoryCache(100_000)
    cache.put("a", bytes(10))
    cache.put("a", bytes(20))
    assert cache.used == 20 + ENTRY_OVERHEAD
    assert cache.get("a") == bytes(20)


def test_what_is_too_large_is_not_kept_and_its_old_value_is_gone() -> None:
    cache = MemoryCache(10_000)
    cache.put("a", bytes(10))
    cache.put("a", bytes(9_000))
    assert cache.get("a") is None
    assert cache.used == 0


def test_empty_values_are_values() -> None:
    cache = MemoryCache(10_000)
    cache.put("a", b"")
    assert cache.get("a") == b""
    cache.discard("unknown")
