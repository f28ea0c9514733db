"""Tasks that nobody awaits."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from nora.errors import StorageBusy
from nora.http.tasks import every, spawn


def test_a_task_survives_collection_and_its_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise ValueError("lost?")

    async def run() -> None:
        spawn(fail(), "the failing one")
        gc.collect()
        await asyncio.sleep(0.05)

    asyncio.run(run())
    assert "the failing one failed" in caplog.text
    assert "lost?" in caplog.text


def test_cancelling_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        spawn(asyncio.sleep(60), "sleeper").cancel()
        await asyncio.sleep(0)

    asyncio.run(run())
    assert not caplog.records


def test_a_repeated_task_outlives_its_failures(caplog: pytest.LogCaptureFixture) -> None:
    turns: list[int] = []
    caplog.set_level(logging.INFO)

    async def work() -> None:
        turns.append(1)
        if len(turns) == 1:
            raise StorageBusy("soon")
        if len(turns) == 2:
            raise ValueError("odd")

    async def run() -> None:
        task = every(0.001, work, "the repeated one")
        for _ in range(1000):
            if len(turns) > 3:
                break
            await asyncio.sleep(0.005)
        task.cancel()

    asyncio.run(run())
    assert len(turns) > 3
    assert "soon; trying again later" in caplog.text
    assert "the repeated one failed" in caplog.text
