"""How bytes enter a blob store, whichever it is: small ones at once, larger ones through a local file."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from nora._speedups import Hasher
from nora.blobs.base import Ingested, forget
from nora.blobs.bodies import check_end, check_size, measured, read_head
from nora.blobs.disk import Disk, Durability
from nora.blobs.files import LockedTempFile
from nora.blobs.hashes import algorithms, new_generation
from nora.blobs.scratch import sweep
from nora.errors import NoraError, StorageFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Sequence

    from nora.blobs.base import BlobRows, Expect
    from nora.blobs.layout import Layout, StoredObject
    from nora.catalog.records import Blob, NewBlob

_log = logging.getLogger(__name__)

SUSPECTS_KEPT: Final = 1024


class Intake(ABC):
    """The half of a BlobStore (see nora.blobs.base) that takes bytes in. What is on its way is below
    `layout`, whose directories exist."""

    def __init__(
        self,
        layout: Layout,
        *,
        reserve_bytes: int,
        durable: Durability = "full",
        rows: BlobRows | None = None,
        verifies: bool = False,
    ) -> None:
        """`reserve_bytes` of the file system stay free: an ingest that would touch them raises StorageFull.
        `rows` is what learns of objects that are lost; without it they stay lost. `verifies` as in
        BlobStore."""
        self.layout = layout
        self.verifies = verifies
        self._rows = rows
        self.disk = Disk(layout.root, reserve_bytes=reserve_bytes, durable=durable)
        self._suspects: dict[tuple[str, int], None] = {}

    @abstractmethod
    async def keep_small(self, data: bytes, expect: Expect, made: list[NewBlob]) -> None:
        """Make an object of a small body, and append its row to `made` as soon as there is one, also when the
        caller is cancelled meanwhile. Raises DigestMismatch, StorageFailed, StorageFull."""

    @abstractmethod
    async def keep_file(self, temp: LockedTempFile, hasher: Hasher, expect: Expect) -> NewBlob:
        """Make an object of a temporary file, whose bytes `hasher` has seen, and let go of the file. When
        this fails the caller discards it; nothing else is left then. Raises DigestMismatch, StorageFailed,
        StorageFull."""

    @abstractmethod
    async def is_damaged(self, blob: Blob) -> bool:
        """Whether an object is gone, or has other bytes than were written: all of it is read. Raises
        StorageFailed."""

    @abstractmethod
    async def looks_damaged(self, blob: Blob) -> bool:
        """The same, as far as can be told at little cost: each ingest of bytes that are here asks. Raises
        StorageFailed."""

    @abstractmethod
    async def adopt(self, file: LockedTempFile, new: NewBlob) -> None:
        """See BlobStore."""

    @abstractmethod
    async def remove(self, blob: Blob | NewBlob | StoredObject) -> None:
        """See BlobStore."""

    @abstractmethod
    async def remove_all(self, blobs: Sequence[Blob | StoredObject]) -> None:
        """See BlobStore."""

    @asynccontextmanager
    async def ingest(self, chunks: AsyncIterable[bytes] | bytes, expect: Expect) -> AsyncIterator[Ingested]:
        """See BlobStore. A body of at most 64 KiB, or of bytes, costs one visit to a disk thread."""
        new = await self._take(chunks, expect)
        ingested = Ingested(new)
        try:
            yield ingested
        except NoraError as error:
            if ingested.live is None:
                await forget(self, new, error)
            raise
        if ingested.live is not None and ingested.live.generation != new.generation:
            ingested.live = await self.settle(new, ingested.live)

    async def _take(self, chunks: AsyncIterable[bytes] | bytes, expect: Expect) -> NewBlob:
        if isinstance(chunks, bytes):
            check_size(len(chunks), expect.size, expect.max_size)
            check_end(len(chunks), expect.size)
            return await self._take_small(chunks, expect)
        async with aclosing(measured(chunks, expect.size, expect.max_size)) as body:
            head, complete = await read_head(body)
            if complete:
                return await self._take_small(head, expect)
            return await self._take_stream(head, body, expect)

    async def _take_small(self, data: bytes, expect: Expect) -> NewBlob:
        made: list[NewBlob] = []  # also when the caller is cancelled while the thread is at it
        try:
            await self.keep_small(data, expect, made)
        except BaseException:
            for new in made:
                await forget(self, new)
            raise
        return made[0]

    async def _take_stream(self, head: bytes, body: AsyncIterator[bytes], expect: Expect) -> NewBlob:
        temp = LockedTempFile(self.layout.temp(new_generation()))
        hasher = Hasher(*algorithms(expect))
        try:
            await self.disk.run(self._begin, temp, expect.size)

            def write(data: bytes) -> None:
                self.disk.require_room(len(data))
                hasher.write(temp.fd, data, hasher.size)

            async with self.disk.inflow(write) as inflow:
                await inflow.push(head)
                async for chunk in body:
                    await inflow.push(chunk)
                await inflow.flush()
            return await self.keep_file(temp, hasher, expect)
        except BaseException:
            if temp.made:
                with suppress(StorageFailed):  # what stays is swept
                    await self.disk.run(temp.discard)
            raise

    async def settle(self, new: NewBlob, live: Blob) -> Blob:
        """See BlobStore."""
        if live.generation == new.generation:
            return live
        is_same = live.digest == new.digest  # else the row is of what was there before
        if self._rows is not None and is_same and await self._is_lost(live):
            now = await self._rows.replace_object(live, new)
            if now is not None and now.generation == new.generation:
                self._suspects.pop((live.digest, live.generation), None)
                _log.warning("the bytes of %s were lost, and have come again", new.digest)
                return now
            live = now or live
        await forget(self, new)
        return live

    async def _is_lost(self, blob: Blob) -> bool:
        """Whether an object is known to be gone, or to have other bytes. One that cannot be read is not.

        All of a large one is read only when a reader of this process has found it damaged: putting what is
        here already, which builds do all day, must not cost a read of it."""
        try:
            if (blob.digest, blob.generation) in self._suspects:
                return await self.is_damaged(blob)
            return await self.looks_damaged(blob)
        except StorageFailed:
            return False

    def suspect(self, blob: Blob) -> None:
        """Remember that a read has found other bytes than were written."""
        self._suspects[blob.digest, blob.generation] = None
        if len(self._suspects) > SUSPECTS_KEPT:
            self._suspects.pop(next(iter(self._suspects)))

    def _begin(self, temp: LockedTempFile, size: int | None) -> None:
        self.disk.require_room(size or 0)
        temp.create()

    async def sweep(self, idle_seconds: float = 60.0) -> int:
        """Remove what crashed writers left in tmp/: files that nobody holds; how many.

        A writer locks its file just after making it; `idle_seconds` keeps sweepers out of that moment.
        """
        return await self.disk.run(sweep, self.layout.temporary, idle_seconds)

    def close(self) -> None:
        """End the disk threads."""
        self.disk.close()
