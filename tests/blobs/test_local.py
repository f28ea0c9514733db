from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nora.blobs.base import BlobStore, Expect
from nora.blobs.disk import THREADS
from nora.blobs.files import LockedTempFile
from nora.blobs.layout import Layout
from nora.blobs.local import LocalBlobStore
from nora.catalog.records import Blob
from nora.errors import (
    ClientGone,
    DigestMismatch,
    SizeMismatch,
    StorageBusy,
    StorageFailed,
    StorageFull,
)
from tests.blobs.descriptors import open_files
from tests.contracts.blobs import BlobStoreContract, chunked, chunks_of, collect, digest_of, keep, row
from tests.support.waiting import PATIENCE_SECONDS, until

LARGE = os.urandom(3_000_000)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "store")
    layout.create()
    return layout


@pytest.fixture
def store(layout: Layout) -> Iterator[LocalBlobStore]:
    store = LocalBlobStore(layout, reserve_bytes=0, durable="none")
    yield store
    store.close()


def files(layout: Layout) -> list[str]:
    """Every file of blobs, uploads and tmp."""
    return [name for _, _, names in os.walk(layout.root) for name in names if not name.endswith(".lock")]


def change_last_byte(path: str) -> None:
    """As a disk does that forgets."""
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))


class TestLocalBlobStore(BlobStoreContract):
    def objects(self, store: BlobStore) -> int:
        assert isinstance(store, LocalBlobStore)
        return len(files(store.layout))

    def damage(self, store: BlobStore, blob: Blob) -> None:
        assert isinstance(store, LocalBlobStore)
        change_last_byte(store.layout.blob(blob))


