"""What a collection removes, when, and what stops it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from nora.blobs import collection
from nora.blobs.base import Expect
from nora.blobs.collection import Collector
from nora.blobs.layout import SHARDS, Layout, StoredObject
from nora.blobs.local import LocalBlobStore
from nora.catalog.records import Blob, NewBlob
from nora.catalog.sqlite import SQLiteCatalog
from nora.errors import Conflict, NoraError, StorageFailed
from nora.locks import FileLock
from tests.contracts.catalog import HOSTED, layer, release, sha256, with_blob
from tests.support.catalogs import prepare_catalog

pytestmark = pytest.mark.anyio

LEASE = 60.0
GRACE = 600.0
DELAY = 900.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class House:
    """A store with a catalog and a clock that is turned by hand."""

    layout: Layout
    catalog: SQLiteCatalog
    store: LocalBlobStore
    hosted: int
    later: float = 0.0

    def collector(self, grace: float = GRACE) -> Collector:
        return Collector(
            self.catalog,
            self.store,
            grace=grace,
            unlink_delay=DELAY,
            removal_lock=self.lock,
            clock=lambda: time.time() + self.later,
        )

    @property
    def lock(self) -> Path:
        return Path(self.layout.root, "removal.lock")

    async def push(self, content: str, package: str = "app") -> Blob:
        async with self.store.ingest(content.encode(), Expect()) as new:
            live = await self.catalog.add_blob(new.blob, self.hosted, package, LEASE)
            new.settle(live)
        return live

    async def tag(self, manifest: str, *layers: str) -> Blob:
        async with self.store.ingest(manifest.encode(), Expect()) as new:
            made = release(self.hosted, "app", manifest, needs=tuple(map(layer, layers)))
            [live] = await self.catalog.publish(with_blob(made, new.blob), LEASE)
            new.settle(live)
        return live

    async def leave(self, content: str) -> NewBlob:
        """An object, as a process leaves it that dies before its row is written."""
        async with self.store.ingest(content.encode(), Expect()) as new:
            return new.blob

    async def objects(self) -> set[int]:
        return {one.generation for shard in SHARDS for one in await self.store.list_objects(shard)}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    layout = Layout(tmp_path)
    layout.create()
    prepare_catalog(layout.catalog)
    catalog = SQLiteCatalog.open(layout.catalog)
    store = LocalBlobStore(layout, reserve_bytes=0, durable="none", rows=catalog)
    hosted = (await catalog.sync_repositories([HOSTED]))["hosted"].id
    yield House(layout, catalog, store, hosted)
    await catalog.close()
    store.close()


async def test_what_nothing_needs_goes_in_two_phases(house: House) -> None:
    kept = [await house.push("layer"), await house.tag("manifest", "layer")]
    loose = await house.push("loose")
    house.later = GRACE + 1
    collector = house.collector()
    planned = await collector.plan()
    assert (planned.unneeded.count, planned.unneeded.bytes) == (1, len("loose"))
    assert (planned.strays.count, planned.doomed.count, planned.objects) == (0, 0, 3)
    assert await house.catalog.find_blob(loose.digest) is not None, "a plan changes nothing"
    collected = await collector.collect()
    assert (collected.doomed, collected.removed.count) == (planned.unneeded, 0)
    assert collected.waiting == planned.unneeded
    assert await house.catalog.find_blob(loose.digest) is None
    assert await house.store.read(loose) == b"loose", "who found it before can still read it"
    house.later += DELAY + 1
    assert (await collector.collect()).removed == planned.unneeded
    assert await house.objects() == {blob.generation for blob in kept}
    after = await collector.plan()
    assert (after.unneeded.count, after.doomed.count, after.objects) == (0, 0, 2)


async def test_where_nobody_can_be_at_it_there_is_no_delay(house: House) -> None:
    await house.push("loose")
    house.later = GRACE + 1
    await house.collector().collect()
    assert (await house.collector().remove_doomed()).count == 0
    assert (await house.collector().remove_doomed(delay=0.0)).count == 1
    assert await house.objects() == set()


async def test_the_same_bytes_come_again_meanwhile(house: House) -> None:
    first = await house.push("layer")
    house.later = GRACE + 1
    await house.collector().collect()
    second = await house.push("layer")
    assert second.generation != first.generation
    await house.tag("manifest", "layer")
    house.later += DELAY + 1
    assert (await house.collector().collect()).removed.count == 1
    assert await house.store.read(second) == b"layer"
    assert second.generation in await house.objects()
    assert first.generation not in await house.objects()


async def test_objects_and_drafts_without_rows_go_after_grace(house: House) -> None:
    kept = await house.push("kept")
    await house.tag("manifest", "kept")
    stray = await house.leave("stray")
    draft = Path(house.layout.draft(stray))
    draft.write_bytes(b"half")
    stranger = draft.with_name("lost+found")
    stranger.mkdir()
    collector = house.collector()
    assert (await collector.plan()).strays.count == 0, "their rows may be on their way"
    house.later = DELAY + 60
    planned = await collector.plan()
    assert (planned.strays.count, planned.strays.bytes) == (2, len("stray") + len("half"))
    assert (await collector.collect()).removed == planned.strays
    assert stranger.exists()
    assert not draft.exists()
    assert stray.generation not in await house.objects()
    assert kept.generation in await house.objects()


async def test_grace_is_for_rows_and_never_shorter_than_the_delay_for_objects(house: House) -> None:
    await house.push("loose")
    await house.leave("stray")
    house.later = LEASE + 1
    assert (await house.collector(grace=0.0).plan()).unneeded.count == 1
    assert (await house.collector(grace=0.0).plan()).strays.count == 0
    assert (await house.collector(grace=2 * LEASE).plan()).unneeded.count == 0


async def test_what_a_request_has_brought_stays_for_a_lease_without_a_row(house: House) -> None:
    """Other bytes of the same request may take their time."""
    collector = Collector(
        house.catalog,
        house.store,
        grace=0.0,
        unlink_delay=0.0,
        lease=LEASE,
        removal_lock=house.lock,
        clock=lambda: time.time() + house.later,
    )
    async with house.store.ingest(b"layer", Expect()) as new:
        house.later = LEASE / 2
        assert (await collector.collect()).removed.count == 0
        live = await house.catalog.add_blob(new.blob, house.hosted, "app", LEASE)
        new.settle(live)
    assert await house.store.read(live) == b"layer"
    await house.leave("stray")
    house.later = LEASE + 1
    assert (await collector.plan()).strays.count == 1


async def test_most_of_a_store_is_not_removed_for_want_of_rows(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "MOST_STRAYS", 2)
    await house.push("loose")
    for number in range(3):
        await house.leave(f"stray {number}")
    house.later = GRACE + DELAY
    assert (await house.collector().plan()).is_suspicious
    with pytest.raises(Conflict, match="3 of 4 stored objects"):
        await house.collector().collect()
    assert len(await house.objects()) == 4
    assert (await house.collector().plan()).unneeded.count == 1, "nothing was doomed either"
    assert (await house.collector().collect(allow_strays=True)).removed.count == 3


async def test_a_read_that_fails_stops_it_with_nothing_changed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.push("loose")
    await house.leave("stray")
    house.later = GRACE + DELAY
    list_objects = house.layout.list_objects

    def break_one(layout: Layout, shard: str) -> list[StoredObject]:
        if shard == "ff":
            raise PermissionError(13, "Permission denied")
        return list_objects(shard)

    with monkeypatch.context() as broken:
        broken.setattr(Layout, "list_objects", break_one)
        with pytest.raises(StorageFailed, match="Permission denied"):
            await house.collector().collect()
    assert len(await house.objects()) == 2
    assert (await house.collector().plan()).unneeded.count == 1


async def test_a_store_that_is_not_there_is_a_failure(house: House) -> None:
    Path(house.layout.objects).rename(Path(house.layout.root, "unmounted"))
    with pytest.raises(StorageFailed):
        await house.collector().plan()


async def test_an_object_that_cannot_be_removed_keeps_its_row(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        await house.push(f"loose {number}")
    house.later = GRACE + 1
    await house.collector().collect()
    house.later += DELAY
    broken = (await house.catalog.list_doomed(time.time() + house.later, 1))[0]
    unlink = os.unlink

    def fail(path: str) -> None:
        if path == house.layout.blob(broken):
            raise OSError(5, "Input/output error")
        unlink(path)

    with monkeypatch.context() as failing:
        failing.setattr(os, "unlink", fail)
        with pytest.raises(StorageFailed, match="Input/output"):
            await house.collector().remove_doomed()
    assert await house.objects() == {broken.generation}
    await house.collector().remove_doomed()
    assert await house.objects() == set()
    assert await house.catalog.count_doomed() == (0, 0)


async def test_what_cannot_be_removed_keeps_nothing_else(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk with a bad block, for as long as it is there: the oldest of many pages, and a stray."""
    monkeypatch.setattr(collection, "PAGE", 3)
    for number in range(10):
        await house.push(f"loose {number}")
    house.later = GRACE + 1
    await house.collector().collect()
    strays = [await house.leave(f"stray {number}") for number in range(5)]
    house.later += DELAY + 60
    listed = await house.catalog.list_doomed(time.time() + house.later, 10)
    bad = {house.layout.blob(one) for one in (listed[0], min(strays, key=lambda one: one.digest))}
    unlink = os.unlink

    def fail(path: str) -> None:
        if path in bad:
            raise OSError(5, "Input/output error")
        unlink(path)

    for _ in range(2):
        with monkeypatch.context() as failing:
            failing.setattr(os, "unlink", fail)
            with pytest.raises(StorageFailed, match="Input/output"):
                await house.collector().collect()
        assert len(await house.objects()) == 2
        assert (await house.catalog.count_doomed())[0] == 1


