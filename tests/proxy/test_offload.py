"""Work on large documents: the same result, in another process, which comes and goes."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import orjson
import pytest

from nora.errors import StorageBusy
from nora.proxy import offload as module
from nora.proxy.offload import QUICK_BYTES, SMALL_BYTES, Helper, offload
from tests.support.waiting import until

LARGE = bytes(SMALL_BYTES + 1)


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    yield
    module.close()


@pytest.fixture
def helper() -> Iterator[Helper]:
    one = Helper(idle_seconds=60)
    yield one
    one.close()


def children() -> set[int]:
    """The processes that this one has started."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found.update(map(int, (task / "children").read_text().split()))
    return found


def test_small_work_is_done_here_and_large_work_is_not() -> None:
    async def body() -> None:
        assert await offload(os.getpid) == os.getpid()
        before = children()
        assert await offload(zlib.crc32, bytes(SMALL_BYTES)) == zlib.crc32(bytes(SMALL_BYTES))
        assert children() == before
        assert await offload(zlib.crc32, LARGE, 5) == zlib.crc32(LARGE, 5)
        assert len(children()) == len(before) + 1
        assert await offload(os.getpid, weight=SMALL_BYTES + 1) != os.getpid(), "it is said to be large"

    asyncio.run(body())


def test_work_of_middle_size_leaves_the_loop_to_others() -> None:
    async def body() -> None:
        here = threading.get_ident()
        assert await offload(threading.get_ident, weight=QUICK_BYTES) == here
        assert await offload(threading.get_ident, weight=QUICK_BYTES + 1) != here
        assert await offload(os.getpid, weight=SMALL_BYTES) == os.getpid()

    asyncio.run(body())


def test_what_a_function_raises_is_raised_and_the_next_call_works(helper: Helper) -> None:
    async def body() -> None:
        with pytest.raises(ZeroDivisionError):
            await helper.call(divmod, 1, 0)
        with pytest.raises(orjson.JSONDecodeError):
            await helper.call(orjson.loads, b"[")
        assert await helper.call(divmod, 7, 2) == (3, 1)

    asyncio.run(body())


def test_one_process_takes_one_call_after_the_other(helper: Helper) -> None:
    async def body() -> None:
        pids = await asyncio.gather(*(helper.call(os.getpid) for _ in range(5)))
        assert len(set(pids)) == 1
        assert os.getpid() not in pids

    asyncio.run(body())


def test_large_results_come_back(helper: Helper) -> None:
    async def body() -> None:
        data = os.urandom(5_000_000)
        assert zlib.decompress(await helper.call(zlib.compress, data, 1)) == data

    asyncio.run(body())


@pytest.mark.parametrize("how", [0, 1], ids=["working", "answering"])
def test_a_process_that_dies_is_busy_once(helper: Helper, how: int) -> None:
    async def body() -> None:
        with pytest.raises(StorageBusy):
            await helper.call((_die, _die_while_answering)[how])
        assert await helper.call(divmod, 7, 2) == (3, 1)

    asyncio.run(body())


def test_what_cannot_be_sent_is_an_error_and_the_next_call_works(helper: Helper) -> None:
    async def body() -> None:
        with pytest.raises(Exception, match="pickle"):
            await helper.call(lambda: 1)
        assert await helper.call(divmod, 7, 2) == (3, 1)

    asyncio.run(body())


def test_it_ends_when_it_is_idle() -> None:
    helper = Helper(idle_seconds=0.05)

    async def body() -> None:
        pid = await helper.call(os.getpid)
        await until(lambda: pid not in children(), "the helper to end")
        assert await helper.call(os.getpid) != pid

    asyncio.run(body())
    helper.close()


def test_a_cancelled_call_spoils_nothing(helper: Helper) -> None:
    async def body() -> None:
        task = asyncio.ensure_future(helper.call(zlib.compress, os.urandom(3_000_000), 9))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await helper.call(divmod, 7, 2) == (3, 1)

    asyncio.run(body())


def test_it_is_closed_in_the_middle_of_a_call(helper: Helper) -> None:
    async def body() -> None:
        assert await helper.call(divmod, 7, 2) == (3, 1)
        task = asyncio.ensure_future(helper.call(time.sleep, 600))
        await asyncio.sleep(0.05)
        helper.close()
        with pytest.raises(StorageBusy):
            await task

    asyncio.run(body())


def _die_while_answering() -> None:
    os.write(1, pickle.dumps((True, b"x" * 100))[:50])
    os.kill(os.getpid(), signal.SIGKILL)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
