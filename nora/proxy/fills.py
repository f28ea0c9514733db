"""Files: each is fetched once for the whole machine, while everybody who wants it reads along.

In each process one task for each file holds its claim and brings it in, or follows the process that does. The
task belongs to nobody who waits: it goes on when all of them leave. When the holder dies its followers get
the claim, and the first of them goes on where it ended.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from nora.blobs.threads import to_the_end
from nora.errors import NoraError, StorageBusy
from nora.http.tasks import spawn
from nora.proxy.claims import POLL_SECONDS, Claim, Failure, Word
from nora.proxy.filling import Filling
from nora.proxy.pouring import Pouring

if TYPE_CHECKING:
    from collections.abc import Callable

    from nora.blobs.local import LocalBlobStore
    from nora.observability.metrics import CacheResult
    from nora.proxy.base import Wanted


class Fills:
    """The files that are on their way in this process."""

    def __init__(self, store: LocalBlobStore, count: Callable[[str, CacheResult], None]) -> None:
        self._store = store
        self._count = count
        self._running: dict[str, tuple[Filling, asyncio.Task[None]]] = {}

    def has(self, wanted: Wanted) -> bool:
        """Whether the file is on its way for somebody else, as far as this process knows."""
        return wanted.errand in self._running

    def get(self, wanted: Wanted) -> Filling:
        """The file on its way; begun if this process does not know of it yet."""
        running = self._running.get(wanted.errand)
        if running is None:
            filling = Filling(self._store, self._store.disk)
            task = spawn(self._run(filling, wanted), "bringing in a file")
            running = self._running[wanted.errand] = filling, task
        return running[0]

    async def close(self) -> None:
        """Leave what is on its way to the other processes."""
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, filling: Filling, wanted: Wanted) -> None:
        claim = Claim(self._store.disk, self._store.layout.fill(wanted.errand))
        try:
            word = await self._follow(filling, claim)
            if word is None:
                await self._lead(filling, claim, wanted)
            elif word.failure is not None:
                filling.fail(word.failure)
            else:
                blob = await wanted.find()
                if blob is None and word.state == "done":
                    raise StorageBusy("what was cached was removed at once; try again")
                filling.settle(blob)
        except NoraError as error:
            filling.fail(Failure.of(error))
        finally:
            self._running.pop(wanted.errand, None)
            claim.close()
            if not filling.over:
                filling.fail(Failure.of(StorageBusy("the file could not be brought in; try again")))

    async def _follow(self, filling: Filling, claim: Claim) -> Word | None:
        """Watch the holder of the claim until it ends, which is its last word, or the claim is ours."""
        while True:
            word = await claim.look()
            if word is not None:
                self._see(filling, claim, word)
            if word is None or word.ended:
                return word
            await asyncio.sleep(POLL_SECONDS)

    def _see(self, filling: Filling, claim: Claim, word: Word) -> None:
        if word.attempt is not None:
            path = self._store.layout.part(claim.path, word.attempt)
            filling.follow(path, word.total, verified=word.verified)

    async def _lead(self, filling: Filling, claim: Claim, wanted: Wanted) -> None:
        """Bring the file in, unless another process did in the moment before the claim was ours."""
        before = claim.read()
        if before is None or before.ended:
            before = Word()
        self._see(filling, claim, before)
        pouring = Pouring(
            self._store, wanted, claim, filling, before, lambda: self._count(wanted.registry, "mismatch")
        )
        try:
            await claim.write(before)
            blob = await wanted.found() or await pouring.run()
        except asyncio.CancelledError:
            await to_the_end(pouring.close(keep=True))
            raise
        except Exception as error:
            failure = Failure.of(error)
            await to_the_end(_leave(pouring, claim, Word(state="failed", failure=failure)))
            filling.fail(failure)
            raise
        await to_the_end(
            _leave(
                pouring, claim, Word(state="absent") if blob is None else replace(pouring.word, state="done")
            )
        )
        filling.settle(blob)


async def _leave(pouring: Pouring, claim: Claim, word: Word) -> None:
    await pouring.close(keep=False)
    await claim.end(word)