async def test_nothing_is_removed_while_somebody_copies(house: House) -> None:
    await house.push("loose")
    house.later = GRACE + 1
    await house.collector().collect()
    house.later += DELAY + 1
    with closing(FileLock(house.lock)) as copying, copying:
        collected = await house.collector().collect()
        assert (collected.removed.count, collected.waiting.count) == (0, 1)
    assert (await house.collector().collect()).removed.count == 1


async def test_progress_is_told_and_ends_at_all_of_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "PAGE", 2)
    for number in range(5):
        await house.push(f"loose {number}")
    house.later = GRACE + 1
    told: list[tuple[str, int, int]] = []
    await house.collector().collect(lambda *what: told.append(what))
    last = {phase: (done, of) for phase, done, of in told}
    assert last["blobs"] == (5, 5)
    assert last["objects"] == (len(SHARDS), len(SHARDS))
    assert last["dooming"] == (5, 5)
    assert len(told) > 3 + len(SHARDS)


async def test_pushes_beside_it_lose_nothing(house: House) -> None:
    house.later = LEASE + 1
    collector = house.collector(grace=0.0)

    async def push(number: int) -> tuple[Blob, Blob] | None:
        content = f"layer {number % 4}"
        await house.push(content)
        try:
            manifest = await house.tag(f"manifest {number}", content)
        except NoraError:
            return None
        found = await house.catalog.find_linked_blob(house.hosted, "app", sha256(content))
        assert found is not None
        return manifest, found

    for start in range(0, 60, 10):
        *pushed, _ = await asyncio.gather(
            *(push(number) for number in range(start, start + 10)), collector.collect()
        )
        await collector.remove_doomed(delay=-1.0)
        for one in filter(None, pushed):
            assert await house.store.read(one[0])
            assert await house.store.read(one[1])
