"""What is kept of a bucket on the disk: at most so much, only what is right, and never in the way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import aclosing
from hashlib import sha256
from pathlib import Path

import pytest

from nora.blobs.files import LockedTempFile
from nora.blobs.layout import Layout
from nora.blobs.s3 import Bucket, BucketAddress, DiskCache, S3BlobStore
from nora.catalog.records import Blob
from nora.errors import StorageBusy, StorageFailed
from tests.contracts.blobs import collect, keep
from tests.support import bucket_faults as faulty
from tests.support.bucket_faults import Faults, faulty_bucket

MIB = 1 << 20
DATA = os.urandom(MIB + 5)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    with faulty_bucket(monkeypatch) as faults:
        yield faults


def open_store(folder: Path, *, verifies: bool = False) -> S3BlobStore:
    """As another worker of the machine has it."""
    layout = Layout(folder / "store")
    layout.create()
    return S3BlobStore(
        Bucket(BucketAddress(faulty.NAME, faulty.URL, access_key="key", secret_key="secret")),
        layout,
        reserve_bytes=0,
        verifies=verifies,
        cache=DiskCache(folder / "cache", 5 * MIB),
    )


def cached(folder: Path) -> set[str]:
    """The names of what is kept or on its way."""
    return {name for name in os.listdir(folder / "cache") if name != "lock"}


def name(blob: Blob) -> str:
    return blob.digest[7:]


async def whole(store: S3BlobStore, blob: Blob) -> bytes:
    return await collect(store.stream(blob, 0, blob.size))


@pytest.mark.anyio
async def test_what_was_read_whole_is_read_from_the_disk_by_all(faults: Faults, tmp_path: Path) -> None:
    first, second = open_store(tmp_path), open_store(tmp_path)
    blob = await keep(first, DATA)
    assert await collect(first.stream(blob, 3, 300_000)) == DATA[3:300_000]
    assert not (tmp_path / "cache").exists(), "a part is not kept"
    assert await whole(first, blob) == DATA
    assert cached(tmp_path) == {name(blob)}
    faults.begin(faulty.unreachable)
    for store in (first, second):
        assert await whole(store, blob) == DATA
        assert await collect(store.stream(blob, 70_000, 900_001)) == DATA[70_000:900_001]
        store.close()


@pytest.mark.anyio
async def test_the_least_recent_go_for_new_ones_and_the_small_are_not_kept(
    faults: Faults, tmp_path: Path
) -> None:
    store = open_store(tmp_path)
    blobs = [await keep(store, bytes([number]) + DATA) for number in range(5)]
    for number, blob in enumerate(blobs[:4]):
        await whole(store, blob)
        os.utime(tmp_path / "cache" / name(blob), (number, number))
    await whole(store, blobs[0])  # used again
    await whole(store, blobs[4])
    assert cached(tmp_path) == {name(blobs[number]) for number in (0, 2, 3, 4)}
    for data in (bytes(6 * MIB), bytes(MIB - 1)):
        await whole(store, await keep(store, data))
    assert cached(tmp_path) == {name(blobs[number]) for number in (0, 2, 3, 4)}
    store.close()


@pytest.mark.anyio
async def test_nothing_is_kept_that_is_not_what_was_written(faults: Faults, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    blob = await keep(store, DATA)
    store._bucket.put(store._key(blob), DATA[:-1] + b"?", sha256=_digest(DATA[:-1] + b"?"), notes={})
    with pytest.raises(StorageFailed, match="damaged"):
        await whole(store, blob)
    assert cached(tmp_path) == set()
    store._bucket.put(store._key(blob), DATA, sha256=_digest(DATA), notes={})
    for fault in (faulty.cut, faulty.short):
        faults.begin(fault, "GetObject")
        with pytest.raises(StorageBusy):
            await whole(store, blob)
        assert cached(tmp_path) == set()
    faults.end()
    async with aclosing(store.stream(blob, 0, blob.size)) as pieces:  # type: ignore[type-var]
        await anext(pieces)
        assert len(cached(tmp_path)) == 1
    assert cached(tmp_path) == set(), "a reader that leaves"
    assert await whole(store, blob) == DATA
    store.close()


def _digest(data: bytes) -> bytes:
    return sha256(data).digest()


@pytest.mark.anyio
async def test_what_changed_on_the_disk_is_forgotten(faults: Faults, tmp_path: Path) -> None:
    store = open_store(tmp_path, verifies=True)
    blob = await keep(store, DATA)
    await whole(store, blob)
    file = tmp_path / "cache" / name(blob)
    file.write_bytes(DATA[:-9])
    assert await whole(store, blob) == DATA, "torn"
    assert file.read_bytes() == DATA
    file.write_bytes(DATA[:-1] + b"?")
    with pytest.raises(StorageFailed, match="damaged"):
        await whole(store, blob)
    assert not store._suspects, "the bucket has done nothing wrong"
    assert await whole(store, blob) == DATA
    store.close()


@pytest.mark.anyio
async def test_a_cache_that_fails_fails_nobody(faults: Faults, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    store = open_store(tmp_path)
    blob = await keep(store, DATA)
    for _ in range(2):
        assert await whole(store, blob) == DATA
    store.close()


@pytest.mark.anyio
async def test_what_killed_writers_left_goes_and_what_is_being_written_counts(
    faults: Faults, tmp_path: Path
) -> None:
    store = open_store(tmp_path)
    blob = await keep(store, DATA)
    await whole(store, blob)
    left, held = (LockedTempFile(str(tmp_path / "cache" / f"{'a' * 64}.{number:016x}")) for number in (1, 2))
    for temp, size in ((left, 3 * MIB), (held, 2 * MIB)):
        temp.create()
        os.truncate(temp.fd, size)
        os.utime(temp.path, (1, 1))
    left.close()
    other = await keep(store, DATA[::-1])
    await whole(store, other)
    assert cached(tmp_path) == {name(blob), name(other), os.path.basename(held.path)}
    large = await keep(store, bytes(4 * MIB))
    assert await whole(store, large) == bytes(4 * MIB)
    assert name(large) not in cached(tmp_path), "there is no room beside what is on its way"
    held.discard()
    assert await whole(store, large) == bytes(4 * MIB)
    assert cached(tmp_path) == {name(large)}
    store.close()
