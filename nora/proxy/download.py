"""The way of a file from its addresses into the store, for the process that holds its lock.

The bytes go into a part file while they are hashed. What was cut off is resumed with Range and If-Range, as
long as a digest or a strong validator says that the rest belongs to what is there; where nothing does, or the
upstream begins anew, the part file is another one and who has read of the first is cut off. A source that
gives wrong bytes is left for the next one, from the beginning.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nora._speedups import Hasher, hash_file
from nora.blobs.base import forget
from nora.blobs.files import LockedTempFile
from nora.blobs.hashes import algorithms, describe, new_generation
from nora.blobs.threads import uncancellable
from nora.errors import DigestMismatch, NoraError, StorageFailed, UpstreamFailed, UpstreamRefused
from nora.proxy.base import Received
from nora.proxy.fetch_lock import LeaderState
from nora.proxy.upstream import validators_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from nora.blobs.base import BlobStore
    from nora.blobs.disk import Inflow
    from nora.blobs.scratch import Scratch
    from nora.catalog.records import Blob, NewBlob
    from nora.outbound import Headers, Stream
    from nora.proxy.base import Address, FileRequest
    from nora.proxy.fetch_lock import FetchLock
    from nora.proxy.in_flight import InFlightFile

TRIES: Final = 5
"""How often one source is asked for what was cut off, the first time included."""
RETRY_SECONDS = (0.05, 0.1)
"""Between which the first wait is; each is twice the one before."""
SHOWN_SECONDS: Final = 0.02
"""What has come can be read after so long; what comes faster is gathered."""
LOCK_TRIES: Final = 200
UNLIMITED: Final = 1 << 62


_log = logging.getLogger(__name__)


class _Cut(Exception):
    """The source ended in the middle."""

    def __init__(self, error: UpstreamFailed) -> None:
        super().__init__(str(error))
        self.error = error


class Download:
    """One file from its addresses into the store. Use it once, and `close` it."""

    def __init__(
        self,
        store: BlobStore,
        scratch: Scratch,
        file: FileRequest,
        lock: FetchLock,
        in_flight: InFlightFile,
        before: LeaderState,
        mismatch: Callable[[], None],
        refuse: Callable[[NewBlob], None],
    ) -> None:
        """`before` is the state of a holder that died, if there was one; `mismatch` is called when an
        upstream gives something else, `refuse` raises when what it gave may not be passed on."""
        self._refuse = refuse
        self._store = store
        self._mismatch = mismatch
        self._scratch, self._disk = scratch, scratch.disk
        self._file = file
        self._lock = lock
        self._in_flight = in_flight
        self._temp: LockedTempFile | None = None
        self._hasher = self._new_hasher()
        self._written = 0
        self.leader = before
        """What the others were told."""
        self._received = Received("")
        self._patched = False  # the part file holds bytes of more than one answer
        self._answered: Headers = {}  # by the last answer

    async def run(self) -> Blob | None:
        """The stored blob, or None when all say that there is none.

        Raises UpstreamFailed and its kinds, StorageFailed,
        StorageFull, and what `wanted.store` raises.
        """
        await self._disk.run(self._take_over)
        # Who comes now sees what was there before once the upstream goes on with it: it may begin anew
        if self._temp is not None and (self._in_flight.begun or self._written == self.leader.total):
            self._in_flight.attempt(self._temp.path, self.leader.total)
            self._in_flight.advance(self._written)
        failed: UpstreamFailed | None = None
        for address in self._file.addresses:
            if failed is not None:
                _log.warning("%s; %s is asked instead", failed, address.upstream.url)
            try:
                if await self._receive(address):
                    return await uncancellable(self._keep())  # clients have it: a stop keeps it, too
            except UpstreamFailed as error:
                failed = error
        if failed is not None:
            raise failed
        return None

    async def close(self, *, keep: bool) -> None:
        """Let go of the part file: it stays for the next holder, if that one can go on with it, or goes."""
        can_go_on = self._file.expect.digest is not None or bool(self.leader.etag)
        if keep and can_go_on and self._temp is not None:
            self._temp.close()
        else:
            await self._forget()

    # -- one source ----------------------------------------------------------------------------------

    async def _receive(self, address: Address) -> bool:
        """Whether the source has it; all of it is in the part file then, and right. Raises UpstreamFailed."""
        failed = UpstreamFailed("the upstream gives no answer")
        for turn in range(TRIES):
            if turn:
                await asyncio.sleep(random.uniform(*RETRY_SECONDS) * 2**turn)  # noqa: S311 - spreads, hides nothing
            offset = self._resumable(address)
            try:
                if not await self._ask(address, offset):
                    return False
                if await self._is_right(address):
                    return True
                failed = UpstreamFailed("the upstream gives other bytes than were announced")
                _log.warning("%s: %s: %s", address.upstream.url, failed, self._file.key)
                self._mismatch()
                # What was there before may be what is wrong, or what it is compared with
                again = self._patched or (self._file.confirm is not None and not turn)
                await self._forget()
            except _Cut as cut:
                failed, again = cut.error, not self._written or self._resumable(address) > 0
            except UpstreamFailed as error:
                failed, again = error, offset > 0 and not isinstance(error, UpstreamRefused)
                if type(error) is UpstreamFailed:  # it does not resume (416, say): from the beginning
                    await self._forget()
            if not again:
                break
        raise failed

    def _resumable(self, address: Address) -> int:
        """Where to go on, because the bytes so far are known to belong to what comes; else 0."""
        complete = self.leader.verified and self._written == self.leader.total
        same = self.leader.etag and self.leader.url == address.url
        return self._written if complete or same or self._file.expect.digest is not None else 0

    async def _ask(self, address: Address, offset: int) -> bool:
        """Ask for the file from `offset` on and write what comes; False: it is absent. Raises _Cut when it
        ends in the middle, UpstreamFailed when it does not begin, or is not what was asked for."""
        if offset and offset == self.leader.total:
            self._received = Received(address.url)
            return True
        headers = dict(address.headers)
        if offset:
            headers["range"] = f"bytes={offset}-"
            if self.leader.etag and self.leader.url == address.url:
                headers["if-range"] = self.leader.etag
        async with address.upstream.stream(address.url, headers, max_bytes=UNLIMITED) as answer:
            if answer is None:
                return False
            await self._accept(address, answer, offset)
            await self._write_answer(answer)
        return True

    async def _accept(self, address: Address, answer: Stream, offset: int) -> None:
        """What an answer says about itself, checked; and a part file for its bytes."""
        resumed = answer.status == 206
        self._answered = answer.headers
        total = _resumed_total(answer, offset) if resumed else answer.length
        if resumed:
            total = self.leader.total if total is None else total
            self._check_same(answer)
        self._check_total(total, self.leader.total if resumed else None)
        self._check_end(answer)
        total = self._file.expect.size if total is None else total
        if resumed:
            self._patched = True
        else:
            await self._forget()
            self._temp = LockedTempFile(self._scratch.part(self._lock.path, new_generation()))
            await self._disk.run(self._create, self._temp, total)
        assert self._temp is not None
        etag = answer.headers.get("etag", "")
        self.leader = LeaderState(
            attempt=int(self._temp.path.rpartition(".")[2], 16),
            total=total,
            url=address.url,
            etag=etag if etag.startswith('"') else "",
        )
        self._received = Received(address.url, validators_of(answer))
        await self._lock.write(self.leader)
        self._in_flight.attempt(self._temp.path, total)

    def _check_same(self, answer: Stream) -> None:
        """That a part is of the file whose beginning is here: not all servers heed If-Range. Only parts with
        one strong validator belong together (RFC 9110, 15.3.7.3), unless a digest says so in the end."""
        etag = answer.headers.get("etag", self.leader.etag)
        if self._file.expect.digest is None and etag != self.leader.etag:
            raise UpstreamFailed("the upstream answers with a part of another file")

    def _check_total(self, total: int | None, before: int | None) -> None:
        for expected in (self._file.expect.size, before):
            if total is not None and expected is not None and total != expected:
                self._mismatch()
                raise UpstreamFailed(f"the upstream announces {total} bytes, not {expected}")
        self._check_size(total or 0)

    def _check_end(self, answer: Stream) -> None:
        """That it can be told in the end whether all of the file has come."""
        file = self._file
        is_known = file.expect.digest is not None or file.expect.size is not None or file.check is not None
        if not (is_known or answer.is_delimited):
            raise UpstreamRefused(
                "the upstream does not say where the file ends (no Content-Length), and no hash or size "
                "of it is known: what is cut off could not be told from the whole"
            )

    def _check_size(self, size: int) -> None:
        if size > self._file.max_bytes:
            raise UpstreamFailed(f"the file is larger than the limit of {self._file.max_bytes} bytes")

    async def _write_answer(self, answer: Stream) -> None:
        """Write what comes. What came before the source was cut off is kept."""
        received = self._written
        async with self._disk.inflow(self._write) as inflow, aclosing(_pieces(answer)) as pieces:
            turn = asyncio.Lock()
            showing = asyncio.get_running_loop().create_task(self._show(inflow, turn))
            try:
                async for piece in pieces:
                    received += len(piece)
                    self._check_size(received)
                    async with turn:
                        await inflow.push(piece)
                    self._in_flight.advance(self._written)
                    if showing.done():
                        break
            except _Cut:
                async with turn:
                    await inflow.flush()
                self._in_flight.advance(self._written)
                raise
            finally:
                showing.cancel()
                await asyncio.gather(showing, return_exceptions=True)  # `flush` raises what it has met
            await inflow.flush()
        self._in_flight.advance(self._written)

    async def _show(self, inflow: Inflow, turn: asyncio.Lock) -> None:
        """Write what was gathered while no more comes: somebody waits for it."""
        while True:
            await asyncio.sleep(SHOWN_SECONDS)
            async with turn:
                await inflow.flush()
            self._in_flight.advance(self._written)

    async def _is_right(self, address: Address) -> bool:
        if self.leader.total not in (None, self._written):
            return False
        try:
            new = self._describe()
            if self._file.confirm is not None:
                await self._file.confirm(new, address, self._answered)
        except DigestMismatch:
            return False
        if self._file.check is None:
            return True
        assert self._temp is not None
        return await self._disk.run(self._file.check, self._temp.path, weight=self._written)

    def _describe(self) -> NewBlob:
        hashes = {name: self._hasher.hexdigest(name) for name in algorithms(self._file.expect)}
        hashes["xxh3"] = self._hasher.xxh3()
        return describe(hashes, self._written, self._file.expect.digest)

    async def _keep(self) -> Blob:
        """Whoever reads may have all of it now; then it becomes durable, and a row says so."""
        assert self._temp is not None
        new = self._describe()
        self._refuse(new)
        self._in_flight.verify()
        self.leader = replace(self.leader, verified=True, total=self._written)
        await self._lock.write(self.leader)
        await self._store.adopt(self._temp, new)
        try:
            live = await self._file.store(new, self._received)
        except NoraError as error:
            await forget(self._store, new, error)
            raise
        return await self._store.settle(new, live)

    # -- the part file -------------------------------------------------------------------------------

    def _new_hasher(self) -> Hasher:
        return Hasher(*algorithms(self._file.expect))

    def _create(self, temp: LockedTempFile, total: int | None) -> None:
        self._disk.require_room(total or 0)
        temp.create()

    def _write(self, data: bytes) -> None:
        assert self._temp is not None
        self._disk.require_room(len(data))
        self._hasher.write(self._temp.fd, data, self._written)
        self._written += len(data)

    def _take_over(self) -> None:
        """Go on with what a holder that died has left."""
        before, self.leader = self.leader, LeaderState()
        if before.attempt is None:
            return
        temp = LockedTempFile(self._scratch.part(self._lock.path, before.attempt))
        for _ in range(LOCK_TRIES):  # the kernel has freed the lock, and is about to free this
            if temp.open():
                break
            time.sleep(0.005)
        else:
            return
        self._hasher = hash_file(temp.fd, *algorithms(self._file.expect))
        if not self._hasher.size:  # nothing was written, or it was swept: another one begins
            temp.discard()
            return
        self._temp, self.leader, self._patched = temp, before, True
        self._written = self._hasher.size

    async def _forget(self) -> None:
        """Begin anew. Who reads the part file has it open, and hears of it by the next one's name."""
        temp, self._temp = self._temp, None
        self._hasher, self._written, self.leader, self._patched = self._new_hasher(), 0, LeaderState(), False
        if temp is not None and temp.made:
            with suppress(StorageFailed):  # what stays is swept
                await self._disk.run(temp.discard)


async def _pieces(answer: Stream) -> AsyncGenerator[bytes, None]:
    try:
        async for piece in answer:
            yield piece
    except UpstreamFailed as error:
        raise _Cut(error) from error


def _resumed_total(answer: Stream, offset: int) -> int | None:
    """The size of the whole of which a part comes (RFC 9110, 14.4); None when the answer does not say."""
    found = answer.range
    if found is None or not offset or found[0] != offset:
        raise UpstreamFailed("the upstream answers with another part than was asked for")
    return found[2]
