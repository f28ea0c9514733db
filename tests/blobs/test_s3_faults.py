"""What becomes of a blob when the bucket fails: 503, never an absence; nothing half kept; and it goes on by
itself afterwards."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nora.blobs.layout import Layout
from nora.blobs.s3 import Bucket, BucketAddress, S3BlobStore, bucket
from nora.catalog.records import Blob
from nora.errors import StorageBusy, StorageFailed
from tests.contracts.blobs import collect, keep
from tests.support import bucket_faults as faulty
from tests.support.bucket_faults import Fault, Faults, faulty_bucket
from tests.support.in_process import application

pytestmark = pytest.mark.slow  # loading moto takes seconds

SMALL = b"a few bytes"
MIDDLE = os.urandom(300_000)
"""One request, and read as a stream."""
LARGE = os.urandom(11 << 20)
"""In parts."""

Call = Callable[[S3BlobStore, Blob, Blob], Awaitable[object]]

CALLS: dict[str, Call] = {
    "read": lambda store, small, _: store.read(small),
    "stream": lambda store, _, middle: collect(store.stream(middle, 0, middle.size)),
    "range": lambda store, _, middle: collect(store.stream(middle, 100_000, 250_000)),
    "copy": lambda store, _, middle: _copied(store, middle),
    "is whole": lambda store, small, _: store.is_whole(small),
    "is damaged": lambda store, _, middle: store.is_damaged(middle),
    "put a small one": lambda store, *_: keep(store, b"others"),
    "put a large one": lambda store, *_: keep(store, LARGE),
    "put aside": lambda store, small, _: store.put_aside(small),
    "list": lambda store, small, _: store.list_objects(small.digest[7:9]),
    "check": lambda store, *_: store.check(),
}
OUTAGES: dict[str, Fault] = {
    "SlowDown": faulty.refused(503, "SlowDown"),
    "500": faulty.refused(500, "InternalError"),
    "silence": faulty.silent,
    "nobody": faulty.unreachable,
    "reset": faulty.reset,
    "403": faulty.refused(403, "AccessDenied"),
    "NoSuchBucket": faulty.refused(404, "NoSuchBucket"),
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    monkeypatch.setattr(bucket, "PART_BYTES", 5 << 20)  # the least that the protocol allows
    with faulty_bucket(monkeypatch) as faults:
        yield faults


@pytest.fixture
async def store(faults: Faults, tmp_path: Path) -> AsyncIterator[S3BlobStore]:
    layout = Layout(tmp_path / "store")
    layout.create()
    address = BucketAddress(faulty.NAME, faulty.URL, access_key="key", secret_key="not-to-be-shown")
    store = S3BlobStore(Bucket(address), layout, reserve_bytes=0)
    yield store
    store.close()


async def _copied(store: S3BlobStore, blob: Blob) -> bytes:
    async with store.local_copy(blob) as path:
        return Path(path).read_bytes()


def kept(store: S3BlobStore) -> set[str]:
    """All that is in the bucket or on its way there, and what is left of it here."""
    client = store._bucket.client
    uploads = client.list_multipart_uploads(Bucket=faulty.NAME).get("Uploads", ())
    return {
        *(key for key, _ in store._bucket.list("")),
        *(one["UploadId"] for one in uploads),
        *os.listdir(store.layout.temporary),
    }


@pytest.mark.anyio
async def test_an_outage_is_a_failure_that_passes_and_keeps_nothing(
    store: S3BlobStore, faults: Faults
) -> None:
    small, middle = await keep(store, SMALL), await keep(store, MIDDLE)
    before = kept(store)
    for outage, fault in OUTAGES.items():
        for name, call in CALLS.items():
            faults.begin(fault)
            with pytest.raises(StorageBusy) as failure:
                await call(store, small, middle)
            assert faults.met, (outage, name)
            assert "not-to-be-shown" not in str(failure.value)
            faults.end()
        assert kept(store) == before, outage
        assert await store.read(small) == SMALL, outage
        assert await collect(store.stream(middle, 0, middle.size)) == MIDDLE, outage


@pytest.mark.anyio
async def test_what_is_read_is_whole_or_a_failure(store: S3BlobStore, faults: Faults) -> None:
    small, middle = await keep(store, SMALL), await keep(store, MIDDLE)
    for fault in (faulty.cut, faulty.short):
        faults.begin(fault, "GetObject")
        for name in ("read", "stream", "range", "copy", "is damaged"):
            with pytest.raises(StorageFailed):
                await CALLS[name](store, small, middle)
        faults.end()
        assert os.listdir(store.layout.temporary) == []
    assert await store.read(small) == SMALL


@pytest.mark.anyio
async def test_a_lost_bucket_has_lost_no_object(store: S3BlobStore, faults: Faults) -> None:
    """HEAD answers 404 without a word, whatever is missing."""
    small = await keep(store, SMALL)
    faults.begin(faulty.refused(404, "404"), "HeadObject", "HeadBucket")
    with pytest.raises(StorageBusy, match="no such bucket"):
        await store.is_whole(small)
    faults.begin(faulty.refused(404, "404"), "HeadObject")
    assert not await store.is_whole(small)


@pytest.mark.anyio
async def test_of_an_upload_that_fails_anywhere_nothing_is_kept(store: S3BlobStore, faults: Faults) -> None:
    steps = ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload")
    for fault in (
        OUTAGES["SlowDown"],
        faulty.reset,
        faulty.refused(400, "InvalidPart"),
        faulty.done_with_error_inside,
        faulty.done_and_lost,
    ):
        for step in steps:
            if fault is faulty.done_with_error_inside and step != "CompleteMultipartUpload":
                continue
            faults.begin(fault, step)
            with pytest.raises(StorageBusy):
                await keep(store, LARGE)
            assert faults.met, step
            faults.end()
            if fault is faulty.done_and_lost and step == "CreateMultipartUpload":
                _abort_all(store)  # nobody was told of them: a rule of the bucket ends them
            assert kept(store) == set(), step
    blob = await keep(store, LARGE)
    assert await collect(store.stream(blob, 0, blob.size)) == LARGE


def _abort_all(store: S3BlobStore) -> None:
    client = store._bucket.client
    for one in client.list_multipart_uploads(Bucket=faulty.NAME).get("Uploads", ()):
        client.abort_multipart_upload(Bucket=faulty.NAME, Key=one["Key"], UploadId=one["UploadId"])


@pytest.mark.anyio
async def test_an_etag_is_no_promise(store: S3BlobStore, faults: Faults) -> None:
    """Stores that encrypt answer others than the MD5. A part that is not the one that was sent is found."""
    faults.begin(faulty.mistaken, "PutObject", "CompleteMultipartUpload", "HeadObject", "GetObject")
    for data in (SMALL, MIDDLE, LARGE):
        blob = await keep(store, data)
        assert await collect(store.stream(blob, 0, blob.size)) == data
    before = kept(store)
    faults.begin(faulty.mistaken, "UploadPart")
    with pytest.raises(StorageBusy):
        await keep(store, LARGE)
    faults.end()
    assert kept(store) == before


@pytest.mark.anyio
async def test_a_step_that_fails_once_is_tried_again(store: S3BlobStore, faults: Faults) -> None:
    def once(request: Any) -> Any:
        faults.end()
        raise faulty.ConnectionClosedError(endpoint_url=request.url)

    for step in ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"):
        faults.begin(once, step)
        blob = await keep(store, SMALL if step == "PutObject" else LARGE)
        assert faults.met == 1, step
        assert await store.is_whole(blob)


@pytest.mark.anyio
async def test_an_object_that_may_not_be_removed_keeps_no_other(store: S3BlobStore, faults: Faults) -> None:
    held, other = await keep(store, SMALL), await keep(store, b"others")

    def locked(request: Any) -> Any:
        if held.digest[7:] in request.url:
            return faulty.refused(403, "AccessDenied")(request)
        return faulty.ask(request)

    faults.begin(locked, "DeleteObject")
    with pytest.raises(StorageFailed) as failure:
        await store.remove_all([held, other])
    assert not isinstance(failure.value, StorageBusy)
    faults.end()
    assert [key.rpartition("/")[2][:64] for key in kept(store)] == [held.digest[7:]]


@pytest.mark.anyio
async def test_clients_get_503_of_an_outage_and_bytes_after_it(
    faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {
        "NORA_STORAGE_MODE": "s3",
        "NORA_STORAGE_S3_URL": faulty.URL,
        "NORA_STORAGE_BUCKET": faulty.NAME,
        "NORA_STORAGE_S3_ACCESS_KEY": "key",
        "NORA_STORAGE_S3_SECRET_KEY": "secret",
    }
    async with application(tmp_path, **environ) as http:
        put = await http.put("/raw/things/one.bin", content=MIDDLE)
        assert put.status_code == 201
        for outage, fault in OUTAGES.items():
            faults.begin(fault)
            for answer in (
                await http.get("/raw/things/one.bin"),
                await http.put("/raw/things/two.bin", content=MIDDLE),
                await http.put("/raw/things/two.bin", content=SMALL),
            ):
                assert answer.status_code == 503, outage
            faults.end()
            assert (await http.get("/raw/things/two.bin")).status_code == 404, outage
            assert (await http.get("/raw/things/one.bin")).content == MIDDLE, outage
