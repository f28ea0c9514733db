"""What every blob store offers.

Bytes enter in one way: `ingest`. They are written to a temporary object while they are hashed, checked
against what was announced, made durable, and given their final name - which no reader knows before a row
in the catalog names it. What was written to a local file before, a download or an upload session, enters by
`adopt`, under the same rules. Bytes leave by `read` and `stream`, or past us: by `path`, a file that the
server sends, or by `redirect_url`.

A stored object is named by digest and generation. The generation is chosen at random by the ingest, so
that two ingests of the same bytes never touch each other's object; the catalog decides which one lives.

All methods raise StorageFailed when the store fails and StorageFull when there is no room; they never
report a failed read as an absence.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from nora.blobs.files import LockedTempFile
from nora.blobs.layout import StoredObject
from nora.catalog.records import Blob, NewBlob
from nora.errors import NoraError, StorageFailed
from nora.model import Digest


@dataclass(frozen=True, slots=True)
class Expect:
    """What the sender announced. Raises nothing by itself: `ingest` checks it."""

    digest: Digest | None = None
    """Else DigestMismatch."""
    size: int | None = None
    """In bytes; else SizeMismatch."""
    max_size: int | None = None
    """In bytes; beyond it TooLarge, as soon as it is known."""
    also: tuple[str, ...] = ()
    """Digests and checksums to take in the same pass, which `NewBlob.checksums` then has: sha512, sha1, md5,
    blake2b_256. That of `digest` is implied."""


@dataclass(slots=True)
class Ingested:
    """Durable bytes without a row yet. Tell `settle` which row the catalog made of them."""

    blob: NewBlob
    live: Blob | None = field(default=None)

    def settle(self, live: Blob) -> None:
        """Name the live row. When it is of another generation, this object is superfluous and goes, unless
        the other one is lost; `live` is after the block the row that names what is there."""
        self.live = live


class BlobRows(Protocol):
    """What a store asks of the catalog when it finds that an object is lost."""

    async def replace_object(self, lost: Blob, new: NewBlob) -> Blob | None:
        """See nora.catalog.blobs.Blobs."""
        ...


class BlobStore(Protocol):
    """The protocol of a blob store."""

    @property
    def verifies(self) -> bool:
        """Whether bytes are to be compared with their digest whenever all of a blob is sent: then `stream`
        does so, and neither `path` nor `redirect_url` is for clients."""
        ...

    def ingest(
        self, chunks: AsyncIterable[bytes] | bytes, expect: Expect
    ) -> AbstractAsyncContextManager[Ingested]:
        """Take bytes in. Inside the block they are durable and want a row:

            async with store.ingest(body, Expect(digest=d)) as new:
                new.settle(await catalog.add_blob(new.blob, …))

        Leaving the block with `settle` called is `BlobStore.settle`. Leaving it by a NoraError before
        removes the object (the transaction was rolled back), unless that is uncertain. Leaving it in any
        other way - cancelled, say - keeps it, because a row may name it by now; an object without a row is
        collected later.
        Raises DigestMismatch, SizeMismatch, TooLarge, StorageFull; nothing is left behind then.
        """
        ...

    async def adopt(self, file: LockedTempFile, new: NewBlob) -> None:
        """Make an object of a local file, cut to the size of `new`, whose bytes are those of `new`.

        They are durable then and want a row, as in `ingest`. The file stays where it is; whoever holds it
        removes it. Raises StorageFailed, StorageFull; no object is left behind then.
        """
        ...

    async def settle(self, new: NewBlob, live: Blob) -> Blob:
        """What becomes of an object whose bytes have a live row; returns the row that names what is there.

        An object of another generation than the row's is removed - unless the row's own object, of the same
        bytes, is gone or damaged: then the row names the new one from here on, so that lost bytes
        can be pushed again. One of other bytes was not needed: what was there before stays.
        """
        ...

    async def is_whole(self, blob: Blob) -> bool:
        """Whether the object of a row is there, with all its bytes. Raises StorageFailed."""
        ...

    def local_copy(self, blob: Blob | NewBlob) -> AbstractAsyncContextManager[str]:
        """A local file with the bytes of a blob, to be read within the block and never written. Raises
        StorageFailed when it cannot be made."""
        ...

    def redirect_url(self, blob: Blob, media_type: bytes) -> str | None:
        """Where a client gets the bytes by itself, for a short time; None when it must get them here."""
        ...

    def path(self, blob: Blob | NewBlob) -> str | None:
        """The local path of a blob's object, which the server may send by itself; None when the store
        has no local files."""
        ...

    async def read(self, blob: Blob) -> bytes:
        """All bytes of a small blob. Raises StorageFailed when they are not there, as a row said, or are
        others by now."""
        ...

    def stream(self, blob: Blob, start: int, stop: int) -> AsyncIterator[bytes]:
        """Bytes start..stop (exclusive) in pieces of at most 64 KiB; raises StorageFailed when short, and
        before the last piece of a whole blob that is damaged, where the store `verifies`."""
        ...

    async def put_aside(self, blob: Blob) -> str:
        """Let a damaged object have no name any more, and keep its bytes for who looks for the cause; says
        where. Its row stays, and leads to nothing until the bytes are put again."""
        ...

    async def remove(self, blob: Blob | NewBlob | StoredObject) -> None:
        """Delete an object. No error when it is gone already."""
        ...

    async def remove_all(self, blobs: Sequence[Blob | StoredObject]) -> None:
        """Delete some hundred objects, after whatever else is to be done. One that cannot be deleted keeps no
        other; StorageFailed is raised then, at the end."""
        ...

    async def list_objects(self, shard: str) -> list[StoredObject]:
        """All objects whose digests begin with two hexadecimal digits, whether a row names them or not, and
        drafts of such. Raises StorageFailed when they cannot all be listed."""
        ...

    async def check(self) -> None:
        """Raise StorageFull or StorageFailed unless bytes can be taken in now (a real write probe)."""
        ...


class Removes(Protocol):
    """What objects can be removed from."""

    async def remove(self, blob: Blob | NewBlob) -> None:
        """See BlobStore."""
        ...


async def forget(store: Removes, new: NewBlob, failure: NoraError | None = None) -> None:
    """Remove an object that no row names, if it can be done; garbage collection finds it otherwise.

    `failure` is why there is no row. One that is uncertain keeps the object: a row may name it yet.
    """
    if failure is not None and failure.uncertain:
        return
    with suppress(StorageFailed):
        await store.remove(new)
