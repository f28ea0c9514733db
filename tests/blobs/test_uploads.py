from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from nora.blobs import sessions
from nora.blobs import uploads as uploads_module
from nora.blobs.base import Expect
from nora.blobs.bodies import SMALL_BYTES
from nora.blobs.layout import Layout
from nora.blobs.local import LocalBlobStore
from nora.blobs.scratch import Scratch, ScratchLayout
from nora.blobs.uploads import Uploads
from nora.catalog.records import Blob, NewBlob, NewFile
from nora.catalog.sqlite import SQLiteCatalog
from nora.errors import (
    ClientGone,
    Conflict,
    DigestMismatch,
    InvalidDigest,
    NoraError,
    SizeMismatch,
    StorageBusy,
    StorageFailed,
    StorageFull,
    TooLarge,
    TooManyRequests,
    UploadNotFound,
    UploadOffsetMismatch,
)
from nora.model import Digest, RepositorySpec
from tests.blobs.descriptors import open_files
from tests.contracts.blobs import chunked, chunks_of, digest_of
from tests.support.catalogs import prepare_catalog

SMALL = b"a small blob"
LARGE = os.urandom(1_500_000)
UNLIMITED = 1 << 61

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Place:
    """A data directory, as processes see it."""

    layout: Layout
    catalog: SQLiteCatalog
    repository: int
    store: LocalBlobStore
    processes: list[LocalBlobStore]

    def uploads(self, **settings: Any) -> Uploads:
        """The uploads of one more process on this directory."""
        store = LocalBlobStore(self.layout, reserve_bytes=0, durable="none", rows=self.catalog)
        self.processes.append(store)
        given: dict[str, Any] = {
            "max_sessions": 100,
            "max_sessions_of_one": 3,
            "session_ttl_seconds": 1000,
            "max_size": UNLIMITED,
            "lease_seconds": 60,
        }
        return Uploads(self.catalog, store, Scratch(self.layout.root, store.disk), **given | settings)

    @property
    def scratch(self) -> ScratchLayout:
        return ScratchLayout(self.layout.root)

    def objects(self) -> list[str]:
        return [name for _, _, names in os.walk(f"{self.layout.root}/blobs") for name in names]

    def left(self) -> list[str]:
        """What is neither an object nor the catalog's."""
        return os.listdir(self.layout.temporary) + os.listdir(self.scratch.uploads)

    async def linked(self, blob: Blob, package: str = "app") -> bool:
        return await self.catalog.find_linked_blob(self.repository, package, blob.digest) is not None


@pytest.fixture
async def place(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Place]:
    layout = Layout(tmp_path / "store")
    layout.create()
    ScratchLayout(layout.root).create()
    prepare_catalog(layout.catalog)
    catalog = SQLiteCatalog.open(layout.catalog)
    repositories = await catalog.sync_repositories([RepositorySpec("docker", "docker", "hosted")])
    store = LocalBlobStore(layout, reserve_bytes=0, durable="none")
    here = Place(layout, catalog, repositories["docker"].id, store, [store])
    yield here
    for process in here.processes:
        process.close()
    await catalog.close()


