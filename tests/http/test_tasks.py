"""Tasks that nobody awaits."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from nora.errors import StorageBusy, StorageFull
from nora.http.tasks import Exclusive, every, spawn


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


def test_a_disk_that_is_full_is_told_of_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reads the log learns from the message what there is to learn, every few seconds."""
    turns: list[int] = []

    async def work() -> None:
        turns.append(1)
        raise StorageFull("no room left for the catalog")

    async def run() -> None:
        task = every(0.001, work, "the repeated one")
        for _ in range(1000):
            if len(turns) > 1:
                break
            await asyncio.sleep(0.005)
        task.cancel()

    asyncio.run(run())
    record = caplog.records[0]
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert record.getMessage().startswith("the repeated one: no room left for the catalog")


async def until(turns: list[str], count: int) -> None:
    for _ in range(1000):
        if len(turns) >= count:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(turns)


def test_one_of_all_does_it_until_it_ends(tmp_path: Path) -> None:
    turns: list[str] = []

    async def work(name: str) -> None:
        turns.append(name)

    async def run() -> None:
        workers = {name: Exclusive(str(tmp_path)) for name in "abc"}
        tasks = {
            name: worker.every(0.001, lambda name=name: work(name), "sweep")  # type: ignore[misc]
            for name, worker in workers.items()
        }
        other = workers["b"].every(0.001, lambda: work("other"), "evict")
        await until(turns, 20)
        first = next(name for name in turns if name != "other")
        assert set(turns) == {first, "other"}, "each work has a lock of its own"
        other.cancel()
        tasks[first].cancel()
        workers[first].close()
        turns.clear()
        await until(turns, 20)
        assert len(set(turns) - {first}) == 1
        for task in tasks.values():
            task.cancel()
        for worker in workers.values():
            worker.close()

    asyncio.run(run())


HOLDER = """
import asyncio, sys
from nora.http.tasks import Exclusive

async def work():
    print("did it", flush=True)

async def run():
    await Exclusive(sys.argv[1]).every(0.001, work, "sweep")

asyncio.run(run())
"""


def test_another_takes_over_from_a_process_that_is_killed(tmp_path: Path) -> None:
    turns: list[str] = []

    async def work() -> None:
        turns.append("here")

    async def run(holder: subprocess.Popen[str]) -> None:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "did it\n"
        worker = Exclusive(str(tmp_path))
        task = worker.every(0.001, work, "sweep")
        await asyncio.sleep(0.05)
        assert not turns
        holder.kill()
        await until(turns, 1)
        task.cancel()
        worker.close()

    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            asyncio.run(run(holder))
        finally:
            holder.kill()
