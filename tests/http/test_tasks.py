"""Tasks that nobody awaits."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nora.errors import NoraError, StorageBusy, StorageFull
from nora.http.jobs import Job
from nora.http.tasks import Exclusive, every, spawn
from tests.support.waiting import until


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
        await until(lambda: len(turns) > 3, "four turns")
        task.cancel()

    asyncio.run(run())
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
        await until(lambda: len(turns) > 1, "two turns")
        task.cancel()

    asyncio.run(run())
    record = caplog.records[0]
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert record.getMessage().startswith("the repeated one: no room left for the catalog")


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
        await until(lambda: len(turns) >= 20, "twenty turns")
        first = next(name for name in turns if name != "other")
        assert set(turns) == {first, "other"}, "each work has a lock of its own"
        other.cancel()
        tasks[first].cancel()
        workers[first].close()
        turns.clear()
        await until(lambda: len(turns) >= 20, "twenty turns of another")
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
        await until(lambda: turns, "a turn here")
        task.cancel()
        worker.close()

    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            asyncio.run(run(holder))
        finally:
            holder.kill()


def test_what_one_process_does_is_known_to_all(tmp_path: Path) -> None:
    problems = [NoraError("no room"), ValueError("a secret"), None]

    async def work() -> None:
        problem = problems.pop(0) if len(problems) > 1 else problems[0]
        if problem is not None:
            raise problem

    async def run() -> None:
        doer, watcher = Exclusive(str(tmp_path)), Exclusive(str(tmp_path))
        task = doer.every(0.02, work, "sweep")
        other = watcher.every(60, work, "sweep")
        assert watcher.jobs()[0].last is None
        assert watcher.jobs()[0].next_at is None
        told: list[str] = []

        def seen() -> bool:
            last = watcher.jobs()[0].last
            if last is not None and last.problem not in told:
                told.append(last.problem)
            return told[-1:] == [""]

        await until(seen, "a turn without a problem", seen=lambda: told)
        assert set(told) <= {"no room", "ValueError", ""}
        [job] = watcher.jobs()
        assert job.last is not None
        assert job.next_at == job.last.ended_at + 60 > job.last.began_at
        for one in (task, other):
            one.cancel()
        doer.close()
        watcher.close()

    asyncio.run(run())


def test_what_was_done_is_due_after_its_time_also_for_the_next_process(tmp_path: Path) -> None:
    turns: list[str] = []

    async def work(name: str) -> None:
        turns.append(name)

    async def live(name: str, seconds: float, enough: Callable[[], bool]) -> None:
        worker = Exclusive(str(tmp_path))
        task = worker.when_due(seconds, lambda: work(name), "aging")
        await until(enough, f"a turn of {name}")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        worker.close()

    async def run() -> None:
        await live("first", 0.001, lambda: bool(turns))
        done = len(turns)
        Path(tmp_path, "aging.run").write_bytes(b'{"began_at":1.0,"ended_at":99999999999.0,"problem":""}')
        await live("a clock was wrong", 0.001, lambda: len(turns) > done)

    asyncio.run(run())
    assert turns[0] == "first"
    assert turns[-1] == "a clock was wrong"
    [job] = _jobs_of(tmp_path)
    assert job.last is not None


def _jobs_of(folder: Path) -> tuple[Job, ...]:
    async def run() -> tuple[Job, ...]:
        worker = Exclusive(str(folder))
        task = worker.when_due(3600, _fail, "aging")
        await asyncio.sleep(0.01)
        found = worker.jobs()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        worker.close()
        return found

    return asyncio.run(run())


async def _fail() -> None:
    raise AssertionError("it is not due")
