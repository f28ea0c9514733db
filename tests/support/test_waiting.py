"""Waiting, by a deadline."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.support.waiting import until, wait_until

pytestmark = pytest.mark.anyio


def test_what_comes_is_returned() -> None:
    came: list[str] = []
    later = threading.Timer(0.01, came.append, ["it"])
    later.start()
    assert wait_until(lambda: came, "it") == ["it"]
    later.join()


async def test_the_loop_goes_on_meanwhile() -> None:
    came: list[str] = []
    asyncio.get_running_loop().call_later(0.005, came.append, "it")

    async def last() -> str:
        return came[-1] if came else ""

    assert await until(last, "the last") == "it"
    assert await until(lambda: came, "all") == ["it"]


async def test_what_does_not_come_is_told_with_what_is_there() -> None:
    with pytest.raises(AssertionError, match=r"^waited 0 s for a file; seen last: \[\]$"):
        wait_until(list, "a file", seconds=0)
    with pytest.raises(AssertionError, match=r"^waited 0 s for a file; seen last: a folder$"):
        await until(lambda: False, "a file", seen=lambda: "a folder", seconds=0)
