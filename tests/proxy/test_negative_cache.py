"""What is absent, for a while and for all processes."""

from __future__ import annotations

import os
from pathlib import Path

from nora.proxy.negative_cache import SLOTS, NegativeCache
from tests.proxy.engine import Clock


def test_an_absence_is_known_to_all_until_its_time_is_over(tmp_path: Path) -> None:
    clock = Clock()
    one, other = (
        NegativeCache(str(tmp_path / "absences"), clock),
        NegativeCache(str(tmp_path / "absences"), clock),
    )
    assert not other.has("a")
    one.remember("a", None, 60)
    assert other.has("a")
    assert not other.has("b")
    clock.now += 61
    assert not other.has("a")
    one.remember("a", None, 60)
    other.forget("a")
    assert not one.has("a")
    one.remember("a", None, 0)
    assert not one.has("a")
    one.close()
    other.close()


def test_an_absence_of_a_clock_that_was_wrong_is_not_known(tmp_path: Path) -> None:
    clock = Clock()
    one = NegativeCache(str(tmp_path / "absences"), clock, longest=60)
    clock.now += 1e9
    one.remember("a", None, 60)
    assert one.has("a")
    clock.now -= 1e9
    assert not one.has("a")
    one.close()


def test_a_package_is_forgotten_as_a_whole(tmp_path: Path) -> None:
    negative_cache = NegativeCache(str(tmp_path / "absences"), Clock())
    for number in range(200):
        negative_cache.remember(f"a{number}", "a", 60)
        negative_cache.remember(f"b{number}", "b", 60)
    negative_cache.forget_package("a")
    assert not any(negative_cache.has(f"a{number}") for number in range(200))
    assert sum(negative_cache.has(f"b{number}") for number in range(200)) > 190
    negative_cache.forget_package("nothing")
    negative_cache.close()


def test_any_number_of_names_takes_no_more_room(tmp_path: Path) -> None:
    path = tmp_path / "absences"
    negative_cache = NegativeCache(str(path), Clock())
    for number in range(20_000):
        negative_cache.remember(str(number), None, 60)
    assert path.stat().st_size <= SLOTS * 32
    negative_cache.close()


def test_a_disk_that_fails_knows_nothing(tmp_path: Path) -> None:
    negative_cache = NegativeCache(str(tmp_path / "none" / "absences"), Clock())
    negative_cache.remember("a", "a", 60)
    negative_cache.forget_package("a")
    assert not negative_cache.has("a")
    path = tmp_path / "absences"
    path.write_bytes(os.urandom(SLOTS * 32 - 7))
    negative_cache = NegativeCache(str(path), Clock())
    assert not any(negative_cache.has(str(number)) for number in range(1000))
    negative_cache.close()
