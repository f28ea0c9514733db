"""A blob store that counts what is asked of it, whichever store that is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar

from nora.errors import StorageFailed, StorageFull

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from nora.blobs.base import BlobStore, Expect, Ingested
    from nora.blobs.files import LockedTempFile
    from nora.blobs.layout import StoredObject
    from nora.catalog.records import Blob, NewBlob

T = TypeVar("T")
Count = Callable[[str, str], None]
"""Takes an operation (`put`, `get`, `delete`, `list`, `check`) and how it went: `ok`, `full` or `error`."""


class CountedBlobStore:
    """See BlobStore. A refusal that is the client's fault counts as `ok`: the store did its part."""

    def __init__(self, store: BlobStore, count: Count) -> None:
        self._store = store
        self._count = count

    @property
    def verifies(self) -> bool:
        """See BlobStore."""
        return self._store.verifies

    @asynccontextmanager
    async def ingest(self, chunks: AsyncIterable[bytes] | bytes, expect: Expect) -> AsyncIterator[Ingested]:
        """See BlobStore."""
        with self._counted("put"):
            async with self._store.ingest(chunks, expect) as new:
                yield new

    async def adopt(self, file: LockedTempFile, new: NewBlob) -> None:
        """See BlobStore."""
        await self._awaited("put", self._store.adopt(file, new))

    async def settle(self, new: NewBlob, live: Blob) -> Blob:
        """See BlobStore."""
        return await self._store.settle(new, live)

    async def is_whole(self, blob: Blob) -> bool:
        """See BlobStore. Not counted: no bytes are asked for."""
        return await self._store.is_whole(blob)

    @asynccontextmanager
    async def local_copy(self, blob: Blob | NewBlob) -> AsyncIterator[str]:
        """See BlobStore."""
        with self._counted("get"):
            async with self._store.local_copy(blob) as path:
                yield path

    def redirect_url(self, blob: Blob, media_type: bytes) -> str | None:
        """See BlobStore. Whoever asks for the URL reads the object."""
        url = self._store.redirect_url(blob, media_type)
        if url is not None:
            self._count("get", "ok")
        return url

    def path(self, blob: Blob | NewBlob) -> str | None:
        """See BlobStore. Whoever asks for the path reads the object."""
        path = self._store.path(blob)
        if path is not None:
            self._count("get", "ok")
        return path

    async def read(self, blob: Blob) -> bytes:
        """See BlobStore."""
        return await self._awaited("get", self._store.read(blob))

    async def stream(self, blob: Blob, start: int, stop: int) -> AsyncIterator[bytes]:
        """See BlobStore."""
        with self._counted("get"):
            async for piece in self._store.stream(blob, start, stop):
                yield piece

    async def put_aside(self, blob: Blob) -> str:
        """See BlobStore."""
        return await self._store.put_aside(blob)

    async def remove(self, blob: Blob | NewBlob | StoredObject) -> None:
        """See BlobStore."""
        await self._awaited("delete", self._store.remove(blob))

    async def remove_all(self, blobs: Sequence[Blob | StoredObject]) -> None:
        """See BlobStore."""
        await self._awaited("delete", self._store.remove_all(blobs))

    async def list_objects(self, shard: str) -> list[StoredObject]:
        """See BlobStore."""
        return await self._awaited("list", self._store.list_objects(shard))

    async def check(self) -> None:
        """See BlobStore."""
        await self._awaited("check", self._store.check())

    async def _awaited(self, operation: str, result: Awaitable[T]) -> T:
        with self._counted(operation):
            return await result

    @contextmanager
    def _counted(self, operation: str) -> Iterator[None]:
        try:
            yield
        except StorageFull:
            self._count(operation, "full")
            raise
        except StorageFailed:
            self._count(operation, "error")
            raise
        except BaseException:
            self._count(operation, "ok")
            raise
        self._count(operation, "ok")