@pytest.fixture
def uploads(place: Place) -> Uploads:
    return place.uploads()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the files that were hashed by reading them."""
    sizes: list[int] = []
    really = sessions.hash_file

    def hash_file(fd: int, *names: str, offset: int = 0, length: int | None = None) -> Any:
        hasher = really(fd, *names, offset=offset, length=length)
        sizes.append(hasher.size)
        return hasher

    monkeypatch.setattr(sessions, "hash_file", hash_file)
    return sizes


def split(data: bytes, parts: int) -> list[bytes]:
    size = -(-len(data) // parts) or 1
    return [data[start : start + size] for start in range(0, len(data), size)]


async def unread() -> AsyncIterator[bytes]:
    pytest.fail("the body was read")
    yield b""


# -- opening and finding -----------------------------------------------------------------------------


async def test_a_session_is_found_by_its_package_only(place: Place, uploads: Uploads) -> None:
    upload = await uploads.open(place.repository, "app")
    assert (upload.offset, upload.algorithm, upload.package) == (0, "sha256", "app")
    assert await uploads.find(upload.id, place.repository, "app") == upload
    for upload_id, repository, package in (
        (upload.id, place.repository, "other"),
        (upload.id, place.repository + 1, "app"),
        (upload.id.upper(), place.repository, "app"),
        (upload.id + "\n", place.repository, "app"),
        ("../../catalog.sqlite3", place.repository, "app"),
        ("", place.repository, "app"),
        ("00000000-0000-4000-8000-000000000000", place.repository, "app"),
    ):
        with pytest.raises(UploadNotFound):
            await uploads.find(upload_id, repository, package)


async def test_an_unknown_algorithm_is_refused(place: Place, uploads: Uploads) -> None:
    for algorithm in ("md5", "", "SHA256"):
        with pytest.raises(InvalidDigest):
            await uploads.open(place.repository, "app", algorithm)


async def test_sessions_are_limited_and_cancelling_frees_at_once(place: Place) -> None:
    first, second = place.uploads(max_sessions=2), place.uploads(max_sessions=2)
    upload = await first.open(place.repository, "app")
    await second.open(place.repository, "app")
    with pytest.raises(TooManyRequests):
        await first.open(place.repository, "app")
    await second.cancel(upload)
    await first.open(place.repository, "app")


async def test_sessions_of_one_owner_are_limited_over_all_processes(place: Place) -> None:
    first, second = place.uploads(max_sessions_of_one=2), place.uploads(max_sessions_of_one=2)
    upload = await first.open(place.repository, "app", owner="ann")
    await second.open(place.repository, "other", owner="ann")
    with pytest.raises(TooManyRequests, match="one user"):
        await first.open(place.repository, "app", owner="ann")
    await first.open(place.repository, "app", owner="bob")
    await second.cancel(upload)
    await first.open(place.repository, "app", owner="ann")


# -- the ways in, which store the same ---------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"{}", SMALL, bytes(65_536), bytes(65_537), LARGE])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_every_way_in_stores_the_same(
    place: Place, uploads: Uploads, data: bytes, algorithm: str, reads: list[int]
) -> None:
    digest = digest_of(data, algorithm)
    where = (place.repository, "app")

    async def session(*parts: bytes, last: bytes | None = None) -> Blob:
        upload = await uploads.open(*where, algorithm)
        for part in parts:
            upload = await uploads.append(upload, chunked(part), start=upload.offset, length=len(part))
        return await uploads.finish(upload, None if last is None else chunked(last), digest=digest)

    half = len(data) // 2
    blobs = [
        await uploads.put(*where, chunked(data), digest=digest, length=len(data)),
        await session(last=data),
        await session(data),
        await session(data, last=b""),
        await session(data[:half], data[half:]),
        await session(data[:half], last=data[half:]),
        await session(*split(data, 7)),
    ]
    assert {(blob.id, blob.generation) for blob in blobs} == {(blobs[0].id, blobs[0].generation)}
    assert blobs[0].digest == digest_of(data)
    assert len(place.objects()) == 1
    assert place.left() == []
    assert reads == []
    assert await place.catalog.count_uploads() == 0
    assert await place.store.read(blobs[0]) == data
    found = await place.catalog.find_linked_blob(*where, digest)
    assert found is not None
    assert found.size == len(data)


@pytest.mark.parametrize("session_algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("digest_algorithm", ["sha256", "sha512"])
async def test_a_digest_of_another_algorithm_costs_one_read_at_most(
    place: Place, uploads: Uploads, reads: list[int], session_algorithm: str, digest_algorithm: str
) -> None:
    digest = digest_of(LARGE, digest_algorithm)
    upload = await uploads.open(place.repository, "app", session_algorithm)
    upload = await uploads.append(upload, chunked(LARGE))
    blob = await uploads.finish(upload, None, digest=digest)
    assert reads == ([len(LARGE)] if (session_algorithm, digest_algorithm) == ("sha256", "sha512") else [])
    assert await place.catalog.find_linked_blob(place.repository, "app", digest) is not None
    assert blob.digest == digest_of(LARGE)


async def test_the_last_part_may_be_small_or_large(place: Place, uploads: Uploads) -> None:
    for cut in (1, 1000, len(LARGE) - 5):
        upload = await uploads.open(place.repository, "app")
        upload = await uploads.append(upload, chunked(LARGE[:cut]))
        last = LARGE[cut:]
        await uploads.finish(upload, chunked(last), digest=digest_of(LARGE), start=cut, length=len(last))
    assert len(place.objects()) == 1


# -- parts -------------------------------------------------------------------------------------------


async def test_a_session_may_end_in_a_row_of_others(place: Place, reads: list[int]) -> None:
    """Whoever writes it gets the hashes that it asks for; the package that was opened is not left."""
    catalog, where = place.catalog, (place.repository, "some/path")

    async def write(new: NewBlob) -> Blob:
        assert new.checksums.keys() == {"md5"}
        assert await catalog.count_uploads() == 0  # nobody may write to the bytes of an object
        return await catalog.put_file(
            place.repository, NewFile(path="some/path", media_type="text/plain", blob=new), replace=False
        )

    for body in (SMALL, LARGE):
        uploads = place.uploads()
        upload = await uploads.append(await uploads.open(*where), chunked(body[:5]))
        await uploads.publish(upload, chunked(body[5:]), write, algorithms=["md5"], start=5)
        assert await catalog.find_package(*where) is None
        found = await catalog.find_file(*where)
        assert found is not None
        assert await place.store.read(found.blob) == body
        await catalog.delete_files(place.repository, ["some/path"], for_good=False)
    assert reads == [len(SMALL), len(LARGE)]
    assert len(place.objects()) == 2
    assert place.left() == []


async def test_a_session_ends_with_a_row_that_is_refused(place: Place, uploads: Uploads) -> None:
    async def write(new: NewBlob) -> Blob:
        raise Conflict("it is there")

    upload = await uploads.append(await uploads.open(place.repository, "app"), chunked(SMALL))
    with pytest.raises(Conflict, match="it is there"):
        await uploads.publish(upload, chunked(LARGE), write)
    assert (place.objects(), place.left(), await place.catalog.count_uploads()) == ([], [], 0)
    with pytest.raises(UploadNotFound):
        await uploads.publish(upload, chunked(LARGE), write)


async def test_a_session_that_cannot_be_ended_goes_on(
    place: Place, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last part may be sent again when there is room."""
    upload = await uploads.append(await uploads.open(place.repository, "app"), chunked(LARGE))

    async def write(new: NewBlob) -> Blob:
        file = NewFile(path="x", media_type="x/y", blob=new)
        return await place.catalog.put_file(place.repository, file, replace=False)

    async def fail(*_: object) -> bool:
        raise StorageFull("the catalog has no room")

    with monkeypatch.context() as patch:
        patch.setattr(place.catalog, "close_upload", fail)
        with pytest.raises(StorageFull):
            await uploads.publish(upload, chunked(SMALL), write, start=len(LARGE))
    assert place.objects() == []
    again = await uploads.find(upload.id, place.repository, "app")
    live = await uploads.publish(again, chunked(SMALL), write, start=len(LARGE))
    assert await place.store.read(live) == LARGE + SMALL
    assert place.left() == []


