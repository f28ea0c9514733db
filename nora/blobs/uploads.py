"""Upload sessions: a blob that comes in parts, over several requests, to any process (OCI dist-spec, "Push").

A session is a row of the catalog and, from its first byte on, a file. The row's offset is the truth: those
bytes are durable in the file, and what the file holds beyond them is cut away. Whoever writes to the file
holds its lock. The worker that wrote the last part keeps the running hash in memory and goes on from it;
without it parts are only written, and closing the session hashes the file once.
"""

from __future__ import annotations

import re
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from nora._speedups import ALGORITHMS
from nora.blobs.base import Expect, forget
from nora.blobs.bodies import measured, read_head
from nora.blobs.files import LockedTempFile, list_idle, remove, remove_unheld
from nora.blobs.hashes import describe
from nora.blobs.sessions import RunningHashes, Session
from nora.blobs.threads import uncancellable
from nora.errors import (
    Conflict,
    DigestMismatch,
    InvalidDigest,
    NoraError,
    StorageFailed,
    UploadNotFound,
    UploadOffsetMismatch,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence

    from nora.blobs.base import BlobStore
    from nora.blobs.scratch import Scratch
    from nora.catalog.base import Catalog
    from nora.catalog.records import Blob, NewBlob, Upload
    from nora.model import Digest

SWEEP_PAGE: Final = 100

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class Uploads:
    """The upload sessions of all repositories, in the scratch of this machine until they are blobs.

    `max_sessions` are open at a time, on all processes together, `max_sessions_of_one` of the same owner;
    sessions idle for longer than
    `session_ttl_seconds` are reaped by `sweep`; a blob of more than `max_size` bytes is refused with
    TooLarge (None: any size). What is finished is leased to its package for `lease_seconds`.
    """

    def __init__(
        self,
        catalog: Catalog,
        store: BlobStore,
        scratch: Scratch,
        *,
        max_sessions: int,
        max_sessions_of_one: int,
        session_ttl_seconds: float,
        max_size: int | None,
        lease_seconds: float,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._disk = scratch.disk
        self._scratch = scratch
        self._max_sessions = max_sessions
        self._max_sessions_of_one = max_sessions_of_one
        self._session_ttl_seconds = session_ttl_seconds
        self._max_size = max_size
        self._lease_seconds = lease_seconds
        self._hashes = RunningHashes()

    # -- what a client asks for ----------------------------------------------------------------------

    async def open(
        self, repository_id: int, package: str, algorithm: str = "sha256", owner: str = ""
    ) -> Upload:
        """Begin a session; of nobody without an owner. Raises InvalidDigest for an unknown algorithm,
        TooManyRequests at a limit."""
        if algorithm not in ALGORITHMS:
            raise InvalidDigest(f"digest algorithms are {', '.join(ALGORITHMS)}")
        return await self._catalog.open_upload(
            str(uuid4()),
            repository_id,
            package,
            algorithm,
            self._max_sessions,
            owner,
            self._max_sessions_of_one,
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
        max_size: int | None = None,
    ) -> Upload:
        """Append a part, durably; returns the session as it is then. `max_size` of all, if that is said.

        Raises, with the session as it was: UploadOffsetMismatch when `start` is not where the session
        stands (before anything is read), Conflict while another request writes to it, SizeMismatch when
        the part is not of `length` bytes, TooLarge, StorageFull. When `chunks` raises - the client is
        gone - what came until then is kept, and the error goes on. Raises UploadNotFound when the session
        ended meanwhile.
        """
        _check_start(upload, start)
        async with self._session(upload) as session:
            _check_start(session.upload, start)
            await session.receive(chunks, length, max_size or self._max_size)
            await uncancellable(session.save())
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

    async def publish(
        self,
        upload: Upload,
        chunks: AsyncIterable[bytes],
        write: Callable[[NewBlob], Awaitable[Blob]],
        *,
        algorithms: Sequence[str] = (),
        start: int | None = None,
        length: int | None = None,
        max_size: int | None = None,
    ) -> Blob:
        """Close a session with the last part of a file, which `write` makes visible: it gets the bytes with
        their hashes by `algorithms`, and returns the live row.

        Raises what `append` raises; and what `write` does: session and bytes are gone then.
        """
        _check_start(upload, start)
        async with self._session(upload) as session:
            _check_start(session.upload, start)
            await session.receive(chunks, length, max_size or self._max_size)
            return await uncancellable(self._publish(session, write, algorithms))

    async def put(
        self,
        repository_id: int,
        package: str,
        chunks: AsyncIterable[bytes],
        *,
        digest: Digest,
        length: int | None = None,
    ) -> Blob:
        """Take a blob in one request, without a session. Raises what `BlobStore.ingest` raises."""
        return await self._take(repository_id, package, chunks, Expect(digest, length, self._max_size), None)

    async def cancel(self, upload: Upload) -> None:
        """End a session and remove its bytes. Whoever writes to it meanwhile gets UploadNotFound."""
        await self._catalog.close_upload(upload.id)
        await self._disk.run(remove, self._scratch.upload(upload.id))

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
        return new.live or live

    @asynccontextmanager
    async def _session(self, upload: Upload) -> AsyncIterator[Session]:
        """The session, locked and read again: the row that the caller knows may be old by now."""
        file = LockedTempFile(self._scratch.upload(upload.id))
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
            session = Session(self._catalog, self._disk, now, file, self._hashes.take(now))
            try:
                yield session
            finally:
                await self._leave(session)
        finally:
            file.close()

    async def _leave(self, session: Session) -> None:
        """A session has a file from its first byte on, and its running hash waits for the next request."""
        if session.ended:
            return
        if not session.committed:
            with suppress(StorageFailed):
                await self._disk.run(session.file.discard)
        elif session.hasher is not None and session.upload.offset == session.committed:
            self._hashes.keep(session.upload, session.hasher)

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
                await session.receive(chunks, length, self._max_size)
            return await uncancellable(self._commit(session, digest))

    async def _commit(self, session: Session, digest: Digest) -> Blob:
        """Make the file of a session an object, and its row the row of a blob.

        The object is a second name of the file until the row is committed: whatever happens in between, the
        session is whole and locked, or it is a blob.
        """
        upload = session.upload
        try:
            new = describe(await session.hashes_with(digest.algorithm), upload.offset, digest)
        except DigestMismatch:
            await self._catalog.close_upload(upload.id)
            await session.discard()
            raise
        await self._adopt(session, new)
        try:
            live = await self._catalog.add_blob(
                new, upload.repository_id, upload.package, self._lease_seconds, upload.id
            )
        except NoraError as error:
            await forget(self._store, new, error)
            if error.uncertain or isinstance(error, UploadNotFound):
                await session.discard()  # nobody may write to what an object may share
            raise
        with suppress(StorageFailed):  # what stays is swept
            await session.discard()
        return await self._store.settle(new, live)

    async def _publish(
        self, session: Session, write: Callable[[NewBlob], Awaitable[Blob]], algorithms: Sequence[str]
    ) -> Blob:
        """As `_commit`, where the row is somebody else's. The session ends before there is one: nobody may
        write to what an object shares, whoever dies in between."""
        upload = session.upload
        new = describe(await session.hashes_with(*algorithms), upload.offset, None)
        await self._adopt(session, new)
        try:
            was_open = await self._catalog.close_upload(upload.id)
        except NoraError as error:
            await forget(self._store, new, error)
            if error.uncertain:
                await session.discard()
            raise
        try:
            if not was_open:
                raise UploadNotFound("the upload was ended")
            live = await write(new)
        except NoraError as error:
            await forget(self._store, new, error)
            raise
        finally:
            with suppress(StorageFailed):
                await session.discard()
        return await self._store.settle(new, live)

    async def _adopt(self, session: Session, new: NewBlob) -> None:
        try:
            await self._store.adopt(session.file, new)
        except StorageFailed as error:
            if await self._catalog.find_upload(session.upload.id) is None:  # `cancel` took row and file away
                session.ended = True
                raise UploadNotFound("the upload was ended") from error
            raise

    # -- tidying -------------------------------------------------------------------------------------

    async def sweep(self) -> int:
        """Reap idle sessions, and files without a session; returns how many.

        Never touches what is being written. For one process at a time, as others would only do it again.
        """
        return await self._reap_sessions() + await self._reap_files()

    async def _reap_sessions(self) -> int:
        reaped = 0
        while idle := await self._catalog.list_idle_uploads(self._session_ttl_seconds, SWEEP_PAGE):
            ended = [await self._reap(upload) for upload in idle]
            reaped += sum(ended)
            if not all(ended):  # those that are being written would come again
                break
        return reaped

    async def _reap(self, upload: Upload) -> bool:
        file = LockedTempFile(self._scratch.upload(upload.id))
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
        for name in await self._disk.run(list_idle, self._scratch.uploads, self._session_ttl_seconds):
            if await self._catalog.find_upload(name) is None:
                reaped += await self._disk.run(remove_unheld, self._scratch.upload(name))
        return reaped


def _check_start(upload: Upload, start: int | None) -> None:
    if start is not None and start != upload.offset:
        raise UploadOffsetMismatch(upload.offset, f"the upload stands at {upload.offset}, not at {start}")


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


async def _chain(head: bytes, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in body:
        yield chunk
