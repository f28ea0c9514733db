"""The way of a file from its sources into the store, for the process that holds its claim.

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
from nora.blobs.files import Draft
from nora.blobs.local import algorithms, describe, new_generation
from nora.blobs.threads import to_the_end
from nora.errors import DigestMismatch, NoraError, StorageFailed, UpstreamFailed, UpstreamRefused
from nora.proxy.claims import Word

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from nora.blobs.disk import Inflow
    from nora.blobs.local import LocalBlobStore
    from nora.catalog.records import Blob, NewBlob
    from nora.outbound import Stream
    from nora.proxy.base import Source, Wanted
    from nora.proxy.claims import Claim
    from nora.proxy.filling import Filling

TRIES: Final = 5
"""How often one source is asked for what was cut off, the first time included."""
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


class Pouring:
    """One file from its sources into the store. Use it once, and `close` it."""

    def __init__(
        self,
        store: LocalBlobStore,
        wanted: Wanted,
        claim: Claim,
        filling: Filling,
        before: Word,
        mismatch: Callable[[], None],
    ) -> None:
        """`before` is the word of a holder that died, if there was one; `mismatch` is called when an upstream
        gives something else."""
        self._store = store
        self._mismatch = mismatch
        self._disk = store.disk
        self._wanted = wanted
        self._claim = claim
        self._filling = filling
        self._draft: Draft | None = None
        self._hasher = self._new_hasher()
        self._written = 0
        self.word = before
        """What the others were told."""
        self._patched = False  # the part file holds bytes of more than one answer

    async def run(self) -> Blob | None:
        """The stored blob, or None when all sources say that there is none.

        Raises UpstreamFailed and its kinds, StorageFailed,
        StorageFull, and what `wanted.store` raises.
        """
        await self._disk.run(self._take_over)
        if self._draft is not None:
            self._filling.attempt(self._draft.path, self.word.total)
            self._filling.advance(self._written)
        failed: UpstreamFailed | None = None
        for source in self._wanted.sources:
            try:
                if await self._receive(source):
                    return await to_the_end(self._keep(source))  # clients have it: a stop keeps it, too
            except UpstreamFailed as error:
                _log.info("a file of %s: %s", source.upstream.url, error)
                failed = error
        if failed is not None:
            raise failed
        return None

    async def close(self, *, keep: bool) -> None:
        """Let go of the part file: it stays for the next holder, or goes."""
        if keep and self._draft is not None:
            self._draft.close()
        else:
            await self._forget()

    # -- one source ----------------------------------------------------------------------------------

    async def _receive(self, source: Source) -> bool:
        """Whether the source has it; all of it is in the part file then, and right. Raises UpstreamFailed."""
        failed = UpstreamFailed("the upstream gives no answer")
        for turn in range(TRIES):
            if turn:
                await asyncio.sleep(random.uniform(0.05, 0.1) * 2**turn)  # noqa: S311 - spreads, hides nothing
            offset = self._resumable(source)
            try:
                if not await self._ask(source, offset):
                    return False
                if await self._is_right():
                    return True
                failed = UpstreamFailed("the upstream gives other bytes than were announced")
                _log.warning("%s: %s: %s", source.upstream.url, failed, self._wanted.key)
                self._mismatch()
                again = self._patched  # what was there before may be what is wrong
                await self._forget()
            except _Cut as cut:
                failed, again = cut.error, not self._written or self._resumable(source) > 0
            except UpstreamFailed as error:
                failed, again = error, offset > 0 and not isinstance(error, UpstreamRefused)
                if type(error) is UpstreamFailed:  # it does not resume (416, say): from the beginning
                    await self._forget()
            if not again:
                break
        raise failed

    def _resumable(self, source: Source) -> int:
        """Where to go on, because the bytes so far are known to belong to what comes; else 0."""
        complete = self.word.verified and self._written == self.word.total
        same = self.word.etag and self.word.url == source.url
        return self._written if complete or same or self._wanted.expect.digest is not None else 0

    async def _ask(self, source: Source, offset: int) -> bool:
        """Ask for the file from `offset` on and write what comes; False: it is absent. Raises _Cut when it
        ends in the middle, UpstreamFailed when it does not begin, or is not what was asked for."""
        if offset and offset == self.word.total:
            return True
        headers = dict(source.headers)
        if offset:
            headers["range"] = f"bytes={offset}-"
            if self.word.etag and self.word.url == source.url:
                headers["if-range"] = self.word.etag
        async with source.upstream.stream(source.url, headers, max_bytes=UNLIMITED) as answer:
            if answer is None:
                return False
            await self._accept(source, answer, offset)
            await self._pour(answer)
        return True

    async def _accept(self, source: Source, answer: Stream, offset: int) -> None:
        """What an answer says about itself, checked; and a part file for its bytes."""
        resumed = answer.status == 206
        total = _resumed_total(answer, offset) if resumed else answer.length
        if resumed:
            total = self.word.total if total is None else total
            self._check_same(answer)
        self._check_total(total, self.word.total if resumed else None)
        total = self._wanted.expect.size if total is None else total
        if resumed:
            self._patched = True
        else:
            await self._forget()
            self._draft = Draft(self._store.layout.part(self._claim.path, new_generation()))
            await self._disk.run(self._create, self._draft, total)
        assert self._draft is not None
        etag = answer.headers.get("etag", "")
        self.word = Word(
            attempt=int(self._draft.path.rpartition(".")[2], 16),
            total=total,
            url=source.url,
            etag=etag if etag.startswith('"') else "",
        )
        await self._claim.write(self.word)
        self._filling.attempt(self._draft.path, total)

    def _check_same(self, answer: Stream) -> None:
        """That a part is of the file whose beginning is here: not all servers heed If-Range. Only parts with
        one strong validator belong together (RFC 9110, 15.3.7.3), unless a digest says so in the end."""
        etag = answer.headers.get("etag", self.word.etag)
        if self._wanted.expect.digest is None and etag != self.word.etag:
            raise UpstreamFailed("the upstream answers with a part of another file")

    def _check_total(self, total: int | None, before: int | None) -> None:
        for expected in (self._wanted.expect.size, before):
            if total is not None and expected is not None and total != expected:
                self._mismatch()
                raise UpstreamFailed(f"the upstream announces {total} bytes, not {expected}")
        self._check_size(total or 0)

    def _check_size(self, size: int) -> None:
        if size > self._wanted.max_bytes:
            raise UpstreamFailed(f"the file is larger than the limit of {self._wanted.max_bytes} bytes")

    async def _pour(self, answer: Stream) -> None:
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
                    self._filling.advance(self._written)
                    if showing.done():
                        break
            except _Cut:
                async with turn:
                    await inflow.flush()
                self._filling.advance(self._written)
                raise
            finally:
                showing.cancel()
                await asyncio.gather(showing, return_exceptions=True)  # `flush` raises what it has met
            await inflow.flush()
        self._filling.advance(self._written)

    async def _show(self, inflow: Inflow, turn: asyncio.Lock) -> None:
        """Write what was gathered while no more comes: somebody waits for it."""
        while True:
            await asyncio.sleep(SHOWN_SECONDS)
            async with turn:
                await inflow.flush()
            self._filling.advance(self._written)

    async def _is_right(self) -> bool:
        if self.word.total not in (None, self._written):
            return False
        try:
            self._describe()
        except DigestMismatch:
            return False
        if self._wanted.check is None:
            return True
        assert self._draft is not None
        return await self._disk.run(self._wanted.check, self._draft.path, weight=self._written)

    def _describe(self) -> NewBlob:
        hashes = {name: self._hasher.hexdigest(name) for name in algorithms(self._wanted.expect)}
        hashes["xxh3"] = self._hasher.xxh3()
        return describe(hashes, self._written, self._wanted.expect.digest)

    async def _keep(self, source: Source) -> Blob:
        """Whoever reads may have all of it now; then it becomes durable, and a row says so."""
        assert self._draft is not None
        new = self._describe()
        self._filling.verify()
        self.word = replace(self.word, verified=True, total=self._written)
        await self._claim.write(self.word)
        await self._disk.run(self._store.adopt, self._draft, new)
        try:
            live = await self._wanted.store(new, source)
        except NoraError:
            await self._store.forget(new)
            raise
        if live.generation != new.generation:
            await self._store.forget(new)
        return live

    # -- the part file -------------------------------------------------------------------------------

    def _new_hasher(self) -> Hasher:
        return Hasher(*algorithms(self._wanted.expect))

    def _create(self, draft: Draft, total: int | None) -> None:
        self._disk.require_room(total or 0)
        draft.create()

    def _write(self, data: bytes) -> None:
        assert self._draft is not None
        self._disk.require_room(len(data))
        self._hasher.write(self._draft.fd, data, self._written)
        self._written += len(data)

    def _take_over(self) -> None:
        """Go on with what a holder that died has left."""
        before, self.word = self.word, Word()
        if before.attempt is None:
            return
        draft = Draft(self._store.layout.part(self._claim.path, before.attempt))
        for _ in range(LOCK_TRIES):  # the kernel has freed the claim, and is about to free this
            if draft.open():
                break
            time.sleep(0.005)
        else:
            return
        self._hasher = hash_file(draft.fd, *algorithms(self._wanted.expect))
        if not self._hasher.size:  # nothing was written, or it was swept: another one begins
            draft.discard()
            return
        self._draft, self.word, self._patched = draft, before, True
        self._written = self._hasher.size

    async def _forget(self) -> None:
        """Begin anew. Who reads the part file has it open, and hears of it by the next one's name."""
        draft, self._draft = self._draft, None
        self._hasher, self._written, self.word, self._patched = self._new_hasher(), 0, Word(), False
        if draft is not None and draft.made:
            with suppress(StorageFailed):  # what stays is swept
                await self._disk.run(draft.discard)


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