async def test_a_part_that_does_not_continue_is_refused_unread(place: Place, uploads: Uploads) -> None:
    upload = await uploads.open(place.repository, "app")
    for start in (1, 5):
        with pytest.raises(UploadOffsetMismatch) as refusal:
            await uploads.append(upload, unread(), start=start, length=5)
        assert refusal.value.size == 0
    upload = await uploads.append(upload, chunked(SMALL), start=0)
    for start in (0, len(SMALL) - 1, len(SMALL) + 1):
        with pytest.raises(UploadOffsetMismatch) as refusal:
            await uploads.append(upload, unread(), start=start, length=5)
        assert refusal.value.size == len(SMALL)
        with pytest.raises(UploadOffsetMismatch):
            await uploads.finish(upload, unread(), digest=digest_of(SMALL), start=start)
    assert (await uploads.find(upload.id, place.repository, "app")).offset == len(SMALL)
    await uploads.finish(upload, None, digest=digest_of(SMALL))


async def test_a_part_sent_twice_is_refused_by_whoever_comes_second(place: Place, uploads: Uploads) -> None:
    upload = await uploads.open(place.repository, "app")
    await uploads.append(upload, chunked(SMALL), start=0)
    with pytest.raises(UploadOffsetMismatch) as refusal:  # `upload` is what this request saw before
        await uploads.append(upload, unread(), start=0)
    assert refusal.value.size == len(SMALL)


@pytest.mark.parametrize("before", [b"", SMALL])
@pytest.mark.parametrize(("size", "announced"), [(10, 9), (10, 11), (0, 1), (2_500_000, 2_400_000), (10, 0)])
async def test_a_part_of_another_size_leaves_no_trace(
    place: Place, uploads: Uploads, reads: list[int], before: bytes, size: int, announced: int
) -> None:
    upload = await uploads.open(place.repository, "app")
    upload = await uploads.append(upload, chunked(before))
    with pytest.raises(SizeMismatch):
        await uploads.append(upload, chunked(bytes(size)), length=announced)
    if before:
        with pytest.raises(SizeMismatch):
            await uploads.finish(upload, chunked(bytes(size)), digest=digest_of(b""), length=announced)
        assert Path(place.scratch.upload(upload.id)).read_bytes() == before
    else:
        assert place.left() == []
    now = await uploads.find(upload.id, place.repository, "app")
    assert now.offset == len(before)
    await uploads.finish(now, chunked(b"end"), digest=digest_of(before + b"end"))
    assert place.left() == []


