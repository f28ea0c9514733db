from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nora.blobs import disk as module
from nora.blobs.disk import Disk, Inflow, translate
from nora.errors import StorageBusy, StorageFailed, StorageFull
from tests.support.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(str(tmp_path), reserve_bytes=0, durable="none")
    yield disk
    disk.close()


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EMFILE, StorageBusy),
        (errno.EIO, StorageFailed),
        (errno.ENOENT, StorageFailed),
        (errno.EROFS, StorageFailed),
    ],
)
async def test_errors_are_translated_in_one_place(disk: Disk, number: int, kind: type[Exception]) -> None:
    def fail() -> None:
        raise OSError(number, os.strerror(number), "/secret/path")

    with pytest.raises(kind) as failure:
        await disk.run(fail)
    assert type(failure.value) is kind
    assert "secret" not in str(failure.value)
    assert isinstance(failure.value.__cause__, OSError)


async def test_what_moves_much_is_done_by_a_thread_that_lets_others_go_first(disk: Disk) -> None:
    def name() -> str:
        return threading.current_thread().name

    assert await disk.run(name, weight=module.BULK_BYTES) == "disk-0"
    assert await disk.run(name, weight=module.BULK_BYTES + 1) == "bulk-0"


def test_an_error_without_a_number_is_a_failure() -> None:
    assert str(translate(OSError("anything"))) == "the storage failed: OSError"


async def test_other_errors_come_as_they_are(disk: Disk) -> None:
    with pytest.raises(KeyError):
        await disk.run({}.__getitem__, "x")


async def push(inflow: Inflow, chunks: int, size: int) -> None:
    for _ in range(chunks):
        await inflow.push(bytes(size))
    await inflow.flush()


async def test_an_inflow_keeps_the_order_and_gathers(disk: Disk) -> None:
    batches: list[bytes] = []
    async with disk.inflow(batches.append) as inflow:
        for number in range(100):
            await inflow.push(bytes([number]) * 50_000)
        await inflow.flush()
        await inflow.flush()
    assert b"".join(batches) == b"".join(bytes([number]) * 50_000 for number in range(100))
    assert len(batches) == 5


async def test_an_inflow_never_holds_more_than_two_batches(disk: Disk) -> None:
    go_on = threading.Event()
    written = pushed = 0

    def write(data: bytes) -> None:
        nonlocal written
        assert go_on.wait(PATIENCE_SECONDS)
        written += len(data)

    async def feed(inflow: Inflow) -> None:
        nonlocal pushed
        for _ in range(100):
            pushed += 100_000
            await inflow.push(bytes(100_000))
        await inflow.flush()

    async with disk.inflow(write) as inflow:
        task = asyncio.ensure_future(feed(inflow))
        await asyncio.sleep(0.02)
        assert not task.done()
        assert pushed <= 2 * (module.BATCH_BYTES + 100_000)
        go_on.set()
        await task
    assert written == pushed == 10_000_000


async def test_many_inflows_share_a_budget(disk: Disk) -> None:
    assert disk.batch_bytes == module.BATCH_BYTES
    inflows = [disk.inflow(len) for _ in range(1000)]
    for number, inflow in enumerate(inflows, 1):
        await inflow.__aenter__()
        if number == 100:
            assert disk.batch_bytes * 100 <= module.BUDGET_BYTES
    assert disk.batch_bytes == module.SMALLEST_BATCH_BYTES
    for inflow in inflows:
        await inflow.__aexit__()
    assert disk.batch_bytes == module.BATCH_BYTES


async def test_a_failed_batch_ends_the_inflow(disk: Disk) -> None:
    calls = 0

    def write(_: bytes) -> None:
        nonlocal calls
        calls += 1
        raise OSError(errno.ENOSPC, "full")

    async with disk.inflow(write) as inflow:
        for _ in range(2):
            with pytest.raises(StorageFull):
                await push(inflow, 40, 100_000)
    assert calls == 1


async def test_leaving_waits_for_the_batch_that_is_written(disk: Disk) -> None:
    ended = threading.Event()

    def write(_: bytes) -> None:
        threading.Event().wait(0.02)
        ended.set()
        raise OSError(errno.EIO, "Input/output error")

    async with disk.inflow(write) as inflow:
        await inflow.push(bytes(module.BATCH_BYTES))
        assert not ended.is_set()
    assert ended.is_set()
