"""Between a check and its use somebody else may act: each such pair of the store, in reads and deletes.

- a file of tmp/ looks idle → it is removed: its writer locks it, or another file gets its name
- a file is made → it is locked: a sweeper, for which the clock has jumped, removes it
- a small object is begun → it gets its name: the same
- a session is found → its file is written to: it is cancelled, finished, or reaped
- a session is idle → it is reaped: it goes on
- a session file has no row → it is removed: somebody holds it
- the object of a row is lost → the row gets another: somebody else was first (test_uploads.py)
- a row is found → its object is read: the row is deleted; the object is cut
- a cached document is idle, or wrong → it is dropped: it is used, or right (contracts/catalog_cached.py)
- a blob is found → it is published, or mounted: it is gone (contracts/catalog.py)
- a fetch lock is opened → it is locked: its holder removes it (proxy/test_fetch_lock.py)

Each acts here at the worst moment: within a call between the two.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from nora.blobs import files
from nora.blobs.base import Expect
from nora.blobs.files import LockedTempFile, remove_unheld
from nora.blobs.uploads import Uploads
from nora.errors import StorageFailed, UploadNotFound
from tests.blobs.test_uploads import LARGE, SMALL, Place, anyio_backend, place, uploads
from tests.contracts.blobs import chunked, collect, digest_of

__all__ = ["anyio_backend", "place", "uploads"]

pytestmark = pytest.mark.anyio


def before(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, act: Callable[[], object]) -> None:
    """Have something done once, just before a function is called the next time."""
    really = getattr(where, name)
    todo = [act]

    def called(*arguments: Any, **options: Any) -> Any:
        if todo:
            todo.pop()()
        return really(*arguments, **options)

    monkeypatch.setattr(where, name, called)


def jump(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the clock of sweepers be another one."""
    really = time.time
    monkeypatch.setattr(files.time, "time", lambda: really() + seconds)


# -- sweepers ----------------------------------------------------------------------------------------


async def test_a_file_that_got_the_name_of_an_idle_one_is_not_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "draft")
    old, new = LockedTempFile(path), LockedTempFile(path)
    old.create()

    def hand_over() -> None:
        old.discard()
        new.create()

    before(monkeypatch, files, "lock_descriptor", hand_over)
    assert remove_unheld(path) is False
    assert os.path.samestat(os.fstat(new.fd), os.stat(path))
    new.discard()
    old.create()
    old.close()
    before(monkeypatch, files, "lock_descriptor", lambda: os.unlink(path))
    assert remove_unheld(path) is False


async def test_a_file_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "draft")
    before(monkeypatch, files, "lock_descriptor", lambda: remove_unheld(path))
    temp = LockedTempFile(path)
    temp.create()
    assert os.path.samestat(os.fstat(temp.fd), os.stat(path))
    assert remove_unheld(path) is False
    temp.close()


@pytest.mark.parametrize("seconds", [-1e9, 1e9])
@pytest.mark.parametrize("size", [10, 100_000])
async def test_what_is_written_is_not_swept_whatever_the_clock_does(
    place: Place, monkeypatch: pytest.MonkeyPatch, seconds: float, size: int
) -> None:
    jump(monkeypatch, seconds)
    ended = False

    async def sweep() -> None:
        while not ended:
            await place.store.sweep()
            await asyncio.sleep(0)

    sweeping = asyncio.ensure_future(sweep())
    try:
        for number in range(10):
            data = b"%d" % number + bytes(size)
            async with place.store.ingest(chunked(data), Expect(digest_of(data))) as new:
                pass
            assert Path(place.layout.blob(new.blob)).read_bytes() == data
    finally:
        ended = True
        await sweeping


async def test_a_draft_of_a_small_object_is_where_nobody_sweeps(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it takes: it has no lock that would tell."""
    drafts: list[str] = []
    really = place.store.disk.store

    def store(temp: str, path: str, data: bytes) -> None:
        drafts.append(temp)
        really(temp, path, data)

    monkeypatch.setattr(place.store.disk, "store", store)
    async with place.store.ingest(SMALL, Expect()) as new:
        assert drafts == [place.layout.draft(new.blob)]
        assert os.path.dirname(drafts[0]) == place.layout.shard(new.blob)
    assert place.objects() == [os.path.basename(place.layout.blob(new.blob))]


# -- sessions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["cancel", "finish", "sweep"])
@pytest.mark.parametrize("use", ["append", "finish"])
async def test_a_session_that_ends_before_its_file_is_locked_takes_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, end: str, use: str
) -> None:
    mine, other = place.uploads(), place.uploads(session_ttl_seconds=-60)
    upload = await mine.append(await mine.open(place.repository, "app"), chunked(LARGE))
    found = await mine.find(upload.id, place.repository, "app")
    if end == "cancel":
        await other.cancel(found)
    elif end == "finish":
        await other.finish(found, None, digest=digest_of(LARGE))
    else:
        await other.sweep()
    objects = place.objects()
    appended = mine.append(found, chunked(b"more"))
    finished = mine.finish(found, chunked(b"more"), digest=digest_of(LARGE + b"more"))
    chosen, other_use = (appended, finished) if use == "append" else (finished, appended)
    other_use.close()
    with pytest.raises(UploadNotFound):
        await chosen
    assert place.objects() == objects
    assert place.left() == []


async def test_a_session_that_goes_on_is_not_reaped(
    place: Place, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was listed as idle, and moves on before the reaper has its lock."""
    upload = await uploads.append(await uploads.open(place.repository, "app"), chunked(b"one"))
    reaper = place.uploads(session_ttl_seconds=-60)
    listed = await place.catalog.list_idle_uploads(-60, 10)
    assert [one.id for one in listed] == [upload.id]
    upload = await uploads.append(upload, chunked(b"two"))
    assert await reaper._reap(listed[0]) is False
    now = await uploads.find(upload.id, place.repository, "app")
    blob = await uploads.finish(now, None, digest=digest_of(b"onetwo"))
    assert await place.store.read(blob) == b"onetwo"


async def test_a_session_file_that_is_held_is_not_reaped(place: Place) -> None:
    reaper = place.uploads(session_ttl_seconds=-60)
    held = LockedTempFile(place.scratch.upload("without-a-row"))
    held.create()
    assert await reaper.sweep() == 0
    assert os.path.exists(held.path)
    held.close()
    assert await reaper.sweep() == 1


# -- reads -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_what_is_deleted_while_it_is_read_is_read_to_its_end(
    place: Place, uploads: Uploads, data: bytes
) -> None:
    """A delete removes rows: who has found one gets the bytes."""
    await uploads.put(place.repository, "app", chunked(data), digest=digest_of(data))
    blob = await place.catalog.find_linked_blob(place.repository, "app", digest_of(data))
    assert blob is not None
    assert await place.catalog.unlink_blob(place.repository, "app", blob.digest)
    assert not await place.linked(blob)
    assert await place.store.read(blob) == data
    assert await collect(place.store.stream(blob, 0, blob.size)) == data


async def test_what_is_cut_while_it_is_read_is_a_failure(place: Place, uploads: Uploads) -> None:
    blob = await uploads.put(place.repository, "app", chunked(LARGE), digest=digest_of(LARGE))
    assert await place.store.is_whole(blob)
    stream: AsyncIterator[bytes] = place.store.stream(blob, 0, blob.size)
    assert LARGE.startswith(await anext(stream))
    os.truncate(place.layout.blob(blob), 70_000)
    with pytest.raises(StorageFailed):
        await collect(stream)
    with pytest.raises(StorageFailed):
        await place.store.read(blob)
