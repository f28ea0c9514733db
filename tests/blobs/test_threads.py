from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress

import pytest

from nora.blobs.threads import Threads, uncancellable
from tests.support.waiting import PATIENCE_SECONDS, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads(4, "test-threads")
    yield threads
    threads.close()
    assert not names()


def names() -> set[str]:
    return {one.name for one in threading.enumerate() if one.name.startswith("test-threads")}


async def test_a_result_comes_back_and_so_does_an_error(threads: Threads) -> None:
    assert await threads.start(lambda: 42).result() == 42
    job = threads.start(lambda: 1 // 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await job.result()


async def test_threads_are_started_when_needed_and_no_more_than_allowed(threads: Threads) -> None:
    assert not names()
    for _ in range(5):
        await threads.start(int).result()
    assert len(names()) == 1
    jobs = [threads.start(lambda: time.sleep(0.001)) for _ in range(50)]
    await asyncio.gather(*[job.result() for job in jobs])
    assert len(names()) == 4


async def test_a_cancelled_wait_ends_after_the_call(threads: Threads) -> None:
    go_on, ended = threading.Event(), threading.Event()

    def call() -> None:
        assert go_on.wait(PATIENCE_SECONDS)
        ended.set()

    task = asyncio.ensure_future(threads.start(call).result())
    for _ in range(3):
        await asyncio.sleep(0.002)
        task.cancel()
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_an_idle_thread_keeps_nothing(threads: Threads) -> None:
    class Large:
        def call(self) -> None:
            pass

    large = Large()
    gone = weakref.ref(large)
    job = threads.start(large.call)
    await job.result()
    del large
    await until(lambda: gone() is None, "the thread to let it go")


async def test_a_failed_job_is_no_cycle(threads: Threads) -> None:
    class Large:
        def call(self) -> None:
            raise KeyError("x")

    large = Large()
    gone = weakref.ref(large)
    gc.disable()
    try:
        with suppress(KeyError):
            await threads.start(large.call).result()
        del large
        await until(lambda: gone() is None, "the thread to let it go")
    finally:
        gc.enable()


def test_threads_outlive_a_loop_and_its_unfinished_jobs(threads: Threads) -> None:
    go_on = threading.Event()

    async def leave() -> None:
        threads.start(lambda: go_on.wait(PATIENCE_SECONDS))

    async def ask() -> int:
        return await threads.start(lambda: 42).result()

    asyncio.run(leave())
    go_on.set()
    assert asyncio.run(ask()) == 42


async def test_to_the_end_is_not_cut_short() -> None:
    ended = False

    async def work() -> int:
        nonlocal ended
        await asyncio.sleep(0.01)
        ended = True
        return 42

    assert await uncancellable(work()) == 42
    ended = False
    task = asyncio.ensure_future(uncancellable(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended


async def test_to_the_end_raises_what_was_raised() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError("x")

    with pytest.raises(KeyError):
        await uncancellable(fail())
    task = asyncio.ensure_future(uncancellable(fail()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
