"""What the counting store counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from nora.blobs.base import Expect
from nora.blobs.counted import CountedBlobStore
from nora.blobs.files import LockedTempFile
from nora.blobs.layout import Layout
from nora.blobs.local import LocalBlobStore
from nora.catalog.records import Blob
from nora.errors import SizeMismatch, StorageFailed, StorageFull


def test_each_operation_is_counted_with_its_outcome(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.create()
    counts: Counter[tuple[str, str]] = Counter()

    async def run() -> None:
        real = LocalBlobStore(layout, reserve_bytes=0)
        store = CountedBlobStore(real, lambda operation, status: counts.update([(operation, status)]))
        async with store.ingest(b"some bytes", Expect()) as new:
            blob = Blob(1, new.blob.digest, new.blob.size, new.blob.generation)
            new.settle(blob)
        with pytest.raises(SizeMismatch):
            async with store.ingest(b"some bytes", Expect(size=1)):
                pass
        assert await store.read(blob) == b"some bytes"
        assert b"".join([piece async for piece in store.stream(blob, 5, 10)]) == b"bytes"
        assert store.path(blob) is not None
        assert store.redirect_url(blob, b"text/plain") is None
        async with store.local_copy(blob) as path:
            file = LockedTempFile(path)
            assert file.open()
            await store.adopt(file, replace(new.blob, generation=1))
            file.close()
        await store.check()
        await store.remove(blob)
        with pytest.raises(StorageFailed):
            await store.read(blob)
        real.close()
        full = LocalBlobStore(layout, reserve_bytes=1 << 62)
        with pytest.raises(StorageFull):
            await CountedBlobStore(full, lambda *what: counts.update([what])).check()
        full.close()

    asyncio.run(run())
    assert counts == {
        ("put", "ok"): 3,
        ("get", "ok"): 4,
        ("get", "error"): 1,
        ("delete", "ok"): 1,
        ("check", "ok"): 1,
        ("check", "full"): 1,
    }
