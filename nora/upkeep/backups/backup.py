"""Making a backup, while a server runs or not. See the package for what it is made of."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from nora.catalog.sqlite.caches import take_cached
from nora.catalog.sqlite.snapshots import Snapshot, Stored
from nora.errors import StorageBusy, StorageFailed
from nora.upkeep.backups.archive import written
from nora.upkeep.backups.manifest import (
    CATALOG,
    HEADER,
    MANIFEST,
    SECRETS,
    BackupFailed,
    Header,
    ManifestWriter,
    Target,
    line_of,
    object_name,
)

if TYPE_CHECKING:
    from nora.blobs.base import BlobStore
    from nora.upkeep.backups.sealing import Passphrase
    from nora.upkeep.progress import Progress

AHEAD: Final = 4
"""Objects that are read and compared while one is being written."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a backup has in it."""

    blobs: int
    size: int
    """Bytes of these."""
    copied: int
    """Blobs that were not in the folder before."""
    lost: tuple[str, ...]
    """Objects that the store has lost, or whose bytes are others than were written: they are not in it."""


class Cached(NamedTuple):
    """What of the proxy repositories is wanted."""

    repositories: Collection[int] | None = None
    """None: of all."""
    used_since: float = 0.0
    """What was fetched or used since then, in seconds since the epoch."""


@dataclass(slots=True)
class _Ready:
    """An object that was compared with its digest, open to be copied."""

    stored: Stored
    file: IO[bytes] | None = None
    is_lost: bool = False
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)


