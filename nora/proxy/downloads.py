"""Files: each is fetched once for the whole machine, while everybody who wants it reads along.

In each process one task for each file holds its lock and brings it in, or follows the process that does. The
task belongs to nobody who waits: it goes on when all of them leave, unless much is missing. Then it stops,
and its part stays for who asks next. When the holder stops or dies its followers get the lock, and the first
of them goes on where it ended.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Final

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


_log = logging.getLogger(__name__)

LEFT_SECONDS: Final = 5.0
"""How long nobody has to wait for a file until it counts as left: clients come back with another range."""
MARK_SECONDS: Final = 1.0
"""How often a follower tells the holder that somebody waits."""


@dataclass(slots=True, eq=False)
class _Running:
    """A file on its way in this process."""

    in_flight: InFlightFile
    lock: FetchLock
    task: asyncio.Task[None] | None = None
    leads: bool = False
    """Whether it is this process that brings it in."""
    timer: asyncio.TimerHandle | None = None
    allowed: int = 0
    """Until how many bytes are here it may go on although nobody waits."""


class Downloads:
    """The files that are on their way in this process."""

    def __init__(
        self,
        store: BlobStore,
        scratch: Scratch,
        count: Callable[[str, CacheResult], None],
        refuse: Callable[[FileRequest, NewBlob], None],
        finish_below: float,
        silence_seconds: float,
    ) -> None:
        """`refuse` raises when what has come may not be passed on. What nobody waits for is brought in to
        its end when at most `finish_below` bytes are missing. A process that brings something in, and of
        which nothing is heard for `silence_seconds`, is not waited for."""
        self._silence_seconds = silence_seconds
        self._finish_below = finish_below
        self._refuse = refuse
        self._store = store
        self._scratch = scratch
        self._count = count
        self._running: dict[str, _Running] = {}
        self._stopping: dict[str, asyncio.Task[None]] = {}
        """Who comes now waits until they have let go, instead of reading along what may begin anew."""

    def __len__(self) -> int:
        return len(self._running)

    def has(self, file: FileRequest) -> bool:
        """Whether the file is on its way for somebody else, as far as this process knows."""
        return file.coalescing_key in self._running

    def get(self, file: FileRequest) -> InFlightFile:
        """The file on its way; begun if this process does not know of it yet. Raises TooManyRequests where
        the one who wants it may ask no more of upstreams."""
        running = self._running.get(file.coalescing_key)
        if running is None:
            admit_upstream()
            running = self._begin(file)
        running.in_flight.left_at = asyncio.get_running_loop().time()
        return running.in_flight

    def _begin(self, file: FileRequest) -> _Running:
        in_flight = InFlightFile(self._store, self._scratch.disk)
        path = self._scratch.download(file.coalescing_key)
        lock = FetchLock(self._scratch.disk, path, self._silence_seconds)
        running = self._running[file.coalescing_key] = _Running(in_flight, lock)
        in_flight.left = partial(self._look_later, file, running, LEFT_SECONDS)
        running.task = spawn(self._run(running, file), "bringing in a file")
        return running

    async def close(self) -> None:
        """Leave what is on its way to the other processes."""
        tasks = [one.task for one in self._running.values() if one.task is not None]
        tasks += self._stopping.values()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- what nobody waits for -------------------------------------------------------------------------

    def _look_later(self, file: FileRequest, running: _Running, seconds: float) -> None:
        if running.timer is None and not running.in_flight.over:
            running.allowed = running.in_flight.written + int(min(self._finish_below, 1 << 62))
            running.timer = asyncio.get_running_loop().call_later(seconds, self._look, file, running)

    def _look(self, file: FileRequest, running: _Running) -> None:
        """Stop what nobody has waited for some time, if too much of it is missing."""
        running.timer = None
        in_flight, loop = running.in_flight, asyncio.get_running_loop()
        if in_flight.over or in_flight.is_wanted:
            return  # when it is left again, it is looked at again
        left = in_flight.left_at + LEFT_SECONDS - loop.time()
        if left > 0:
            self._look_later(file, running, left)
        elif self._is_left(running):
            self._stop(file, running)
        else:
            running.timer = loop.call_later(LEFT_SECONDS, self._look, file, running)

    def _is_left(self, running: _Running) -> bool:
        if not running.leads:
            return True
        total, written = running.in_flight.total, running.in_flight.written
        is_long = written > running.allowed if total is None else total - written > self._finish_below
        return is_long and not running.lock.is_marked(LEFT_SECONDS)

    def _stop(self, file: FileRequest, running: _Running) -> None:
        self._running.pop(file.coalescing_key, None)  # who comes now goes on with its part
        if running.leads:
            url = file.addresses[0].url if file.addresses else file.key
            here, total = running.in_flight.written, running.in_flight.total
            _log.info(
                "%s is stopped at %d of %s bytes: nobody waits for it, and more than proxy.finish_below is "
                "missing",
                *(url, here, "unknown" if total is None else total),
            )
        if running.task is not None:
            self._stopping[file.coalescing_key] = running.task
            running.task.cancel()

    # -- bringing in -----------------------------------------------------------------------------------

    async def _run(self, running: _Running, file: FileRequest) -> None:
        work_for_all()
        admit_all()
        in_flight, lock = running.in_flight, running.lock
        try:
            if (before := self._stopping.pop(file.coalescing_key, None)) is not None:
                await asyncio.wait((before,))
            leader = await self._follow(in_flight, lock)
            if leader is None:
                running.leads = True
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
            if self._running.get(file.coalescing_key) is running:
                del self._running[file.coalescing_key]
            if self._stopping.get(file.coalescing_key) is running.task:
                del self._stopping[file.coalescing_key]
            if running.timer is not None:
                running.timer.cancel()
            lock.close()
            if not in_flight.over:
                in_flight.fail(Failure.of(StorageBusy("the file could not be brought in; try again")))

    async def _follow(self, in_flight: InFlightFile, lock: FetchLock) -> LeaderState | None:
        """Watch the holder of the lock until it has ended, or the lock is ours."""
        loop, marked = asyncio.get_running_loop(), -inf
        while True:
            leader = await lock.look()
            if leader is not None:
                self._see(in_flight, lock, leader)
            if leader is None or leader.ended:
                return leader
            if in_flight.is_wanted and loop.time() - marked >= MARK_SECONDS:
                marked = loop.time()
                lock.mark()
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
        if in_flight.begun:
            self._see(in_flight, lock, before)
        mismatch = partial(self._count, file.registry, "mismatch")
        refuse = partial(self._refuse, file)
        download = Download(self._store, self._scratch, file, lock, in_flight, before, mismatch, refuse)
        try:
            await lock.write(before)
            async with lock.beating():
                blob = await file.found() or await download.run()
        except asyncio.CancelledError:
            await uncancellable(_keep_part(download, lock))
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


async def _keep_part(download: Download, lock: FetchLock) -> None:
    """What is written now keeps the state from the sweeper for as long as the part."""
    await download.close(keep=True)
    await lock.write(download.leader)


async def _leave(download: Download, lock: FetchLock, leader: LeaderState) -> None:
    await download.close(keep=False)
    await lock.end(leader)