# -- where things are --------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("size", [0, 10, 64 << 10, 200_000])
async def test_a_store_that_verifies_ends_no_damaged_stream(layout: Layout, size: int) -> None:
    store = LocalBlobStore(layout, reserve_bytes=0, durable="none", verifies=True)
    blob = await keep(store, bytes(size))
    assert await collect(store.stream(blob, 0, size)) == bytes(size)
    if size:
        change_last_byte(layout.blob(blob))
        stream = store.stream(blob, 0, size)
        for _ in range((size - 1) // (64 << 10)):
            await anext(stream)
        with pytest.raises(StorageFailed, match="damaged"):
            await anext(stream)  # the last piece
        assert await collect(store.stream(blob, 0, size - 1)) == bytes(size - 1), "a part is not compared"
    store.close()


@pytest.mark.anyio
async def test_an_object_is_named_by_digest_and_generation(layout: Layout, store: LocalBlobStore) -> None:
    blob = await keep(store, b"abc")
    path = store.path(blob)
    assert path == f"{layout.root}/blobs/sha256/ba/{digest_of(b'abc').encoded}-{blob.generation:016x}"
    assert Path(path).read_bytes() == b"abc"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


# -- durability --------------------------------------------------------------------------------------


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced, "file" or "directory", and when the file got its "name", in order."""
    calls: list[str] = []
    really, rename = os.fsync, os.rename

    def fsync(descriptor: int) -> None:
        calls.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        really(descriptor)

    def name(old: str, new: str) -> None:
        calls.append("name")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", name)
    return calls


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("durable", "expected"),
    [("full", ["file", "name", "directory"]), ("data", ["file", "name"]), ("none", ["name"])],
)
@pytest.mark.parametrize("size", [10, 200_000])
async def test_an_ingest_syncs_file_and_directory_once(
    layout: Layout, synced: list[str], durable: Any, expected: list[str], size: int
) -> None:
    store = LocalBlobStore(layout, reserve_bytes=0, durable=durable)
    await keep(store, bytes(size))
    of_the_shard = ["directory"] if durable == "full" else []  # made by the first object in it
    assert sorted(synced) == sorted(expected + of_the_shard)
    synced.clear()
    await keep(store, bytes(size))
    assert synced == expected
    store.close()


@pytest.mark.anyio
async def test_a_folder_that_another_process_made_is_durable_too(layout: Layout, synced: list[str]) -> None:
    await keep(LocalBlobStore(layout, reserve_bytes=0), b"abc")
    synced.clear()
    await keep(LocalBlobStore(layout, reserve_bytes=0), b"abc")
    assert synced.count("directory") == 2


@pytest.mark.anyio
async def test_full_durability_is_the_default(layout: Layout, synced: list[str]) -> None:
    store = LocalBlobStore(layout, reserve_bytes=0)
    await keep(store, b"abc")
    assert synced[-3:] == ["file", "name", "directory"]
    store.close()


@pytest.mark.anyio
async def test_a_file_of_another_file_system_is_copied(
    store: LocalBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    async with store.ingest(LARGE, Expect()) as new:
        pass
    await store.remove(new.blob)
    file = LockedTempFile(str(tmp_path / "file"))
    file.create()
    file.write(LARGE + b"beyond", 0)
    monkeypatch.setattr(os, "link", link)
    await store.adopt(file, new.blob)
    assert await store.read(row(new.blob)) == LARGE
    await store.remove(new.blob)
    file.cut(100)
    with pytest.raises(StorageFailed):
        await store.adopt(file, new.blob)
    file.discard()
    assert files(store.layout) == []


# -- room and failures -------------------------------------------------------------------------------


class Room:
    """A file system that says it has `free` bytes left."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
        self.free = free
        really = os.statvfs

        def statvfs(path: str) -> Any:
            return os.statvfs_result((1, 1, 1, self.free, self.free, 10, 10, 10, *really(path)[8:]))

        monkeypatch.setattr(os, "statvfs", statvfs)


@pytest.mark.anyio
async def test_the_reserve_is_not_touched(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalBlobStore(layout, reserve_bytes=1000)
    room = Room(monkeypatch, 1009)
    for body in (bytes(10), chunked(bytes(10))):
        with pytest.raises(StorageFull):
            async with store.ingest(body, Expect()):
                pass
    with pytest.raises(StorageFull):
        async with store.ingest(chunked(bytes(200_000)), Expect()):
            pass
    with pytest.raises(StorageFull):
        await store.check()
    assert files(layout) == []
    room.free = 1010
    blob = await keep(store, bytes(10))
    room.free = 0
    assert await store.read(blob) == bytes(10)
    await store.remove(blob)
    store.close()


@pytest.mark.anyio
async def test_a_large_announcement_is_refused_before_its_bytes_come(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalBlobStore(layout, reserve_bytes=1000)
    Room(monkeypatch, 10_000_000)

    async def body() -> Any:
        yield bytes(100_000)
        pytest.fail("read on")

    with pytest.raises(StorageFull):
        async with store.ingest(body(), Expect(size=10_000_000)):
            pass
    assert files(layout) == []
    store.close()


@pytest.mark.anyio
async def test_room_that_vanishes_meanwhile_frees_the_partial(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalBlobStore(layout, reserve_bytes=1000)
    room = Room(monkeypatch, 10_000_000)

    async def body() -> Any:
        for number in range(100):
            if number == 30:
                room.free = 0
            yield bytes(100_000)
            await asyncio.sleep(0)

    with pytest.raises(StorageFull):
        async with store.ingest(body(), Expect()):
            pass
    assert files(layout) == []
    store.close()


ERRORS = [
    (errno.ENOSPC, StorageFull),
    (errno.EDQUOT, StorageFull),
    (errno.EIO, StorageFailed),
    (errno.EROFS, StorageFailed),
    (errno.EACCES, StorageFailed),
    (errno.EMFILE, StorageBusy),
]


@pytest.mark.anyio
@pytest.mark.parametrize("call", ["open", "rename", "fsync"])
@pytest.mark.parametrize(("number", "expected"), ERRORS)
async def test_errors_of_the_disk_are_ours_and_leave_nothing(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, call: str, number: int, expected: type[Exception]
) -> None:
    store = LocalBlobStore(layout, reserve_bytes=0)
    before = open_files(layout)

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        for data in (b"abc", LARGE):
            with pytest.raises(expected) as failure:
                await keep(store, data)
            assert type(failure.value) is expected
            assert layout.root not in str(failure.value)
    assert files(layout) == []
    assert open_files(layout) == before
    store.close()


@pytest.mark.anyio
async def test_a_failed_read_is_a_failure(store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = await keep(store, b"abc"), await keep(store, LARGE)

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "preadv", fail)
    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(StorageFailed):
        await store.read(small)
    with pytest.raises(StorageFailed):
        await collect(store.stream(large, 0, large.size))


@pytest.mark.anyio
async def test_a_small_blob_that_is_not_in_memory_is_read_by_a_thread(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = await keep(store, b"abc")

    def not_now(*_: Any) -> Any:
        raise BlockingIOError(errno.EAGAIN, "not in memory")

    monkeypatch.setattr(os, "preadv", not_now)
    assert await store.read(blob) == b"abc"


# -- who leaves, and what a crash leaves -------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("steps", range(12))
@pytest.mark.parametrize("size", [10, 400_000])
async def test_a_cancelled_ingest_leaves_nothing(
    layout: Layout, store: LocalBlobStore, size: int, steps: int
) -> None:
    """Cancelled after so many turns of the loop, wherever that is."""
    before = open_files(layout)
    entered = False

    async def ingest() -> None:
        nonlocal entered
        async with store.ingest(chunked(bytes(size), 65_536), Expect()) as new:
            entered = True
            new.settle(row(new.blob))

    task = asyncio.ensure_future(ingest())
    for _ in range(steps):
        await asyncio.sleep(0)
    if task.cancel():
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(files(layout)) == (1 if entered else 0)
    assert open_files(layout) == before


@pytest.mark.anyio
async def test_a_cancelled_write_ends_before_its_file_goes(
    layout: Layout, store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on = threading.Event(), threading.Event()
    really = os.fsync

    def slow(descriptor: int) -> None:
        writing.set()
        assert go_on.wait(PATIENCE_SECONDS)
        really(descriptor)

    slow_store = LocalBlobStore(layout, reserve_bytes=0, durable="data")
    monkeypatch.setattr(os, "fsync", slow)
    task = asyncio.ensure_future(keep(slow_store, b"abc"))
    await until(writing.is_set, "the write")
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.005)
        assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files(layout) == []
    slow_store.close()


@pytest.mark.anyio
async def test_no_failure_costs_a_descriptor(layout: Layout, store: LocalBlobStore) -> None:
    await keep(store, LARGE)
    before = open_files(layout)
    for _ in range(20):
        with pytest.raises(ClientGone):
            async with store.ingest(chunks_of([LARGE, ClientGone("gone")]), Expect()):
                pass
        with pytest.raises(DigestMismatch):
            await keep(store, LARGE, Expect(digest_of(b"")))
        with pytest.raises(SizeMismatch):
            await keep(store, b"abc", Expect(size=4))
    assert open_files(layout) == before


@pytest.mark.anyio
@pytest.mark.parametrize("steps", range(6))
async def test_a_cancelled_stream_closes_its_file(layout: Layout, store: LocalBlobStore, steps: int) -> None:
    blob = await keep(store, LARGE)
    before = open_files(layout)
    task = asyncio.ensure_future(collect(store.stream(blob, 0, blob.size)))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert open_files(layout) == before


@pytest.mark.anyio
async def test_sweeping_takes_what_nobody_holds(layout: Layout, store: LocalBlobStore) -> None:
    blob = await keep(store, b"abc")
    left = Path(layout.temporary, "left")
    left.write_bytes(b"of a crash")
    young = Path(layout.temporary, "young")
    young.write_bytes(b"just made")
    os.utime(left, (0, 0))
    going_on = asyncio.Event()
    hold = asyncio.Event()

    async def body() -> Any:
        yield LARGE
        going_on.set()
        await hold.wait()
        yield b"end"

    task = asyncio.ensure_future(keep_body(store, body()))
    await going_on.wait()
    await until(lambda: len(os.listdir(layout.temporary)) == 3, "the file of the writer")
    assert await store.sweep() == 1
    assert not left.exists()
    assert await store.sweep(idle_seconds=-60) == 1  # the young one; that of the writer is locked
    hold.set()
    assert (await task).size == len(LARGE) + 3
    assert os.listdir(layout.temporary) == []
    assert await store.read(blob) == b"abc"


async def keep_body(store: LocalBlobStore, body: Any) -> Any:
    async with store.ingest(body, Expect()) as new:
        new.settle(row(new.blob))
    return new.blob


@pytest.mark.anyio
@pytest.mark.parametrize("data", [b"few", LARGE], ids=["small", "large"])
async def test_a_folder_that_somebody_removed_is_made_again(
    layout: Layout, store: LocalBlobStore, data: bytes
) -> None:
    """As tools do that tidy what is empty."""
    new = await keep_body(store, chunked(data))
    await store.remove(new)
    os.rmdir(layout.shard(new))
    again = await keep_body(store, chunked(data))
    assert await collect(store.stream(row(again), 0, len(data))) == data
    await store.remove(again)
    os.rmdir(layout.shard(new))
    file = LockedTempFile(layout.temp(1))
    file.create()
    file.write(data, 0)
    await store.adopt(file, again)
    assert await store.is_whole(row(again))
    file.discard()


@pytest.mark.anyio
async def test_a_disk_that_is_not_there_has_lost_nothing(layout: Layout, store: LocalBlobStore) -> None:
    new = await keep_body(store, chunked(LARGE))
    os.rename(f"{layout.root}/blobs", f"{layout.root}/elsewhere")
    with pytest.raises(StorageFailed):
        await store.is_whole(row(new))
    with pytest.raises(StorageFailed):
        await keep_body(store, chunked(LARGE))
    with pytest.raises(StorageFailed):
        await store.check()
    assert not os.path.exists(layout.objects), "what comes meanwhile is not hidden by the disk later"
    os.rename(f"{layout.root}/elsewhere", f"{layout.root}/blobs")
    assert await store.is_whole(row(new))
    await keep_body(store, chunked(LARGE))


# -- threads and memory ------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_threads_are_few_and_late(store: LocalBlobStore) -> None:
    def names() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("disk")]

    before = len(names())
    await asyncio.gather(*[keep(store, bytes(1000 + number)) for number in range(200)])
    assert 0 < len(names()) - before <= THREADS
