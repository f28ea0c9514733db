"""The file of an upload session while one request writes to it."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nora._speedups import Hasher, hash_file
from nora.blobs.bodies import measured
from nora.blobs.threads import uncancellable
from nora.errors import SizeMismatch, StorageFailed, StorageFull, TooLarge, UploadNotFound

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from nora.blobs.disk import Disk, Inflow
    from nora.blobs.files import LockedTempFile
    from nora.catalog.base import Catalog
    from nora.catalog.records import Upload

LIVE_HASHERS: Final = 1024
"""Running hashes that a process keeps; each is a few hundred bytes."""
REFUSALS: Final = (TooLarge, SizeMismatch, StorageFull, StorageFailed)
"""After these a part leaves no trace; after anything else what came of it is kept."""


class RunningHashes:
    """Hashes that this process can go on with, by session and offset; the least recent ones are forgotten."""

    def __init__(self, limit: int = LIVE_HASHERS) -> None:
        self._limit = limit
        self._hashers: OrderedDict[tuple[str, int], Hasher] = OrderedDict()

    def take(self, upload: Upload) -> Hasher | None:
        """The hash of all bytes of a session, if it is known here; whoever takes it owns it."""
        if not upload.offset:
            return Hasher(*_algorithms(upload.algorithm))
        return self._hashers.pop((upload.id, upload.offset), None)

    def keep(self, upload: Upload, hasher: Hasher) -> None:
        """Remember a hash until the next request."""
        self._hashers[upload.id, upload.offset] = hasher
        if len(self._hashers) > self._limit:
            self._hashers.popitem(last=False)


class Session:
    """An upload session whose file is open and locked: by nobody else, as long as this object is used."""

    __slots__ = ("_announced", "_catalog", "_disk", "committed", "ended", "file", "hasher", "upload")

    def __init__(
        self, catalog: Catalog, disk: Disk, upload: Upload, file: LockedTempFile, hasher: Hasher | None
    ) -> None:
        self._catalog = catalog
        self._disk = disk
        self._announced = 0  # where the part that comes will end, as far as its sender says
        self.file = file
        self.upload = upload
        """As it is now: its offset moves with each batch that is written."""
        self.committed = upload.offset
        """The offset in the catalog."""
        self.hasher = hasher
        """Of exactly the bytes up to the offset, while somebody has it."""
        self.ended = False

    async def receive(self, chunks: AsyncIterable[bytes], length: int | None, limit: int | None) -> None:
        """Append to the file. What came is in `upload`, and neither durable nor in the catalog before `save`.

        Raises what `measured` and the disk raise, and has cut the file back then. What else `chunks` raises
        (the client is gone) goes on after what came until then was saved.
        """
        self._announced = self.committed + (length or 0)
        try:
            async with (
                self._disk.inflow(self._write) as inflow,
                aclosing(measured(chunks, length, limit, self.committed)) as body,
            ):
                try:
                    async for chunk in body:
                        await inflow.push(chunk)
                    await inflow.flush()
                except REFUSALS:
                    raise
                except BaseException:  # the client is gone, or the server stops
                    await uncancellable(self._salvage(inflow))
                    raise
        except REFUSALS:
            with suppress(StorageFailed):  # what stays in the file is cut by the next request
                await uncancellable(self._cut_back())
            raise

    def _write(self, data: bytes) -> None:
        upload = self.upload
        self._disk.require_room(max(len(data), self._announced - upload.offset))
        if self.hasher is None:
            self.file.write(data, upload.offset)
        else:
            self.hasher.write(self.file.fd, data, upload.offset)
        self.upload = replace(upload, offset=upload.offset + len(data), hashes={})

    async def _salvage(self, inflow: Inflow) -> None:
        try:
            await inflow.flush()
            await self.save()
        except (StorageFull, StorageFailed):
            with suppress(StorageFailed):
                await self._cut_back()
        except UploadNotFound:  # who cancels a session need not be told
            pass

    async def _cut_back(self) -> None:
        if self.upload.offset > self.committed:
            self.hasher = None  # it has seen bytes that do not count
        await self._disk.run(self.file.cut, self.committed)

    async def save(self) -> None:
        """Make what was received durable, then say so in the row. Raises UploadNotFound when that is gone."""
        if self.upload.offset == self.committed:
            return
        upload = replace(self.upload, hashes=self.hashes())
        await self._disk.run(self._make_durable)
        if not await self._catalog.save_upload(upload.id, upload.offset, upload.hashes):
            await self.discard()
            raise UploadNotFound("the upload was ended")
        self.upload, self.committed = upload, upload.offset

    def _make_durable(self) -> None:
        self.file.cut(self.upload.offset)
        self._disk.sync(self.file.fd)

    def hashes(self) -> dict[str, str]:
        """The digests of the bytes so far; empty when nobody has them."""
        if self.upload.hashes or self.hasher is None:
            return self.upload.hashes
        return _digits(self.hasher, _algorithms(self.upload.algorithm))

    async def hashes_with(self, *wanted: str) -> dict[str, str]:
        """The digests of the bytes so far, those of the `wanted` algorithms among them.

        Reads the file, once, when nobody has them.
        """
        hashes = self.hashes()
        has_all = hashes and all(one in hashes for one in wanted)
        return hashes if has_all else await self._disk.run(self._hash_file, wanted)

    def _hash_file(self, wanted: tuple[str, ...]) -> dict[str, str]:
        names = _algorithms(self.upload.algorithm, *wanted)
        hasher = hash_file(self.file.fd, *names, length=self.upload.offset)
        if hasher.size != self.upload.offset:
            raise StorageFailed("the upload has fewer bytes than it had")
        return _digits(hasher, names)

    async def discard(self) -> None:
        """Remove the file: the session is over."""
        self.ended = True
        await self._disk.run(self.file.discard)


def _algorithms(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(("sha256", *names)))


def _digits(hasher: Hasher, names: tuple[str, ...]) -> dict[str, str]:
    return {name: hasher.hexdigest(name) for name in names} | {"xxh3": hasher.xxh3()}
