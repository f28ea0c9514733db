"""The blob store in a bucket of a real server; of a second kind of server in full runs."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from nora.blobs.base import BlobStore, Expect
from nora.blobs.collection import Collector
from nora.blobs.layout import SHARDS, Layout
from nora.blobs.s3 import Bucket, BucketAddress, S3BlobStore
from nora.catalog.records import Blob
from nora.catalog.sqlite import SQLiteCatalog
from nora.errors import StorageBusy
from tests.contracts.blobs import BlobStoreContract, chunked, collect, keep
from tests.contracts.catalog import HOSTED, layer, release, sha256, with_blob
from tests.support.buckets import ACCESS_KEY, SECRET_KEY, S3Server
from tests.support.catalogs import prepare_catalog
from tests.support.s3_server import make_bucket, s3_server, versity_server
from tests.support.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


VERSITY = pytest.param(
    versity_server, id="versitygw", marks=[pytest.mark.full, pytest.mark.client("versitygw")]
)


@pytest.fixture(scope="module", params=[pytest.param(s3_server, id="seaweedfs"), VERSITY])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with request.param(tmp_path_factory.mktemp("s3")) as server:
        make_bucket(server, "registry")
        yield server


@pytest.fixture
def bucket(server: S3Server) -> Bucket:
    return Bucket(BucketAddress("registry", server.url, access_key=ACCESS_KEY, secret_key=SECRET_KEY))


@pytest.fixture
def store(bucket: Bucket, tmp_path: Path) -> Iterator[S3BlobStore]:
    layout = Layout(tmp_path / "store")
    layout.create()
    for key, _ in list(bucket.list("")):
        bucket.remove(key)
    store = S3BlobStore(bucket, layout, reserve_bytes=0, redirects=True)
    yield store
    store.close()


class TestS3BlobStore(BlobStoreContract):
    def objects(self, store: BlobStore) -> int:
        assert isinstance(store, S3BlobStore)
        left = [name for _, _, names in os.walk(store.layout.root) for name in names]
        return len(left) + len(list(store._bucket.list("")))

    def damage(self, store: BlobStore, blob: Blob) -> None:
        assert isinstance(store, S3BlobStore)
        bucket, key = store._bucket, store._key(blob)
        data = bucket.get(key)
        other = data[:-1] + bytes([data[-1] ^ 1])
        bucket.put(key, other, sha256=hashlib.sha256(other).digest(), notes={})


@pytest.mark.anyio
async def test_a_large_object_goes_in_parts_and_comes_out_in_any_range(store: S3BlobStore) -> None:
    data = os.urandom(20 << 20)
    blob = await keep(store, data)
    assert await collect(store.stream(blob, 0, blob.size)) == data
    assert await collect(store.stream(blob, 5_000_000, 17_000_001)) == data[5_000_000:17_000_001]
    async with store.local_copy(blob) as path:
        assert Path(path).read_bytes() == data


@pytest.mark.anyio
async def test_no_more_parts_are_sent_of_an_object_that_nobody_wants(
    store: S3BlobStore, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, send, began = 0, bucket.client.upload_part, asyncio.Event()
    loop = asyncio.get_running_loop()

    def upload_part(**options: Any) -> Any:
        nonlocal parts
        parts += 1
        answer = send(**options)
        loop.call_soon_threadsafe(began.set)
        return answer

    monkeypatch.setattr(bucket.client, "upload_part", upload_part)
    putting = asyncio.ensure_future(keep(store, bytes(400 << 20)))
    await began.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert parts < 45, "of 50"
    assert list(bucket.list("")) == []
    assert "Uploads" not in bucket.client.list_multipart_uploads(Bucket=bucket.address.name)
    assert os.listdir(store.layout.temporary) == []
    assert await store.read(await keep(store, b"goes on")) == b"goes on"


@pytest.mark.anyio
async def test_an_object_says_what_it_is(store: S3BlobStore, bucket: Bucket) -> None:
    for size in (100, 20 << 20):
        blob = await keep(store, os.urandom(size))
        key = f"blobs/sha256/{blob.digest[7:9]}/{blob.digest[7:]}-{blob.generation:016x}"
        head = bucket.client.head_object(Bucket=bucket.address.name, Key=key)
        assert head["Metadata"]["sha256"] == blob.digest[7:]
        assert len(head["Metadata"]["xxh3"]) == 32


@pytest.mark.anyio
async def test_anybody_gets_an_object_by_the_address_of_a_redirect(store: S3BlobStore) -> None:
    data = os.urandom(100_000)
    blob = await keep(store, data)
    url = store.redirect_url(blob, b"application/x-thing")
    assert url is not None
    assert url == store.redirect_url(blob, b"application/x-thing")
    answer = httpx.get(url, headers={"range": "bytes=5-9"})
    assert (answer.status_code, answer.content) == (206, data[5:10])
    answer = httpx.get(url)
    assert answer.content == data
    assert answer.headers["content-type"] == "application/x-thing"
    assert SECRET_KEY not in url


@pytest.mark.anyio
async def test_a_store_that_is_away_is_a_failure_and_comes_back(tmp_path: Path) -> None:
    folder, layout = tmp_path / "s3", Layout(tmp_path / "store")
    layout.create()
    with s3_server(folder) as server:
        make_bucket(server, "away")
        address = BucketAddress("away", server.url, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
        store = S3BlobStore(Bucket(address), layout, reserve_bytes=0)
        blob, large = await keep(store, b"abc"), await keep(store, bytes(200_000))
    for call in (
        lambda: store.read(blob),
        lambda: collect(store.stream(large, 0, large.size)),
        lambda: keep(store, b"more"),
        lambda: keep(store, bytes(300_000)),
        lambda: store.is_whole(blob),
        store.check,
    ):
        with pytest.raises(StorageBusy, match="nobody answers") as failure:
            await call()
        assert SECRET_KEY not in str(failure.value)
    with s3_server(folder, server.port) as server:
        make_bucket(server, "away")

        async def is_found() -> bool:
            with suppress(StorageBusy):
                return await store.read(blob) == b"abc"
            return False

        await until(is_found, "what it had")  # it takes writes before it finds that
        assert await store.is_whole(large)
    store.close()


@pytest.mark.anyio
async def test_wrong_credentials_are_said_and_shown_to_nobody(server: S3Server, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "store")
    layout.create()
    make_bucket(server, "guarded")
    for key, secret in (("nobody", "wrong-secret"), (ACCESS_KEY, "wrong-secret")):
        address = BucketAddress("guarded", server.url, access_key=key, secret_key=secret)
        assert "wrong-secret" not in repr(address)
        store = S3BlobStore(Bucket(address), layout, reserve_bytes=0)
        with pytest.raises(StorageBusy, match="bucket guarded at http://127") as failure:
            async with store.ingest(chunked(b"abc"), Expect()):
                pass
        assert "wrong-secret" not in str(failure.value)
        store.close()


@pytest.mark.anyio
async def test_garbage_in_a_bucket_is_collected(store: S3BlobStore, tmp_path: Path) -> None:
    prepare_catalog(tmp_path / "catalog.sqlite3")
    catalog = SQLiteCatalog.open(tmp_path / "catalog.sqlite3")
    hosted = (await catalog.sync_repositories([HOSTED]))["hosted"].id
    for content in (b"layer", b"loose", b"stray"):
        async with store.ingest(content, Expect()) as new:
            if content != b"stray":
                new.settle(await catalog.add_blob(new.blob, hosted, "app", 0.0))
    async with store.ingest(b"manifest", Expect()) as new:
        made = release(hosted, "app", "manifest", needs=(layer("layer"),))
        new.settle((await catalog.publish(with_blob(made, new.blob), 0.0))[0])
    collector = Collector(
        catalog,
        store,
        grace=0.0,
        unlink_delay=60.0,
        removal_lock=tmp_path / "removal.lock",
        clock=lambda: time.time() + 120.0,
    )
    collected = await collector.collect()
    assert (collected.doomed.count, collected.removed.count) == (1, 1), "a stray"
    await collector.remove_doomed(delay=0.0)
    left = {one.digest for shard in SHARDS for one in await store.list_objects(shard)}
    assert left == {sha256("layer"), sha256("manifest")}
    await catalog.close()