async def test_more_than_the_limit_is_refused_and_the_session_stays(place: Place) -> None:
    uploads = place.uploads(max_size=2_000_000)
    where = (place.repository, "app")
    upload = await uploads.append(await uploads.open(*where), chunked(LARGE))
    with pytest.raises(TooLarge) as refusal:
        await uploads.append(upload, unread(), length=500_001)
    assert refusal.value.limit == 2_000_000
    with pytest.raises(TooLarge):
        await uploads.append(upload, chunked(bytes(3_000_000)))
    with pytest.raises(TooLarge):
        await uploads.finish(upload, chunked(bytes(500_001)), digest=digest_of(b""))
    with pytest.raises(TooLarge):
        await uploads.put(*where, chunked(bytes(2_000_001)), digest=digest_of(b""))
    with pytest.raises(TooLarge):
        await uploads.finish(await uploads.open(*where), chunked(bytes(2_000_001)), digest=digest_of(b""))
    now = await uploads.find(upload.id, *where)
    assert now.offset == len(LARGE)
    assert os.path.getsize(place.scratch.upload(upload.id)) == len(LARGE)
    data = LARGE + bytes(500_000)
    await uploads.finish(now, chunked(bytes(500_000)), digest=digest_of(data))


@pytest.mark.parametrize("got", [b"", SMALL, LARGE])
@pytest.mark.parametrize("gone", [ClientGone("gone"), RuntimeError("anything"), ConnectionResetError()])
async def test_what_came_before_the_client_left_is_kept(
    place: Place, uploads: Uploads, reads: list[int], got: bytes, gone: Exception
) -> None:
    upload = await uploads.append(await uploads.open(place.repository, "app"), chunked(b"first"))
    with pytest.raises(type(gone)):
        await uploads.append(upload, chunks_of([got, gone]), start=5, length=10_000_000)
    now = await place.uploads().find(upload.id, place.repository, "app")
    assert now.offset == 5 + len(got)
    assert now.hashes["sha256"] == digest_of(b"first" + got).encoded
    await uploads.finish(now, chunked(b"end"), digest=digest_of(b"first" + got + b"end"))
    assert reads == []


async def test_a_client_that_leaves_a_closing_put_can_go_on(place: Place, uploads: Uploads) -> None:
    upload = await uploads.open(place.repository, "app")
    with pytest.raises(ClientGone):
        await uploads.finish(
            upload,
            chunks_of([LARGE, ClientGone("gone")]),
            digest=digest_of(LARGE + SMALL),
            length=len(LARGE) + 12,
        )
    now = await uploads.find(upload.id, place.repository, "app")
    assert now.offset == len(LARGE)
    await uploads.finish(now, chunked(SMALL), digest=digest_of(LARGE + SMALL))


# -- several processes -------------------------------------------------------------------------------


async def test_alternating_processes_hash_once(place: Place, reads: list[int]) -> None:
    workers = [place.uploads() for _ in range(4)]
    upload = await workers[0].open(place.repository, "app")
    for number, part in enumerate(split(LARGE, 16)):
        worker = workers[number % 4]
        upload = await worker.find(upload.id, place.repository, "app")
        upload = await worker.append(upload, chunked(part), start=upload.offset, length=len(part))
    assert upload.hashes == {}
    await workers[1].finish(upload, None, digest=digest_of(LARGE))
    assert reads == [len(LARGE)]


async def test_another_process_finishes_without_reading(place: Place, reads: list[int]) -> None:
    first, second = place.uploads(), place.uploads()
    upload = await first.append(await first.open(place.repository, "app"), chunked(LARGE))
    found = await second.find(upload.id, place.repository, "app")
    await second.finish(found, None, digest=digest_of(LARGE))
    assert reads == []


async def test_one_of_two_writers_wins(place: Place) -> None:
    first, second = place.uploads(), place.uploads()
    upload = await first.open(place.repository, "app")
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"slow "
        begun.set()
        await go_on.wait()
        yield b"writer"

    task = asyncio.ensure_future(first.append(upload, slow()))
    await begun.wait()
    for uploads in (first, second):
        with pytest.raises(Conflict):
            await uploads.append(upload, unread())
        with pytest.raises(Conflict):
            await uploads.finish(upload, chunked(LARGE), digest=digest_of(LARGE))
    go_on.set()
    upload = await task
    blob = await second.finish(upload, None, digest=digest_of(b"slow writer"))
    assert await place.store.read(blob) == b"slow writer"


