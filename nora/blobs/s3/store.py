"""The blob store in a bucket.

    <prefix>blobs/sha256/<first 2 hex>/<hex>-<generation>    a stored object, named as in a directory
    <prefix>damaged/<hex>-<generation>                       one whose bytes are others by now, put aside

A body of at most 64 KiB is one request. A larger one is a file of this machine first, while it is hashed: its
digest is its name, and an object cannot be renamed without a copy; the file goes to the bucket in parts,
several at a time. What the object is (sha256, xxh3) is kept with it as metadata.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections import OrderedDict
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from nora._speedups import Hasher
from nora.blobs.base import forget
from nora.blobs.bodies import PIECE_BYTES, SMALL_BYTES
from nora.blobs.files import LockedTempFile
from nora.blobs.hashes import DamagedBlob, algorithms, damaged, describe_seen, new_generation, verified
from nora.blobs.intake import Intake
from nora.blobs.layout import StoredObject
from nora.blobs.s3.bucket import Stop
from nora.blobs.s3.disk_cache import Filling, Kept
from nora.blobs.threads import Threads, uncancellable
from nora.errors import StorageFailed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from nora.blobs.base import BlobRows, Expect
    from nora.blobs.disk import Durability
    from nora.blobs.layout import Layout
    from nora.blobs.s3.bucket import Bucket
    from nora.blobs.s3.disk_cache import DiskCache
    from nora.catalog.records import Blob, NewBlob

T = TypeVar("T")

THREADS: Final = 32
"""For requests about one object, which wait for the network."""
UPLOADS: Final = 8
"""Files on their way to the bucket at a time; each has several parts on their way."""
READ_BYTES: Final = 256 << 10
"""What is read from the network at a time, beside the same that is being sent."""
COPIED_BYTES: Final = 1 << 20
SIGNED_SECONDS: Final = 900
"""How long a client may take to begin a download that it was redirected to."""
SIGNED_KEPT: Final = 4096
"""Signatures that are kept: one costs half a millisecond."""
PROBE: Final = b"nora"


class S3BlobStore(Intake):
    """A BlobStore (see nora.blobs.base) in a bucket, which exists. What is on its way is below `layout`."""

    def __init__(
        self,
        bucket: Bucket,
        layout: Layout,
        *,
        reserve_bytes: int,
        durable: Durability = "none",
        rows: BlobRows | None = None,
        verifies: bool = False,
        redirects: bool = False,
        prefix: str = "",
        cache: DiskCache | None = None,
    ) -> None:
        """See Intake. `redirects`: whether clients get large objects from the bucket themselves. All keys
        begin with `prefix`. What is read whole is kept in `cache`."""
        super().__init__(layout, reserve_bytes=reserve_bytes, durable=durable, rows=rows, verifies=verifies)
        self._bucket = bucket
        self._redirects = redirects
        self._prefix = prefix
        self._cache = cache
        self._threads = Threads(THREADS, "s3")
        self._uploads = Threads(UPLOADS, "s3-upload")
        self._signed: OrderedDict[tuple[str, bytes], tuple[float, str]] = OrderedDict()

    def _key(self, blob: Blob | NewBlob | StoredObject) -> str:
        digest = blob.digest
        return f"{self._prefix}blobs/sha256/{digest[7:9]}/{digest[7:]}-{blob.generation:016x}"

    async def _call(self, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
        return await self._threads.start(partial(call, *arguments, **options)).result()

    async def keep_small(self, data: bytes, expect: Expect, made: list[NewBlob]) -> None:
        """See Intake: one request."""
        await self._call(self._put, data, expect, made)

    def _put(self, data: bytes, expect: Expect, made: list[NewBlob]) -> None:
        hasher = Hasher(*algorithms(expect))
        hasher.update(data)
        new = describe_seen(hasher, expect)
        made.append(new)  # also when the outcome is unknown: the object goes then, if it came
        self._bucket.put(self._key(new), data, sha256=bytes.fromhex(new.digest.encoded), notes=_notes(new))

    async def keep_file(self, temp: LockedTempFile, hasher: Hasher, expect: Expect) -> NewBlob:
        """See Intake: the file goes to the bucket."""
        new = await self.disk.run(describe_seen, hasher, expect)
        await self._upload(temp, new)
        await self.disk.run(temp.discard)
        return new

    async def adopt(self, file: LockedTempFile, new: NewBlob) -> None:
        """See BlobStore. A few bytes are one request with their checksum, as in `keep_small`."""
        await self.disk.run(file.cut, new.size)
        if new.size > SMALL_BYTES:
            await self._upload(file, new)
            return
        data = await self.disk.run(os.pread, file.fd, SMALL_BYTES, 0)
        sha256 = bytes.fromhex(new.digest.encoded)
        try:
            await self._call(self._bucket.put, self._key(new), data, sha256=sha256, notes=_notes(new))
        except BaseException:  # it may be there all the same
            await forget(self, new)
            raise

    async def _upload(self, file: LockedTempFile, new: NewBlob) -> None:
        """When cancelled, no more parts are sent than have begun: there may be minutes of them."""
        stop = Stop()
        call = partial(self._bucket.put_file, self._key(new), file.path, _notes(new), stop)
        sending = asyncio.ensure_future(self._uploads.start(call).result())
        try:
            await asyncio.shield(sending)
        except BaseException:  # it may be there all the same
            stop.now()
            try:
                await uncancellable(asyncio.gather(sending, return_exceptions=True))
            finally:
                await forget(self, new)
            raise

    async def is_whole(self, blob: Blob) -> bool:
        """See BlobStore."""
        return await self._call(self._bucket.size, self._key(blob)) == blob.size

    def path(self, blob: Blob | NewBlob) -> str | None:
        """See BlobStore. The bytes are not here."""
        return None

    @asynccontextmanager
    async def local_copy(self, blob: Blob | NewBlob) -> AsyncIterator[str]:
        """See BlobStore. A file for as long as it is read."""
        temp = LockedTempFile(self.layout.temp(new_generation()))
        try:
            await self.disk.run(self._begin, temp, blob.size)
            await self._call(self._fetch, blob, temp)
            yield temp.path
        finally:
            if temp.made:
                with suppress(StorageFailed):  # what stays is swept
                    await self.disk.run(temp.discard)

    def _fetch(self, blob: Blob | NewBlob, temp: LockedTempFile) -> None:
        body = self._bucket.open(self._key(blob), 0, None)
        try:
            size = 0
            while data := self._bucket.read(body, COPIED_BYTES):
                temp.write(data, size)
                size += len(data)
        finally:
            body.close()
        if size != blob.size:
            raise damaged(blob)

    def redirect_url(self, blob: Blob, media_type: bytes) -> str | None:
        """See BlobStore. Signed at most once in half of its life."""
        if not self._redirects:
            return None
        wanted, now = (self._key(blob), media_type), time.monotonic()
        made, url = self._signed.get(wanted, (0.0, ""))
        if not url or now - made > SIGNED_SECONDS:
            url = self._bucket.signed_url(wanted[0], media_type.decode("latin-1"), 2 * SIGNED_SECONDS)
            self._signed[wanted] = now, url
            if len(self._signed) > SIGNED_KEPT:
                self._signed.popitem(last=False)
        return url

    async def read(self, blob: Blob) -> bytes:
        """See BlobStore."""
        try:
            return await self._call(self._read_all, blob)
        except DamagedBlob:
            self.suspect(blob)
            raise

    def _read_all(self, blob: Blob) -> bytes:
        return verified(self._bucket.get(self._key(blob)), blob)

    async def is_damaged(self, blob: Blob) -> bool:
        """See Intake. Its size says so, or all of its bytes."""
        if not await self.is_whole(blob):
            return True
        hasher = hashlib.sha256()
        if blob.size:
            async with aclosing(self._read(blob, 0, blob.size)) as reads:
                async for data in reads:
                    hasher.update(data)
        return hasher.hexdigest() != blob.digest.encoded

    async def looks_damaged(self, blob: Blob) -> bool:
        """See Intake. By its size: a bucket keeps checksums of its own."""
        return not await self.is_whole(blob)

    async def stream(self, blob: Blob, start: int, stop: int) -> AsyncIterator[bytes]:
        """See BlobStore."""
        if start >= stop:
            return
        if blob.size <= SMALL_BYTES:
            yield (await self.read(blob))[start:stop]
            return
        if self._cache is None:
            reads = self._read(blob, start, stop)
            async with aclosing(reads), aclosing(self._pieces(reads, blob, start, stop)) as pieces:
                async for piece in pieces:
                    yield piece
            return
        kept, filling = Kept(self._cache, self.disk, blob), Filling(self._cache, self.disk, blob)
        try:
            to_fill = from_cache = None
            if await kept.open():
                reads, from_cache = kept.read(start, stop, READ_BYTES), kept
            else:
                if (start, stop) == (0, blob.size) and await filling.begin():
                    to_fill = filling
                reads = self._read(blob, start, stop)
            sent = self._pieces(reads, blob, start, stop, to_fill, from_cache)
            async with aclosing(reads), aclosing(sent) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            kept.close()
            await filling.end()

    async def _pieces(
        self,
        reads: AsyncIterator[bytes],
        blob: Blob,
        start: int,
        stop: int,
        filling: Filling | None = None,
        kept: Kept | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """What was read, in pieces; all of a blob is compared where that is wanted, or is to be kept."""
        is_compared = (start, stop) == (0, blob.size) and (self.verifies or filling is not None)
        hasher = hashlib.sha256() if is_compared else None
        async for data in reads:
            start += len(data)
            if filling is not None:
                await filling.write(data)
            if hasher is not None:
                hasher.update(data)
                if start == stop:
                    if hasher.hexdigest() != blob.digest.encoded:
                        await self._distrust(blob, kept)
                        raise damaged(blob)  # before the last bytes: nobody takes the rest for the whole
                    if filling is not None:
                        await filling.keep()
            for first in range(0, len(data), PIECE_BYTES):
                yield data[first : first + PIECE_BYTES]

    async def _distrust(self, blob: Blob, kept: Kept | None) -> None:
        """Other bytes were read than were written: from the cache, or from the bucket."""
        if kept is None:
            self.suspect(blob)
        else:
            await kept.forget()

    async def _read(self, blob: Blob, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Bytes of an object as they come: the next are on their way while these are sent."""
        body = await self._call(self._bucket.open, self._key(blob), start, stop)
        reading = self._read_ahead(body)
        try:
            while start < stop:
                data = await reading
                if not data:
                    raise StorageFailed("the stored bytes are fewer than they were")
                start += len(data)
                reading = self._read_ahead(body)  # at the end this finds that there is no more
                yield data
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            body.close()  # in the middle of an answer this closes the connection

    def _read_ahead(self, body: Any) -> asyncio.Task[bytes]:
        return asyncio.ensure_future(self._call(self._bucket.read, body, READ_BYTES))

    async def put_aside(self, blob: Blob) -> str:
        """See BlobStore."""
        key = f"{self._prefix}damaged/{blob.digest[7:]}-{blob.generation:016x}"
        await self._call(self._bucket.move, self._key(blob), key)
        if self._cache is not None:
            await Kept(self._cache, self.disk, blob).forget()
        return key

    async def remove(self, blob: Blob | NewBlob | StoredObject) -> None:
        """See BlobStore."""
        await self._call(self._bucket.remove, self._key(blob))

    async def remove_all(self, blobs: Sequence[Blob | StoredObject]) -> None:
        """See BlobStore. A request each, as many at a time as there are threads: not every store has one for
        many objects."""
        outcomes = await asyncio.gather(*(self.remove(one) for one in blobs), return_exceptions=True)
        if failed := [one for one in outcomes if isinstance(one, BaseException)]:
            raise failed[0]

    async def list_objects(self, shard: str) -> list[StoredObject]:
        """See BlobStore."""
        return await self._call(self._list, shard)

    def _list(self, shard: str) -> list[StoredObject]:
        listed = self._bucket.list_changed(f"{self._prefix}blobs/sha256/{shard}/")
        named = (StoredObject.of(key.rpartition("/")[2], size, at) for key, size, at in listed)
        return [one for one in named if one is not None and not one.is_draft]

    async def check(self) -> None:
        """See BlobStore. Writes and removes a small object; there is room on this machine as well."""
        await self.disk.run(self.disk.require_room, 0)
        await self._call(self._probe)

    def _probe(self) -> None:
        key = f"{self._prefix}probe"  # one for all: what is left of a failure is replaced by the next
        digest = Hasher("sha256")
        digest.update(PROBE)
        self._bucket.put(key, PROBE, sha256=bytes.fromhex(digest.hexdigest("sha256")), notes={})
        self._bucket.remove(key)

    def close(self) -> None:
        """End threads and connections."""
        self._uploads.close()
        self._threads.close()
        self._bucket.close()
        super().close()


def _notes(new: NewBlob) -> dict[str, str]:
    return {"sha256": new.digest.encoded, "xxh3": new.xxh3}