class Backup:
    """One backup of a store."""

    def __init__(
        self,
        catalog_file: Path,
        blobs: BlobStore,
        target: Target,
        progress: Progress,
        *,
        passphrase: Passphrase | None,
        created_at: float,
        more_secrets: dict[str, object] | None = None,
        cached: Cached | None = None,
    ) -> None:
        """No object may be removed meanwhile: the removal lock is held. Without a passphrase what is secret
        stays out; with it `more_secrets` go with it. `cached`: no more than this."""
        self._catalog_file = catalog_file
        self._blobs = blobs
        self._target = target
        self._progress = progress
        self._workspace = target.workspace
        self._passphrase = passphrase
        self._created_at = created_at
        self._more_secrets = more_secrets or {}
        self._cached = cached
        self._lost: list[str] = []
        self._blobs_done = self._bytes_done = self._copied = 0
        self._is_ended = False

    async def run(self) -> Made:
        """Make it. Raises BackupFailed, StorageFailed, StorageFull; nothing that looks whole is left then."""
        try:
            with written(self._workspace), tempfile.TemporaryFile(dir=self._workspace) as lines:
                return await self._run(ManifestWriter(lines))
        except BaseException:
            self._is_ended = True  # for what is still being copied in a thread
            await asyncio.to_thread(self._target.abandon)
            raise

    async def _run(self, manifest: ManifestWriter) -> Made:
        self._manifest = manifest
        snapshot, secrets = await asyncio.to_thread(self._take)
        blobs, size = snapshot.measure()
        self._progress.expect(size, "blobs")
        has_secrets, is_cache = self._passphrase is not None, self._cached is not None
        header = Header(self._created_at, snapshot.schema, blobs, size, has_secrets, is_cache)
        await self._add_document(HEADER, header.render())
        if self._passphrase is not None:
            sealed = await asyncio.to_thread(self._passphrase.seal, {**secrets, **self._more_secrets})
            await self._add_document(SECRETS, sealed)
        await self._add_objects(snapshot.objects())
        await asyncio.to_thread(self._add_catalog, snapshot.path)
        await asyncio.to_thread(self._finish)
        return Made(self._blobs_done, self._bytes_done, self._copied, tuple(self._lost))

    def _take(self) -> tuple[Snapshot, dict[str, object]]:
        """The catalog as it is now, and its secrets."""
        copy = self._workspace / CATALOG
        if self._cached is not None:
            return take_cached(self._catalog_file, copy, *self._cached), {}
        snapshot = Snapshot.take(self._catalog_file, copy)
        return snapshot, dict(snapshot.take_secrets())

    async def _add_objects(self, objects: Iterable[Stored]) -> None:
        async with aclosing(self._ready(iter(objects))) as ready:
            async for one in ready:
                async with one.stack:
                    if one.is_lost:
                        self._lost.append(object_name(one.stored.blob))
                    else:
                        await asyncio.to_thread(self._add_object, one)

    async def _ready(self, objects: Iterator[Stored]) -> AsyncGenerator[_Ready, None]:
        """In their order, some ahead."""
        waiting: deque[asyncio.Task[_Ready]] = deque()
        try:
            while True:
                while len(waiting) <= AHEAD and (stored := next(objects, None)) is not None:
                    waiting.append(asyncio.ensure_future(self._prepare(stored)))
                if not waiting:
                    return
                yield await waiting.popleft()
        finally:
            for task in waiting:
                task.cancel()
            for left in await asyncio.gather(*waiting, return_exceptions=True):
                if isinstance(left, _Ready):
                    await left.stack.aclose()

    async def _prepare(self, stored: Stored) -> _Ready:
        """Compare an object with its digest, unless it is there already."""
        one = _Ready(stored)
        if await asyncio.to_thread(self._target.has, object_name(stored.blob), stored.blob.size):
            return one
        try:
            path = await one.stack.enter_async_context(self._blobs.local_copy(stored.blob))
            one.file = one.stack.enter_context(await asyncio.to_thread(open, path, "rb", buffering=0))
            whole = await asyncio.to_thread(self._is_whole, one.file, stored)
        except StorageBusy:
            await one.stack.aclose()
            raise
        except (StorageFailed, OSError) as error:
            await one.stack.aclose()
            if await self._blobs.is_whole(stored.blob):
                name = object_name(stored.blob)
                raise StorageFailed(f"{name} cannot be read, so there is no backup: {error}") from error
            whole = False
        except BaseException:
            await one.stack.aclose()
            raise
        one.is_lost = not whole
        return one

    def _is_whole(self, file: IO[bytes], stored: Stored) -> bool:
        if os.fstat(file.fileno()).st_size != stored.blob.size:
            return False
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        file.seek(0)
        return digest == stored.blob.digest.encoded

    def _add_object(self, one: _Ready) -> None:
        blob, name, modified_at = one.stored.blob, object_name(one.stored.blob), int(one.stored.created_at)
        if one.file is None:
            self._progress.advance(blob.size)
        else:
            self._target.add(name, _Told(one.file, self), blob.size, modified_at)
            self._copied += 1
        self._manifest.add(line_of(name, blob.size, blob.digest.encoded, modified_at))
        self._blobs_done += 1
        self._bytes_done += blob.size

    def advance(self, size: int) -> None:
        """Bytes are being copied. Raises BackupFailed when nobody wants them any more."""
        if self._is_ended:
            raise BackupFailed("stopped")
        self._progress.advance(size)

    async def _add_document(self, name: str, data: bytes) -> None:
        await asyncio.to_thread(self._target.add, name, io.BytesIO(data), len(data), int(self._created_at))
        self._manifest.add(line_of(name, len(data), hashlib.sha256(data).hexdigest(), int(self._created_at)))

    def _add_catalog(self, path: Path) -> None:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            self._progress.expect(size, "the catalog")
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            self._target.add(CATALOG, _Told(file, self), size, int(self._created_at))
        self._manifest.add(line_of(CATALOG, size, digest, int(self._created_at)))

    def _finish(self) -> None:
        size = self._manifest.finish(self._lost)
        self._target.add(MANIFEST, self._manifest.file, size, int(self._created_at))
        self._target.finish()


class _Told:
    """A file whose reader's progress is told."""

    def __init__(self, file: IO[bytes], backup: Backup) -> None:
        self._file = file
        self._backup = backup

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self._backup.advance(len(data))
        return data