async def test_many_writers_do_not_interleave(place: Place) -> None:
    workers = [place.uploads() for _ in range(4)]
    upload = await workers[0].open(place.repository, "app")
    bodies = [bytes([number]) * 100_000 for number in range(8)]
    results = await asyncio.gather(
        *[workers[n % 4].append(upload, chunked(body), start=0) for n, body in enumerate(bodies)],
        return_exceptions=True,
    )
    errors = [result for result in results if isinstance(result, BaseException)]
    assert len(errors) == 7
    assert all(isinstance(error, Conflict | UploadOffsetMismatch) for error in errors)
    assert Path(place.scratch.upload(upload.id)).read_bytes() in bodies


async def test_one_blob_by_many_at_once_is_stored_once(place: Place) -> None:
    workers = [place.uploads() for _ in range(4)]
    digest = digest_of(LARGE)

    async def push(number: int) -> Blob:
        uploads = workers[number % 4]
        upload = await uploads.open(place.repository, f"app{number}")
        if number % 2:
            return await uploads.finish(upload, chunked(LARGE), digest=digest)
        return await uploads.finish(await uploads.append(upload, chunked(LARGE)), None, digest=digest)

    blobs = await asyncio.gather(*map(push, range(16)))
    assert len({blob.generation for blob in blobs}) == 1
    assert len(place.objects()) == 1
    assert place.left() == []


# -- how sessions end --------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [SMALL, LARGE])
@pytest.mark.parametrize("parts", [0, 1, 2])
async def test_other_bytes_than_announced_end_the_session(
    place: Place, uploads: Uploads, data: bytes, parts: int
) -> None:
    upload = await uploads.open(place.repository, "app")
    if parts:
        upload = await uploads.append(upload, chunked(data))
    last = chunked(data) if parts != 1 else None
    with pytest.raises(DigestMismatch):
        await uploads.finish(upload, last, digest=digest_of(b"others"))
    assert place.objects() == []
    assert place.left() == []
    with pytest.raises(UploadNotFound):
        await uploads.find(upload.id, place.repository, "app")
    with pytest.raises(UploadNotFound):
        await uploads.append(upload, chunked(data))
    again = await uploads.open(place.repository, "app")
    await uploads.finish(again, chunked(data), digest=digest_of(data))


async def test_a_monolithic_post_of_other_bytes_leaves_nothing(place: Place, uploads: Uploads) -> None:
    for data in (SMALL, LARGE):
        with pytest.raises(DigestMismatch):
            await uploads.put(place.repository, "app", chunked(data), digest=digest_of(b"others"))
        with pytest.raises(SizeMismatch):
            await uploads.put(place.repository, "app", chunked(data), digest=digest_of(data), length=1)
    assert place.objects() == place.left() == []


async def test_a_cancelled_session_is_gone(place: Place, uploads: Uploads) -> None:
    upload = await uploads.append(await uploads.open(place.repository, "app"), chunked(SMALL))
    await place.uploads().cancel(upload)
    await uploads.cancel(upload)
    assert place.left() == []
    for ask in (
        uploads.find(upload.id, place.repository, "app"),
        uploads.append(upload, chunked(SMALL)),
        uploads.finish(upload, None, digest=digest_of(SMALL)),
        uploads.finish(replace(upload, offset=0), chunked(SMALL), digest=digest_of(SMALL)),
    ):
        with pytest.raises(UploadNotFound):
            await ask
    assert place.left() == place.objects() == []


@pytest.mark.parametrize("closing", [False, True])
async def test_a_session_cancelled_under_its_writer_is_gone(place: Place, closing: bool) -> None:
    writer, other = place.uploads(), place.uploads()
    upload = await writer.open(place.repository, "app")

    async def body() -> AsyncIterator[bytes]:
        yield LARGE
        await other.cancel(upload)
        yield SMALL

    if closing:
        writing: Any = writer.finish(upload, body(), digest=digest_of(LARGE + SMALL))
    else:
        writing = writer.append(upload, body())
    with pytest.raises(UploadNotFound):
        await writing
    assert place.left() == place.objects() == []


async def test_a_client_that_cancels_and_leaves_is_not_told(place: Place, uploads: Uploads) -> None:
    upload = await uploads.open(place.repository, "app")

    async def body() -> AsyncIterator[bytes]:
        yield LARGE
        await uploads.cancel(upload)
        raise ClientGone("gone")

    with pytest.raises(ClientGone):
        await uploads.append(upload, body())
    assert place.left() == place.objects() == []


