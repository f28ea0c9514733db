"""The memory that workers count in."""

from __future__ import annotations

import os

import pytest

from nora.observability.shared import SLOT_BYTES, SharedMemory


def total(memory: SharedMemory, wanted: str) -> float:
    return sum(value for _, key, value in memory.read() if key == wanted)


def test_slots_are_apart_and_summed() -> None:
    memory = SharedMemory(2)
    memory.slot(0).value("requests").add()
    memory.slot(1).value("requests").add(41)
    memory.slot(1).value("ключ").set(7.5)
    assert total(memory, "requests") == 42
    assert total(memory, "ключ") == 7.5


def test_a_successor_goes_on_counting() -> None:
    memory = SharedMemory(1)
    memory.slot(0).value("a").add(3)
    successor = memory.slot(0)
    successor.value("a").add(4)
    successor.value("b").add(1)
    assert total(memory, "a") == 7
    assert [key for _, key, _ in memory.read()] == ["a", "b"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_a_killed_process_counted_is_there() -> None:
    memory = SharedMemory(2)
    child = os.fork()
    if child == 0:
        memory.slot(1).value("a").add(5)
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert total(memory, "a") == 5


def test_a_full_slot_loses_only_what_does_not_fit(caplog: pytest.LogCaptureFixture) -> None:
    memory = SharedMemory(1)
    slot = memory.slot(0)
    slot.value("first").add()
    for number in range(SLOT_BYTES // 1000 + 2):
        slot.value(f"{number:0>1000}").add()
    assert "too many different metrics" in caplog.text
    assert total(memory, "first") == 1
