"""Copying from one store to another, here two directories: what is copied, what is not, and what is said."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from nora.blobs.base import Expect
from nora.blobs.files import LockedTempFile
from nora.blobs.layout import Layout
from nora.blobs.local import LocalBlobStore
from nora.catalog.base import Catalog
from nora.catalog.records import Blob, NewBlob
from nora.catalog.sqlite import SQLiteCatalog
from nora.errors import StorageBusy, StorageFailed, StorageFull
from nora.model import Repository, RepositorySpec
from nora.upkeep.migration import LARGE_AT_ONCE, MOST_PROBLEMS, Migration, Pass
from nora.upkeep.progress import Silent
from nora.upkeep.verification import Pace
from tests.contracts.catalog import LEASE, new_blob
from tests.contracts.catalog_collection import doom_all
from tests.support.catalogs import prepare_catalog
from tests.support.stores import flip

pytestmark = pytest.mark.anyio

LARGE = os.urandom(300_000)


class Moving:
    """Two stores, the rows of the first, and what copies."""

    def __init__(self, catalog: Catalog, hosted: Repository, folder: Path) -> None:
        self.catalog = catalog
        self.pace = Pace(0)
        self._hosted = hosted
        self.layouts = Layout(folder / "old"), Layout(folder / "new")
        for layout in self.layouts:
            layout.create()
        self.old, self.new = (LocalBlobStore(one, reserve_bytes=0, durable="none") for one in self.layouts)

    async def put(self, data: bytes) -> Blob:
        async with self.old.ingest(data, Expect()) as made:
            live = await self.catalog.add_blob(made.blob, self._hosted.id, "app", LEASE)
            made.settle(live)
        return live

    async def copy(self) -> Pass:
        layout = self.layouts[1]
        moving = Migration(self.catalog, self.old, self.new, self.new.disk, layout, self.pace, Silent())
        return await moving.copy_missing("blobs")

    def object(self, blob: Blob) -> Path:
        return Path(self.layouts[0].blob(blob))

    def copied(self, blob: Blob) -> Path:
        return Path(self.layouts[1].blob(blob))

    def left(self) -> list[str]:
        return os.listdir(self.layouts[1].temporary)


@pytest.fixture
async def moving(tmp_path: Path) -> AsyncIterator[Moving]:
    prepare_catalog(tmp_path / "catalog.sqlite3")
    catalog = SQLiteCatalog.open(tmp_path / "catalog.sqlite3")
    hosted = (await catalog.sync_repositories([RepositorySpec("hosted", "docker", "hosted")]))["hosted"]
    made = Moving(catalog, hosted, tmp_path)
    yield made
    made.old.close()
    made.new.close()
    await catalog.close()


async def test_all_that_rows_name_is_copied_once_and_stays_where_it_was(moving: Moving) -> None:
    blobs = {data: await moving.put(data) for data in (b"", b"small", LARGE, *(b"%d" % n for n in range(20)))}
    size = sum(map(len, blobs))
    first = await moving.copy()
    assert (first.blobs, first.bytes, first.copied, first.copied_bytes) == (23, size, 23, size)
    for data, blob in blobs.items():
        assert moving.copied(blob).read_bytes() == moving.object(blob).read_bytes() == data
    assert moving.left() == []
    later = await moving.put(b"came meanwhile")
    second = await moving.copy()
    assert (second.blobs, second.copied, second.wrong) == (24, 1, 0)
    assert moving.copied(later).read_bytes() == b"came meanwhile"


async def test_what_no_row_names_is_not_copied(moving: Moving) -> None:
    blob = await moving.put(b"collected")
    async with moving.old.ingest(b"of a crash", Expect()) as made:
        made.settle(Blob(0, made.blob.digest, made.blob.size, made.blob.generation))
    await doom_all(moving.catalog)
    assert await moving.copy() == Pass()
    assert not moving.copied(blob).exists()


def _remove(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    os.truncate(path, 1000)


def _flip(path: Path) -> None:
    flip(path, 200_000)


@pytest.mark.parametrize(
    ("harm", "problem"),
    [(_remove, "missing"), (_cut, "damaged"), (_flip, "damaged")],
)
async def test_a_damaged_object_is_named_and_not_carried(
    moving: Moving, harm: Callable[[Path], None], problem: str
) -> None:
    wrong, right = await moving.put(LARGE), await moving.put(b"right")
    harm(moving.object(wrong))
    found = await moving.copy()
    assert [(one.digest, one.size, one.problem) for one in found.problems] == [
        (wrong.digest, len(LARGE), problem)
    ]
    assert (found.wrong, found.copied) == (1, 1)
    assert not moving.copied(wrong).exists()
    assert moving.copied(right).exists()
    assert moving.left() == []


async def test_an_object_that_cannot_be_read_is_named(moving: Moving) -> None:
    await moving.put(LARGE)

    async def stream(blob: Blob, start: int, stop: int) -> AsyncIterator[bytes]:
        yield LARGE[:1000]
        raise StorageFailed("the storage failed: Input/output error")

    with patch.object(moving.old, "stream", stream):
        found = await moving.copy()
    assert [one.problem for one in found.problems] == ["unreadable: the storage failed: Input/output error"]


async def test_what_is_there_with_another_size_is_put_again(moving: Moving) -> None:
    blob = await moving.put(LARGE)
    await moving.copy()
    _cut(moving.copied(blob))
    assert (await moving.copy()).copied == 1
    assert moving.copied(blob).read_bytes() == LARGE


async def test_what_is_there_whole_is_not_asked_of_the_old_store(moving: Moving) -> None:
    blob = await moving.put(LARGE)
    await moving.copy()
    _flip(moving.object(blob))
    assert (await moving.copy()).wrong == 0
    assert moving.copied(blob).read_bytes() == LARGE


async def test_an_object_that_was_put_again_meanwhile_is_not_called_lost(moving: Moving) -> None:
    lost = await moving.put(LARGE)
    rows = moving.catalog.list_shard

    async def list_shard(shard: str) -> list[Blob]:
        found = await rows(shard)
        if shard == lost.digest.encoded[:2]:
            moving.object(lost).unlink()
            await moving.catalog.replace_object(lost, NewBlob(lost.digest, lost.size, "", 7))
        return found

    with patch.object(moving.catalog, "list_shard", list_shard):
        found = await moving.copy()
    assert (found.wrong, found.copied) == (0, 0)


async def test_a_full_disk_and_a_store_that_does_not_answer_stop_it(moving: Moving) -> None:
    for number in range(30):
        await moving.put(b"%d" % number)
    for error in (StorageFull("the storage has no room left"), StorageBusy("nobody answers there")):

        async def adopt(file: LockedTempFile, new: NewBlob, error: Exception = error) -> None:
            raise error

        with patch.object(moving.new, "adopt", adopt), pytest.raises(type(error)):
            await moving.copy()
        assert moving.left() == []
    assert (await moving.copy()).copied == 30


async def test_copying_is_kept_to_a_pace_and_what_is_there_is_not_counted(moving: Moving) -> None:
    kept: list[int] = []

    async def keep(size: int) -> None:
        kept.append(size)

    await moving.put(LARGE)
    with patch.object(moving.pace, "keep", keep):
        await moving.copy()
        assert sum(kept) == len(LARGE)
        await moving.copy()
    assert sum(kept) == len(LARGE)


async def test_few_large_objects_are_on_their_way_at_a_time(moving: Moving) -> None:
    for number in range(LARGE_AT_ONCE + 4):
        await moving.put(LARGE[number:])
    really, most = moving.new.adopt, 0

    async def adopt(file: LockedTempFile, new: NewBlob) -> None:
        nonlocal most
        most = max(most, len(moving.left()))
        await really(file, new)

    with patch.object(moving.new, "adopt", adopt):
        assert (await moving.copy()).copied == LARGE_AT_ONCE + 4
    assert 1 <= most <= LARGE_AT_ONCE


async def test_who_is_stopped_leaves_nothing_behind(moving: Moving) -> None:
    await moving.put(LARGE)
    began = asyncio.Event()

    async def adopt(file: LockedTempFile, new: NewBlob) -> None:
        began.set()
        await asyncio.Event().wait()

    with patch.object(moving.new, "adopt", adopt):
        copying = asyncio.ensure_future(moving.copy())
        await began.wait()
        copying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await copying
    assert moving.left() == []


async def test_a_server_that_starts_and_empties_the_folder_stops_nothing(moving: Moving) -> None:
    blob = await moving.put(LARGE)
    really, tries = moving.new.adopt, 0

    async def adopt(file: LockedTempFile, new: NewBlob) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            moving.layouts[1].empty_temporary()
        await really(file, new)

    with patch.object(moving.new, "adopt", adopt):
        assert (await moving.copy()).copied == 1
    assert tries == 2
    assert moving.copied(blob).read_bytes() == LARGE


def test_all_problems_are_counted_and_some_named() -> None:
    found, blob = Pass(), Blob(1, new_blob("a").digest, 1, 1)
    for _ in range(MOST_PROBLEMS + 5):
        found.note(blob, "missing")
    assert (found.wrong, len(found.problems)) == (MOST_PROBLEMS + 5, MOST_PROBLEMS)