@pytest.mark.parametrize("error", [StorageBusy("busy"), StorageFull("full"), StorageFailed("failed")])
@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_a_refused_row_leaves_the_session_whole(
    place: Place, uploads: Uploads, monkeypatch: pytest.MonkeyPatch, error: NoraError, data: bytes
) -> None:
    async def refuse(*_: Any) -> Any:
        raise error

    upload = await uploads.append(await uploads.open(place.repository, "app"), chunked(data))
    with monkeypatch.context() as patch:
        patch.setattr(place.catalog, "add_blob", refuse)
        with pytest.raises(type(error)):
            await uploads.finish(upload, None, digest=digest_of(data))
        with pytest.raises(type(error)):
            await uploads.finish(upload, chunked(b"end"), digest=digest_of(data + b"end"))
    assert place.objects() == []
    now = await uploads.find(upload.id, place.repository, "app")
    blob = await uploads.finish(now, chunked(b"end"), digest=digest_of(data + b"end"))
    assert await place.store.read(blob) == data + b"end"
    assert place.left() == []


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_a_commit_that_failed_keeps_the_object_and_ends_the_session(
    place: Place, uploads: Uploads, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    rows = []

    async def commit(new: NewBlob, *_: Any) -> Any:
        rows.append(Blob(1, new.digest, new.size, new.generation))
        error = StorageFailed("the commit failed")
        error.uncertain = True
        raise error

    upload = await uploads.append(await uploads.open(place.repository, "app"), chunked(data))
    with monkeypatch.context() as patch:
        patch.setattr(place.catalog, "add_blob", commit)
        with pytest.raises(StorageFailed):
            await uploads.finish(upload, None, digest=digest_of(data))
    with pytest.raises(UploadNotFound):  # its file may be the object: nothing is appended to it
        await uploads.append(upload, chunked(b"more"))
    assert await place.store.read(rows[0]) == data


# -- lost bytes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [SMALL, LARGE])
@pytest.mark.parametrize("size", [None, 0, 5])
async def test_lost_bytes_can_be_pushed_again(
    place: Place, uploads: Uploads, data: bytes, size: int | None
) -> None:
    """Whether the object is gone or was cut."""
    lost = await uploads.put(place.repository, "app", chunked(data), digest=digest_of(data))
    path = place.layout.blob(lost)
    if size is None:
        os.unlink(path)
    else:
        os.truncate(path, size)
    assert not await place.store.is_whole(lost)
    upload = await uploads.append(await uploads.open(place.repository, "other"), chunked(data))
    live = await uploads.finish(upload, None, digest=digest_of(data))
    assert live.id == lost.id
    assert await place.store.is_whole(live)
    assert await place.store.read(live) == data
    for package in ("app", "other"):
        found = await place.catalog.find_linked_blob(place.repository, package, lost.digest)
        assert found is not None
        assert found.generation == live.generation
    os.unlink(place.layout.blob(live))
    again = await uploads.put(place.repository, "app", chunked(data), digest=digest_of(data))
    assert await place.store.read(again) == data
    assert place.left() == []


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_damaged_bytes_can_be_put_again(place: Place, uploads: Uploads, data: bytes) -> None:
    """Those that are as many as they were: few are compared, many only where a reader was told."""
    damaged = await uploads.put(place.repository, "app", chunked(data), digest=digest_of(data))
    Path(place.layout.blob(damaged)).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    if len(data) > SMALL_BYTES:
        with pytest.raises(StorageFailed, match="damaged"):
            await place.processes[-1].read(damaged)
    live = await uploads.put(place.repository, "app", chunked(data), digest=digest_of(data))
    assert live.id == damaged.id
    assert await place.store.read(live) == data


async def test_putting_what_is_here_reads_none_of_it_if_it_is_large(
    place: Place, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await uploads.put(place.repository, "app", chunked(LARGE), digest=digest_of(LARGE))
    monkeypatch.setattr(LocalBlobStore, "is_damaged", None)
    again = await uploads.put(place.repository, "app", chunked(LARGE), digest=digest_of(LARGE))
    assert again.generation == first.generation
    assert len(place.objects()) == 1


async def test_of_pushes_of_lost_bytes_one_object_stays(place: Place, uploads: Uploads) -> None:
    lost = await uploads.put(place.repository, "app", chunked(SMALL), digest=digest_of(SMALL))
    os.unlink(place.layout.blob(lost))
    blobs = await asyncio.gather(
        *(uploads.put(place.repository, "app", chunked(SMALL), digest=digest_of(SMALL)) for _ in range(8))
    )
    assert len({blob.generation for blob in blobs}) == 1
    assert len(place.objects()) == 1
    assert await place.store.read(blobs[0]) == SMALL


async def test_what_fails_after_there_is_a_row_leaves_the_object(place: Place) -> None:
    async def take() -> None:
        async with place.store.ingest(SMALL, Expect()) as new:
            new.settle(await place.catalog.add_blob(new.blob, place.repository, "app", 60))
            raise StorageFull("no room for what is beside it")

    with pytest.raises(StorageFull):
        await take()
    found = await place.catalog.find_linked_blob(place.repository, "app", digest_of(SMALL))
    assert found is not None
    assert await place.store.read(found) == SMALL


async def test_other_bytes_do_not_stand_in_for_lost_ones(place: Place, uploads: Uploads) -> None:
    """What is made anew at each try, such as a document with the time in it, may be there in another form."""
    lost = await uploads.put(place.repository, "app", chunked(SMALL), digest=digest_of(SMALL))
    os.unlink(place.layout.blob(lost))
    async with place.processes[-1].ingest(b"others", Expect()) as new:
        new.settle(lost)
    found = await place.catalog.find_linked_blob(place.repository, "app", lost.digest)
    assert found is not None
    assert (found.generation, found.size) == (lost.generation, lost.size)
    assert place.objects() == []


async def test_an_object_that_cannot_be_looked_at_is_not_lost(
    place: Place, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await uploads.put(place.repository, "app", chunked(SMALL), digest=digest_of(SMALL))

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", fail)
        with pytest.raises(StorageFailed):
            await place.store.is_whole(first)
        again = await uploads.put(place.repository, "app", chunked(SMALL), digest=digest_of(SMALL))
    assert again.generation == first.generation
    assert await place.store.read(again) == SMALL
    assert len(place.objects()) == 1


# -- full disks and failures -------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
async def test_a_failing_disk_keeps_the_session_as_it_was(
    place: Place, uploads: Uploads, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    upload = await uploads.append(await uploads.open(place.repository, "app"), chunked(SMALL))
    expected = StorageFull if number == errno.ENOSPC else StorageFailed

    def fail(*_: Any) -> Any:
        raise OSError(number, os.strerror(number))

    for call in (
        lambda: uploads.append(upload, chunked(LARGE)),
        lambda: uploads.finish(upload, chunked(LARGE), digest=digest_of(SMALL + LARGE)),
        lambda: uploads.append(upload, chunks_of([LARGE, ClientGone("gone")])),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(os, "statvfs", fail)
            with pytest.raises((expected, ClientGone)):
                await call()
        assert os.path.getsize(place.scratch.upload(upload.id)) == len(SMALL)
    now = await uploads.find(upload.id, place.repository, "app")
    assert now.offset == len(SMALL)
    await uploads.finish(now, chunked(LARGE), digest=digest_of(SMALL + LARGE))


async def test_a_part_that_will_not_fit_is_refused_at_its_first_bytes(place: Place, uploads: Uploads) -> None:
    upload = await uploads.append(await uploads.open(place.repository, "app"), chunked(SMALL))
    batches = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal batches
        for _ in range(100):
            batches += 1
            yield bytes(1 << 20)

    for _ in range(2):
        with pytest.raises(StorageFull):
            await uploads.append(upload, body(), length=1 << 60)
    assert batches <= 8
    assert os.path.getsize(place.scratch.upload(upload.id)) == len(SMALL)


async def test_bytes_that_could_not_be_made_durable_are_not_promised(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalBlobStore(place.layout, reserve_bytes=0, durable="full")
    place.processes.append(store)
    uploads = Uploads(
        place.catalog,
        store,
        Scratch(place.layout.root, store.disk),
        max_sessions=9,
        max_sessions_of_one=9,
        session_ttl_seconds=9,
        max_size=None,
        lease_seconds=9,
    )
    upload = await uploads.append(await uploads.open(place.repository, "app"), chunked(SMALL))

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StorageFailed):
            await uploads.append(upload, chunked(LARGE))
        with pytest.raises(StorageFailed):
            await uploads.finish(upload, None, digest=digest_of(SMALL))
    assert (await uploads.find(upload.id, place.repository, "app")).offset == len(SMALL)
    assert place.objects() == []
    await uploads.finish(upload, None, digest=digest_of(SMALL))


# -- crashes -----------------------------------------------------------------------------------------


async def test_a_file_longer_than_its_row_is_cut_back(
    place: Place, uploads: Uploads, reads: list[int]
) -> None:
    for closing in (False, True):
        upload = await uploads.append(await uploads.open(place.repository, "app"), chunked(b"kept "))
        with open(place.scratch.upload(upload.id), "ab") as file:
            file.write(bytes(10_000))  # of a part whose process was killed
        other = place.uploads()
        if not closing:
            upload = await other.append(upload, chunked(b"and "), start=5)
            assert Path(place.scratch.upload(upload.id)).read_bytes() == b"kept and "
        data = b"kept " if closing else b"kept and "
        blob = await other.finish(upload, None, digest=digest_of(data))
        assert await place.store.read(blob) == data
    assert place.left() == []


async def test_a_session_whose_bytes_are_lost_is_gone(place: Place, uploads: Uploads) -> None:
    for lose in (lambda path: os.truncate(path, 1), os.unlink):
        upload = await uploads.append(await uploads.open(place.repository, "app"), chunked(SMALL))
        lose(place.scratch.upload(upload.id))
        with pytest.raises(UploadNotFound):
            await uploads.append(upload, chunked(SMALL))
        with pytest.raises(UploadNotFound):
            await uploads.find(upload.id, place.repository, "app")
    assert place.left() == []


async def test_sweeping_reaps_what_is_idle_and_not_held(place: Place) -> None:
    uploads = place.uploads(session_ttl_seconds=-60)  # everything is idle
    where = (place.repository, "app")
    idle = await uploads.append(await uploads.open(*where), chunked(SMALL))
    empty = await uploads.open(*where)
    orphan = Path(place.scratch.upload("11111111-1111-4111-8111-111111111111"))
    orphan.write_bytes(b"its row is gone")
    busy = await uploads.open(*where)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield LARGE
        begun.set()
        await go_on.wait()
        yield SMALL

    task = asyncio.ensure_future(uploads.finish(busy, slow(), digest=digest_of(LARGE + SMALL)))
    await begun.wait()
    assert await uploads.sweep() == 3
    for upload in (idle, empty):
        with pytest.raises(UploadNotFound):
            await uploads.find(upload.id, *where)
    assert not orphan.exists()
    go_on.set()
    await task
    assert place.left() == []


async def test_sweeping_spares_the_young(place: Place, uploads: Uploads) -> None:
    upload = await uploads.append(await uploads.open(place.repository, "app"), chunked(SMALL))
    Path(place.scratch.upload("11111111-1111-4111-8111-111111111111")).write_bytes(b"young")
    assert await uploads.sweep() == 0
    assert await uploads.finish(upload, None, digest=digest_of(SMALL))
    assert len(place.left()) == 1


async def test_many_idle_sessions_are_reaped_page_by_page(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads_module, "SWEEP_PAGE", 3)
    uploads = place.uploads(session_ttl_seconds=-60)
    for _ in range(8):
        await uploads.open(place.repository, "app")
    assert await uploads.sweep() == 8
    assert await place.catalog.count_uploads() == 0


# -- cancellation ------------------------------------------------------------------------------------


Call = Callable[[Uploads, Any], Any]
CALLS: dict[str, Call] = {
    "append": lambda uploads, upload: uploads.append(upload, chunked(LARGE[5:], 100_000)),
    "finish": lambda uploads, upload: uploads.finish(
        upload, chunked(LARGE[5:], 100_000), digest=digest_of(LARGE)
    ),
    "close": lambda uploads, upload: uploads.finish(upload, None, digest=digest_of(LARGE[:5])),
    "put": lambda uploads, upload: uploads.put(1, "app", chunked(LARGE), digest=digest_of(LARGE)),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_request_cancelled_anywhere_leaves_the_session_usable(
    place: Place, uploads: Uploads, name: str
) -> None:
    """Cancelled after 0, 1, 2 … turns of the loop, until it is too late: always whole, nothing leaks."""
    assert await uploads.put(place.repository, "app", chunked(SMALL), digest=digest_of(SMALL))
    before = open_files(place.layout)
    outcomes = set()
    for steps in (*range(14), *range(40, 100, 10)):
        upload = await uploads.append(await uploads.open(place.repository, "app"), chunked(LARGE[:5]))
        task = asyncio.ensure_future(CALLS[name](uploads, upload))
        for _ in range(steps):
            await asyncio.sleep(0.0002 if steps > 30 else 0)
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        outcomes.add(type(outcome).__name__)
        assert open_files(place.layout) == before
        assert os.listdir(place.layout.temporary) == []
        now = await place.catalog.find_upload(upload.id)
        if now is None:
            digest: Digest = digest_of(LARGE[:5] if name == "close" else LARGE)
            assert await place.catalog.find_linked_blob(place.repository, "app", digest) is not None
        else:
            await uploads.finish(now, chunked(LARGE[now.offset :]), digest=digest_of(LARGE))
    assert place.left() == []
    assert "CancelledError" in outcomes
