"""What every blob store does. A backend's test file inherits BlobStoreContract and gives it a `store`."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import xxhash

from nora.blobs.base import BlobStore, Expect
from nora.blobs.files import LockedTempFile
from nora.blobs.intake import Intake
from nora.blobs.layout import SHARDS
from nora.catalog.records import Blob, NewBlob
from nora.errors import (
    BlobNotFound,
    ClientGone,
    DigestMismatch,
    NotFound,
    SizeMismatch,
    StorageFailed,
    StorageFull,
    TooLarge,
)
from nora.model import Digest

SIZES = (0, 1, 1024, 65_536, 65_537, 2_500_000)
PIECE = 64 << 10


def digest_of(data: bytes, algorithm: str = "sha256") -> Digest:
    return Digest(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}")


async def chunked(data: bytes, size: int = 16_384) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def chunks_of(parts: Iterable[bytes | BaseException]) -> AsyncIterator[bytes]:
    """These chunks; an exception among them is raised in its place."""
    for part in parts:
        if isinstance(part, BaseException):
            raise part
        yield part


def row(new: NewBlob, number: int = 1) -> Blob:
    """The row that a catalog makes of new bytes."""
    return Blob(number, new.digest, new.size, new.generation)


async def keep(store: BlobStore, data: bytes, expect: Expect | None = None) -> Blob:
    """Ingest and settle."""
    async with store.ingest(chunked(data), expect or Expect()) as new:
        live = row(new.blob)
        new.settle(live)
    return live


async def collect(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


@pytest.mark.anyio
class BlobStoreContract:
    """Inherit, and give the fixtures `store` (fresh and empty) and `count_objects` (anything left of it)."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    def objects(self, store: BlobStore) -> int:
        """How many objects, finished or not, the store holds."""
        raise NotImplementedError

    def damage(self, store: BlobStore, blob: Blob) -> None:
        """Let the last byte of an object be another one."""
        raise NotImplementedError

    async def finds_damage(self, store: BlobStore, blob: Blob) -> bool:
        assert isinstance(store, Intake)
        return await store.is_damaged(blob)

    @pytest.mark.parametrize("size", SIZES)
    async def test_what_goes_in_comes_out(self, store: BlobStore, size: int) -> None:
        data = os.urandom(size)
        blob = await keep(store, data, Expect(digest_of(data), size))
        assert blob.digest == digest_of(data)
        assert blob.size == size
        assert await store.read(blob) == data
        assert await collect(store.stream(blob, 0, size)) == data
        assert self.objects(store) == 1

    async def test_bytes_are_a_body_too(self, store: BlobStore) -> None:
        for data in (b"", b"small", os.urandom(200_000)):
            async with store.ingest(data, Expect(digest_of(data))) as new:
                new.settle(row(new.blob))
            assert await store.read(row(new.blob)) == data

    async def test_empty_chunks_do_not_count(self, store: BlobStore) -> None:
        async with store.ingest(chunks_of([b"", b"a", b"", b"b", b""]), Expect(size=2)) as new:
            assert new.blob.digest == digest_of(b"ab")

    async def test_every_digest_that_was_asked_for_is_taken(self, store: BlobStore) -> None:
        data = os.urandom(100_000)
        async with store.ingest(chunked(data), Expect(also=("sha512",))) as new:
            assert new.blob.aliases == (digest_of(data, "sha512"),)
            assert new.blob.xxh3 == xxhash.xxh3_128(data).hexdigest()
        async with store.ingest(chunked(data), Expect(digest_of(data, "sha512"))) as new:
            assert new.blob.digest == digest_of(data)
            assert new.blob.aliases == (digest_of(data, "sha512"),)
        async with store.ingest(chunked(data), Expect()) as new:
            assert (new.blob.aliases, new.blob.checksums) == ((), {})

    @pytest.mark.parametrize("size", [0, 10, 200_000])
    async def test_checksums_name_nothing(self, store: BlobStore, size: int) -> None:
        data = os.urandom(size)
        async with store.ingest(chunked(data), Expect(also=("md5", "sha1", "blake2b_256", "sha512"))) as new:
            assert new.blob.aliases == (digest_of(data, "sha512"),)
            assert new.blob.checksums == {
                "md5": hashlib.md5(data).hexdigest(),
                "sha1": hashlib.sha1(data).hexdigest(),
                "blake2b_256": hashlib.blake2b(data, digest_size=32).hexdigest(),
                "sha512": hashlib.sha512(data).hexdigest(),
            }

    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    @pytest.mark.parametrize("size", [10, 200_000])
    async def test_other_bytes_than_announced_leave_nothing(
        self, store: BlobStore, algorithm: str, size: int
    ) -> None:
        with pytest.raises(DigestMismatch):
            await keep(store, bytes(size), Expect(digest_of(b"others", algorithm)))
        assert self.objects(store) == 0

    @pytest.mark.parametrize("announced", [0, 9, 11, 199_999, 200_001])
    async def test_another_size_than_announced_leaves_nothing(self, store: BlobStore, announced: int) -> None:
        data = bytes(10 if announced < 100 else 200_000)
        with pytest.raises(SizeMismatch):
            await keep(store, data, Expect(size=announced))
        with pytest.raises(SizeMismatch):
            async with store.ingest(data, Expect(size=announced)):
                pass
        assert self.objects(store) == 0

    async def test_too_many_bytes_are_refused_as_soon_as_it_is_known(self, store: BlobStore) -> None:
        async def endless() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield bytes(100_000)
            pytest.fail("read on")

        with pytest.raises(TooLarge) as refusal:
            await keep_stream(store, endless(), Expect(max_size=500_000))
        assert refusal.value.limit == 500_000
        with pytest.raises(TooLarge):
            await keep_stream(store, chunks_of([AssertionError("read")]), Expect(size=11, max_size=10))
        with pytest.raises(TooLarge):
            await keep(store, bytes(11), Expect(max_size=10))
        await keep(store, bytes(10), Expect(max_size=10))
        assert self.objects(store) == 1

    @pytest.mark.parametrize("before", [0, 10, 3_000_000])
    async def test_a_client_that_leaves_leaves_nothing(self, store: BlobStore, before: int) -> None:
        with pytest.raises(ClientGone):
            await keep_stream(store, chunks_of([bytes(before), ClientGone("gone")]), Expect())
        assert self.objects(store) == 0

    async def test_a_refused_row_takes_the_object_along(self, store: BlobStore) -> None:
        with pytest.raises(BlobNotFound):
            async with store.ingest(b"abc", Expect()):
                raise BlobNotFound("the transaction was rolled back")
        assert self.objects(store) == 0

    async def test_an_unknown_outcome_keeps_the_object(self, store: BlobStore) -> None:
        uncertain = StorageFull("the commit failed")
        uncertain.uncertain = True
        for outcome in (asyncio.CancelledError(), uncertain):
            with pytest.raises(type(outcome)):
                async with store.ingest(b"abc", Expect()) as new:
                    raise outcome
            assert await store.read(row(new.blob)) == b"abc"

    async def test_two_ingests_of_one_blob_do_not_touch_each_other(self, store: BlobStore) -> None:
        async with store.ingest(b"abc", Expect()) as first, store.ingest(b"abc", Expect()) as second:
            assert first.blob.generation != second.blob.generation
            first.settle(row(first.blob))
            second.settle(row(first.blob))
        assert self.objects(store) == 1
        assert await store.read(row(first.blob)) == b"abc"
        with pytest.raises(StorageFailed):
            await store.read(row(second.blob))

    async def test_many_ingests_at_once(self, store: BlobStore) -> None:
        bodies = [os.urandom(1000 + number * 20_000) for number in range(32)]
        blobs = await asyncio.gather(*[keep(store, body, Expect(digest_of(body))) for body in bodies])
        assert await asyncio.gather(*map(store.read, blobs)) == bodies

    @pytest.mark.parametrize("size", [0, 100, 100_000])
    async def test_a_local_file_is_adopted(self, store: BlobStore, tmp_path: Path, size: int) -> None:
        data = os.urandom(size)
        file = LockedTempFile(str(tmp_path / "file"))
        file.create()
        file.write(data + b"beyond", 0)
        async with store.ingest(data, Expect()) as new:
            adopted = replace(new.blob, generation=new.blob.generation ^ 1)
        await store.adopt(file, adopted)
        assert os.path.exists(file.path), "whoever holds it removes it"
        file.discard()
        assert await store.read(row(adopted)) == data
        assert self.objects(store) == 2
        await store.remove(adopted)
        assert await store.read(row(new.blob)) == data

    async def test_a_blob_can_be_read_as_a_local_file(self, store: BlobStore) -> None:
        for data in (b"small", os.urandom(200_000)):
            blob = await keep(store, data)
            async with store.local_copy(blob) as path:
                assert Path(path).read_bytes() == data
            assert await store.read(blob) == data

    async def test_a_redirect_leads_to_an_absolute_address(self, store: BlobStore) -> None:
        url = store.redirect_url(await keep(store, b"abc"), b"text/plain")
        assert url is None or url.startswith(("https://", "http://"))

    async def test_a_stream_gives_any_range_in_small_pieces(self, store: BlobStore) -> None:
        data = os.urandom(300_000)
        blob = await keep(store, data)
        for start, stop in ((0, 0), (0, 1), (5, 200_000), (299_999, 300_000), (0, 300_000)):
            pieces = [piece async for piece in store.stream(blob, start, stop)]
            assert b"".join(pieces) == data[start:stop]
            assert all(0 < len(piece) <= PIECE for piece in pieces)

    async def test_a_stream_may_be_left_early(self, store: BlobStore) -> None:
        blob = await keep(store, bytes(300_000))
        stream = store.stream(blob, 0, blob.size)
        assert await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]

    async def test_a_missing_object_is_a_failure_and_no_absence(self, store: BlobStore) -> None:
        blob = await keep(store, b"abc")
        await store.remove(blob)
        await store.remove(blob)
        with pytest.raises(StorageFailed) as failure:
            await store.read(blob)
        assert not isinstance(failure.value, NotFound)
        with pytest.raises(StorageFailed):
            await store.read(replace(blob, size=1 << 20))
        with pytest.raises(StorageFailed):
            await collect(store.stream(blob, 0, 3))

    @pytest.mark.parametrize("size", [10, 200_000])
    async def test_missing_bytes_are_a_failure(self, store: BlobStore, size: int) -> None:
        blob = await keep(store, bytes(size))
        longer = replace(blob, size=size + 1)
        with pytest.raises(StorageFailed):
            await store.read(longer)
        with pytest.raises(StorageFailed):
            await collect(store.stream(longer, 0, longer.size))

    @pytest.mark.parametrize("size", [10, 200_000])
    async def test_other_bytes_are_a_failure(self, store: BlobStore, size: int) -> None:
        blob = await keep(store, bytes(size))
        self.damage(store, blob)
        assert await store.is_whole(blob), "this is not seen from outside"
        with pytest.raises(StorageFailed, match="damaged"):
            await store.read(blob)
        assert await self.finds_damage(store, blob)

    @pytest.mark.parametrize("size", [10, 200_000])
    async def test_what_is_put_aside_is_gone_until_it_is_put_again(self, store: BlobStore, size: int) -> None:
        data = os.urandom(size)
        blob = await keep(store, data)
        assert f"{blob.digest.encoded}-" in await store.put_aside(blob)
        assert not await store.is_whole(blob)
        assert self.objects(store) == 1, "its bytes are kept"
        with pytest.raises(StorageFailed):
            await store.put_aside(blob)
        assert await store.read(await keep(store, data)) == data

    async def test_what_is_whole_is_not_damaged(self, store: BlobStore) -> None:
        for size in (0, 10, 200_000):
            assert not await self.finds_damage(store, await keep(store, bytes(size)))

    async def test_a_healthy_store_passes_its_check(self, store: BlobStore) -> None:
        await store.check()
        assert self.objects(store) == 0

    async def test_objects_are_listed_and_can_be_removed_without_a_row(self, store: BlobStore) -> None:
        began = time.time()
        blobs = [await keep(store, os.urandom(size)) for size in (0, 9, 70_000)]
        kept = {blob.digest: blob for blob in blobs}
        listed = [one for shard in SHARDS for one in await store.list_objects(shard)]
        assert {(one.digest, one.generation, one.size, one.is_draft) for one in listed} == {
            (blob.digest, blob.generation, blob.size, False) for blob in kept.values()
        }
        assert all(abs(one.changed_at - began) < 60 for one in listed)
        for one in listed:
            await store.remove(one)
            await store.remove(one)
            assert not await store.is_whole(kept[one.digest])
        assert self.objects(store) == 0
        assert not any([await store.list_objects(shard) for shard in SHARDS])


async def keep_stream(store: BlobStore, chunks: AsyncIterator[bytes], expect: Expect) -> Blob:
    async with store.ingest(chunks, expect) as new:
        live = row(new.blob)
        new.settle(live)
    return live
