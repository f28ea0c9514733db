"""Files: each is fetched once for the whole machine, while everybody who wants it reads along.

In each process one task for each file holds its lock and brings it in, or follows the process that does. The
task belongs to nobody who waits: it goes on when all of them leave. When the holder dies its followers get
the lock, and the first of them goes on where it ended.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from nora.blobs.threads import uncancellable
from nora.errors import NoraError, StorageBusy
from nora.http.limits import admit_all, admit_upstream
from nora.http.tasks import spawn
from nora.proxy.download import Download
from nora.proxy.fetch_lock import POLL_SECONDS, Failure, FetchLock, LeaderState
from nora.proxy.in_flight import InFlightFile
from nora.resolve.deadline import work_for_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from nora.blobs.base import BlobStore
    from nora.blobs.scratch import Scratch
    from nora.catalog.records import NewBlob
    from nora.observability.metrics import CacheResult
    from nora.proxy.base import FileRequest


class Downloads:
    """The files that are on their way in this process."""

    def __init__(
        self,
        store: BlobStore,
        scratch: Scratch,
        count: Callable[[str, CacheResult], None],
        refuse: Callable[[FileRequest, NewBlob], None],
    ) -> None:
        """`refuse` raises when what has come may not be passed on."""
        self._refuse = refuse
        self._store = store
        self._scratch = scratch
        self._count = count
        self._running: dict[str, tuple[InFlightFile, asyncio.Task[None]]] = {}

    def has(self, file: FileRequest) -> bool:
        """Whether the file is on its way for somebody else, as far as this process knows."""
        return file.coalescing_key in self._running

    def get(self, file: FileRequest) -> InFlightFile:
        """The file on its way; begun if this process does not know of it yet. Raises TooManyRequests where
        the one who wants it may ask no more of upstreams."""
        running = self._running.get(file.coalescing_key)
        if running is None:
            admit_upstream()
            in_flight = InFlightFile(self._store, self._scratch.disk)
            task = spawn(self._run(in_flight, file), "bringing in a file")
            running = self._running[file.coalescing_key] = in_flight, task
        return running[0]

    async def close(self) -> None:
        """Leave what is on its way to the other processes."""
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, in_flight: InFlightFile, file: FileRequest) -> None:
        work_for_all()
        admit_all()
        lock = FetchLock(self._scratch.disk, self._scratch.download(file.coalescing_key))
        try:
            leader = await self._follow(in_flight, lock)
            if leader is None:
                await self._lead(in_flight, lock, file)
            elif leader.failure is not None:
                in_flight.fail(leader.failure)
            else:
                blob = await file.find()
                if blob is None and leader.state == "done":
                    raise StorageBusy("what was cached was removed at once; try again")
                in_flight.finish(blob)
        except NoraError as error:
            in_flight.fail(Failure.of(error))
        finally:
            self._running.pop(file.coalescing_key, None)
            lock.close()
            if not in_flight.over:
                in_flight.fail(Failure.of(StorageBusy("the file could not be brought in; try again")))

    async def _follow(self, in_flight: InFlightFile, lock: FetchLock) -> LeaderState | None:
        """Watch the holder of the lock until it has ended, or the lock is ours."""
        while True:
            leader = await lock.look()
            if leader is not None:
                self._see(in_flight, lock, leader)
            if leader is None or leader.ended:
                return leader
            await asyncio.sleep(POLL_SECONDS)

    def _see(self, in_flight: InFlightFile, lock: FetchLock, leader: LeaderState) -> None:
        if leader.attempt is not None:
            path = self._scratch.part(lock.path, leader.attempt)
            in_flight.follow(path, leader.total, verified=leader.verified)

    async def _lead(self, in_flight: InFlightFile, lock: FetchLock, file: FileRequest) -> None:
        """Bring the file in, unless another process did in the moment before the lock was ours."""
        before = lock.read()
        if before is None or before.ended:
            before = LeaderState()
        self._see(in_flight, lock, before)
        mismatch = partial(self._count, file.registry, "mismatch")
        refuse = partial(self._refuse, file)
        download = Download(self._store, self._scratch, file, lock, in_flight, before, mismatch, refuse)
        try:
            await lock.write(before)
            blob = await file.found() or await download.run()
        except asyncio.CancelledError:
            await uncancellable(download.close(keep=True))
            raise
        except Exception as error:
            failure = Failure.of(error)
            await uncancellable(_leave(download, lock, LeaderState(state="failed", failure=failure)))
            in_flight.fail(failure)
            raise
        await uncancellable(
            _leave(
                download,
                lock,
                LeaderState(state="absent") if blob is None else replace(download.leader, state="done"),
            )
        )
        in_flight.finish(blob)


async def _leave(download: Download, lock: FetchLock, leader: LeaderState) -> None:
    await download.close(keep=False)
    await lock.end(leader)
