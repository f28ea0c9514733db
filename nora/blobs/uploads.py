"""Upload sessions: a blob that comes in parts, over several requests, to any process (OCI dist-spec, "Push").

A session is a row of the catalog and, from its first byte on, a file. The row's offset is the truth: those
bytes are durable in the file, and what the file holds beyond them is cut away. Whoever writes to the file
holds its lock. The worker that wrote the last part keeps the running hash in memory and goes on from it;
without it parts are only written, and closing the session hashes the file once.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from nora._speedups import ALGORITHMS, Hasher, hash_file
from nora.blobs.base import Expect
from nora.blobs.bodies import measured, read_head
from nora.blobs.disk import to_the_end
from nora.blobs.files import Draft, list_idle, remove, remove_unheld
from nora.blobs.local import describe
from nora.errors import (
    Conflict,
    DigestMismatch,
    InvalidDigest,
    NoraError,
    SizeMismatch,
    StorageFailed,
    StorageFull,
    TooLarge,
    UploadNotFound,
    UploadOffsetMismatch,
)
from nora.locks import FileLock

if TYPE_CHECKING:
    from nora.blobs.disk import Inflow
    from nora.blobs.layout import Layout
    from nora.blobs.local import LocalBlobStore
    from nora.catalog.base import Blob, Catalog, Upload
    from nora.model import Digest

LIVE_HASHERS: Final = 1024
"""Running hashes that a process keeps; each is a few hundred bytes."""
SWEEP_PAGE: Final = 100
REFUSALS: Final = (TooLarge, SizeMismatch, StorageFull, StorageFailed)
"""After these a part leaves no trace; after anything else what came of it is kept."""

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(slots=True)
class _Session:
    """A session whose file is open and locked."""

    upload: Upload
    """As it is now: its offset moves with each batch that is written."""
    committed: int
    """The offset in the catalog."""
    file: Draft
    hasher: Hasher | None
    """Of exactly the bytes up to the offset, while somebody has it."""


class Uploads:
    """The upload sessions of all repositories, in the directory of a local blob store.

    `max_sessions` are open at a time, on all processes together; sessions idle for longer than
    `session_ttl_seconds` are reaped by `sweep`; a blob of more than `max_size` bytes is refused with
    TooLarge (None: any size). What is finished is leased to its package for `lease_seconds`.
    """

    def __init__(
        self,
        catalog: Catalog,
        store: LocalBlobStore,
        layout: Layout,
        *,
        max_sessions: int,
        session_ttl_seconds: float,
        max_size: int | None,
        lease_seconds: float,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._disk = store.disk
        self._layout = layout
        self._max_sessions = max_sessions
        self._session_ttl_seconds = session_ttl_seconds
        self._max_size = max_size
        self._lease_seconds = lease_seconds
        self._hashers: OrderedDict[tuple[str, int], Hasher] = OrderedDict()

    # -- what a client asks for ----------------------------------------------------------------------

    async def open(self, repository_id: int, package: str, algorithm: str = "sha256") -> Upload:
        """Begin a session. Raises InvalidDigest for an unknown algorithm, TooManyRequests at the limit."""
        if algorithm not in ALGORITHMS:
            raise InvalidDigest(f"digest algorithms are {', '.join(ALGORITHMS)}")
        return await self._catalog.open_upload(
            str(uuid4()), repository_id, package, algorithm, self._max_sessions
        )

    async def find(self, upload_id: str, repository_id: int, package: str) -> Upload:
        """A session of this package. Raises UploadNotFound, also for the session of another package."""
        upload = await self._catalog.find_upload(upload_id) if _ID.fullmatch(upload_id) else None
        if upload is None or (upload.repository_id, upload.package) != (repository_id, package):
            raise UploadNotFound("no such upload")
        return upload

    async def append(
        self,
        upload: Upload,
        chunks: AsyncIterable[bytes],
        *,
        start: int | None = None,
        length: int | None = None,
    ) -> Upload:
        """Append a part, durably; returns the session as it is then.

        Raises, with the session as it was: UploadOffsetMismatch when `start` is not where the session
        stands (before anything is read), Conflict while another request writes to it, SizeMismatch when
        the part is not of `length` bytes, TooLarge, StorageFull. When `chunks` raises - the client is
        gone - what came until then is kept, and the error goes on. Raises UploadNotFound when the session
        ended meanwhile.
        """
        _check_start(upload, start)
        async with self._session(upload) as session:
            _check_start(session.upload, start)
            await self._receive(session, chunks, length)
            await to_the_end(self._save(session))
            return session.upload

    async def finish(
        self,
        upload: Upload,
        chunks: AsyncIterable[bytes] | None,
        *,
        digest: Digest,
        start: int | None = None,
        length: int | None = None,
    ) -> Blob:
        """Close a session, with the last part or all of the blob in `chunks` if there is any.

        Raises what `append` raises, and DigestMismatch: session and bytes are gone then.
        """
        _check_start(upload, start)
        if upload.offset:
            return await self._close(upload, chunks, digest, start, length)
        async with aclosing(measured(chunks or _nothing(), length, self._max_size)) as body:
            head, complete = await read_head(body)
            if not complete:
                return await self._close(upload, _chain(head, body), digest, start, length)
        try:  # all of a small blob: no session file, one visit to a disk thread
            return await self._take(upload.repository_id, upload.package, head, Expect(digest), upload.id)
        except DigestMismatch:
            await self.cancel(upload)
            raise

    async def put(
        self,
        repository_id: int,
        package: str,
        chunks: AsyncIterable[bytes],
        *,
        digest: Digest,
        length: int | None,
    ) -> Blob:
        """Take a blob in one request, without a session. Raises what `BlobStore.ingest` raises."""
        return await self._take(repository_id, package, chunks, Expect(digest, length, self._max_size), None)

    async def cancel(self, upload: Upload) -> None:
        """End a session and remove its bytes. Whoever writes to it meanwhile gets UploadNotFound."""
        await self._catalog.close_upload(upload.id)
        await self._disk.run(remove, self._layout.upload(upload.id))

    # -- how it is done ------------------------------------------------------------------------------

    async def _take(
        self,
        repository_id: int,
        package: str,
        chunks: AsyncIterable[bytes] | bytes,
        expect: Expect,
        upload_id: str | None,
    ) -> Blob:
        async with self._store.ingest(chunks, expect) as new:
            live = await self._catalog.add_blob(
                new.blob, repository_id, package, self._lease_seconds, upload_id
            )
            new.settle(live)
        return live

    @asynccontextmanager
    async def _session(self, upload: Upload) -> AsyncIterator[_Session]:
        """The session, locked and read again: the row that the caller knows may be old by now."""
        file = Draft(self._layout.upload(upload.id))
        try:
            if not await self._disk.run(file.open):
                raise Conflict("another request is writing to this upload")
            now = await self._catalog.find_upload(upload.id)
            if now is None:
                await self._disk.run(file.discard)
                raise UploadNotFound("no such upload")
            if file.size() < now.offset:  # power was lost, and `durable` is not full
                await self.cancel(now)
                raise UploadNotFound("the bytes of this upload are gone")
            yield _Session(now, now.offset, file, self._recall(now))
        finally:
            file.close()

    def _recall(self, upload: Upload) -> Hasher | None:
        """The running hash of a session, if this process has it. It comes back by `_keep`."""
        if not upload.offset:
            return Hasher(*_algorithms(upload.algorithm))
        return self._hashers.pop((upload.id, upload.offset), None)

    def _keep(self, session: _Session) -> None:
        if session.hasher is not None:
            self._hashers[session.upload.id, session.upload.offset] = session.hasher
            if len(self._hashers) > LIVE_HASHERS:
                self._hashers.popitem(last=False)

    async def _receive(self, session: _Session, chunks: AsyncIterable[bytes], length: int | None) -> None:
        """Append to the file, as far as the offset of `session` then says; not durable yet."""
        try:
            async with (
                self._disk.inflow(lambda data: self._write(session, data)) as inflow,
                aclosing(measured(chunks, length, self._max_size, session.committed)) as body,
            ):
                try:
                    async for chunk in body:
                        await inflow.push(chunk)
                    await inflow.flush()
                except REFUSALS:
                    raise
                except BaseException:  # the client is gone, or the server stops: what came is kept
                    await to_the_end(self._salvage(session, inflow))
                    raise
        except REFUSALS:
            with suppress(StorageFailed):  # what stays in the file is cut by the next request
                await to_the_end(self._cut_back(session))
            raise

    def _write(self, session: _Session, data: bytes) -> None:
        """Append a batch to the file. For disk threads."""
        upload = session.upload
        self._disk.require_room(len(data))
        if session.hasher is None:
            session.file.write(data, upload.offset)
        else:
            session.hasher.write(session.file.fd, data, upload.offset)
        session.upload = replace(upload, offset=upload.offset + len(data), hashes={})

    async def _salvage(self, session: _Session, inflow: Inflow) -> None:
        try:
            await inflow.flush()
            await self._save(session)
        except (StorageFull, StorageFailed):
            with suppress(StorageFailed):
                await self._cut_back(session)
        except UploadNotFound:
            pass

    async def _cut_back(self, session: _Session) -> None:
        """Forget what was received and may not stay."""
        if session.upload.offset == session.committed:
            self._keep(session)
        await self._disk.run(session.file.cut, session.committed)

    async def _save(self, session: _Session) -> None:
        """Make what was received durable, then say so in the row."""
        if session.upload.offset > session.committed:
            upload = replace(session.upload, hashes=_hashes(session))
            await self._disk.run(self._make_durable, session.file, upload.offset)
            if not await self._catalog.save_upload(upload.id, upload.offset, upload.hashes):
                await self._disk.run(session.file.discard)
                raise UploadNotFound("the upload was ended")
            session.upload, session.committed = upload, upload.offset
        self._keep(session)

    def _make_durable(self, file: Draft, size: int) -> None:
        file.cut(size)
        self._disk.sync(file.fd)

    async def _close(
        self,
        upload: Upload,
        chunks: AsyncIterable[bytes] | None,
        digest: Digest,
        start: int | None,
        length: int | None,
    ) -> Blob:
        async with self._session(upload) as session:
            _check_start(session.upload, start)
            if chunks is not None:
                await self._receive(session, chunks, length)
            return await to_the_end(self._commit(session, digest))

    async def _commit(self, session: _Session, digest: Digest) -> Blob:
        """Make the file of a session an object, and its row the row of a blob.

        The object is a second name of the file until the row is committed: whatever happens in between, the
        session is whole and locked, or it is a blob.
        """
        upload = session.upload
        try:
            hashes = _hashes(session)
            if digest.algorithm not in hashes:
                hashes = await self._disk.run(_hash, session, digest)
            new = describe(hashes, upload.offset, digest)
        except DigestMismatch:
            await self.cancel(upload)
            raise
        await self._disk.run(self._store.adopt, session.file, new)
        try:
            live = await self._catalog.add_blob(
                new, upload.repository_id, upload.package, self._lease_seconds, upload.id
            )
        except NoraError as error:
            await self._store.forget(new)
            if isinstance(error, UploadNotFound):
                await self._disk.run(session.file.discard)
            raise
        with suppress(StorageFailed):  # what stays is swept
            await self._disk.run(session.file.discard)
        if live.generation != new.generation:
            await self._store.forget(new)
        return live

    # -- tidying -------------------------------------------------------------------------------------

    async def sweep(self) -> int:
        """Reap idle sessions, files without a session, and what crashes left; returns how many.

        One process at a time does it; 0 when another is at it. Never touches what is being written.
        """
        lock = FileLock(self._layout.sweep_lock)
        try:
            if not lock.acquire(block=False):
                return 0
            return await self._reap_sessions() + await self._reap_files() + await self._store.sweep()
        finally:
            lock.close()

    async def _reap_sessions(self) -> int:
        reaped = 0
        while idle := await self._catalog.list_idle_uploads(self._session_ttl_seconds, SWEEP_PAGE):
            ended = [await self._reap(upload) for upload in idle]
            reaped += sum(ended)
            if not all(ended):  # those that are being written would come again
                break
        return reaped

    async def _reap(self, upload: Upload) -> bool:
        file = Draft(self._layout.upload(upload.id))
        try:
            if not await self._disk.run(file.open):
                return False
            now = await self._catalog.find_upload(upload.id)
            if now is not None and now.updated_at != upload.updated_at:
                return False
            await self._catalog.close_upload(upload.id)
            await self._disk.run(file.discard)
            return True
        finally:
            file.close()

    async def _reap_files(self) -> int:
        """Session files whose row is gone: their process died in between."""
        reaped = 0
        for name in await self._disk.run(list_idle, self._layout.uploads, self._session_ttl_seconds):
            if await self._catalog.find_upload(name) is None:
                reaped += await self._disk.run(remove_unheld, self._layout.upload(name))
        return reaped


def _check_start(upload: Upload, start: int | None) -> None:
    if start is not None and start != upload.offset:
        raise UploadOffsetMismatch(upload.offset, f"the upload stands at {upload.offset}, not at {start}")


def _algorithms(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(("sha256", *names)))


def _hashes(session: _Session) -> dict[str, str]:
    """The digests of the bytes so far; empty when nobody took them."""
    if session.upload.hashes or session.hasher is None:
        return session.upload.hashes
    return _digits(session.hasher, _algorithms(session.upload.algorithm))


def _hash(session: _Session, digest: Digest) -> dict[str, str]:
    """The digests of the file, read once. For disk threads."""
    upload = session.upload
    names = _algorithms(upload.algorithm, digest.algorithm)
    hasher = hash_file(session.file.fd, *names, length=upload.offset)
    if hasher.size != upload.offset:
        raise StorageFailed("the upload has fewer bytes than it had")
    return _digits(hasher, names)


def _digits(hasher: Hasher, names: tuple[str, ...]) -> dict[str, str]:
    return {name: hasher.hexdigest(name) for name in names} | {"xxh3": hasher.xxh3()}


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


async def _chain(head: bytes, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in body:
        yield chunk
