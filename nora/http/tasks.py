"""Tasks that outlive the code that started them: kept from the garbage collector, their failures logged.

Some are for one of the processes only: see Exclusive.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from nora.errors import NoraError, StorageBusy
from nora.http.jobs import Job, JobRecords
from nora.locks import FileLock

T = TypeVar("T")

LOOK_SECONDS: Final = 60.0
"""Between looks at whether something is due."""

_log = logging.getLogger(__name__)
_running: set[asyncio.Task[Any]] = set()


def spawn(work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """Run `work` beside everything else. An exception of it is logged under `name`."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    _running.add(task)
    task.add_done_callback(_finished)
    return task


def every(seconds: float, work: Callable[[], Awaitable[object]], name: str) -> asyncio.Task[None]:
    """Run `work` again and again, `seconds` after it ended; a failure is logged and does not end it."""
    return spawn(_repeat(seconds, work, name), name)


class Exclusive:
    """Work that one of all processes does: whichever holds the lock of its name, for as long as it lives.

    The others look at their next turn whether the holder is gone; the kernel frees the lock of a process that
    was killed. A lock is a file in `folder`, which exists: all processes of a data directory are on one
    machine.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._locks: list[FileLock] = []
        self._records = JobRecords(Path(folder))
        self._spacing: dict[str, float] = {}

    def every(self, seconds: float, work: Callable[[], Awaitable[object]], name: str) -> asyncio.Task[None]:
        """As the function `every`, where this process is the one; `name` is that of the lock, too. A text
        that `work` gives says what came of it."""
        lock = FileLock(Path(self._folder, name))
        self._locks.append(lock)
        self._spacing[name] = seconds

        async def turn() -> None:
            if lock.held or lock.acquire(block=False):
                await self._noted(work, name)

        return every(seconds, turn, name)

    def when_due(
        self, seconds: float, work: Callable[[], Awaitable[object]], name: str
    ) -> asyncio.Task[None]:
        """As `every`, but `seconds` after it was done last, by whatever process: a server that is restarted
        each night does it all the same, and the first one soon after its start."""
        lock = FileLock(Path(self._folder, name))
        self._locks.append(lock)
        self._spacing[name] = seconds

        async def turn() -> None:
            if not (lock.held or lock.acquire(block=False)):
                return
            last = await asyncio.to_thread(self._records.last, name)
            now = time.time()
            # What ended in the future did so by a clock that was wrong
            if last is None or not 0 <= now - last.ended_at < seconds:
                await self._noted(work, name)

        return every(min(LOOK_SECONDS, seconds), turn, name)

    async def _noted(self, work: Callable[[], Awaitable[object]], name: str) -> None:
        began_at = time.time()
        try:
            result = await work()
        except Exception as error:
            told = str(error) if isinstance(error, NoraError) else type(error).__name__
            await asyncio.to_thread(self._records.note, name, began_at, told)
            raise
        told = result if isinstance(result, str) else ""
        await asyncio.to_thread(self._records.note, name, began_at, result=told)

    def jobs(self) -> tuple[Job, ...]:
        """What is done, and when it was done last, by whichever process: for a thread."""
        return tuple(Job(name, every, self._records.last(name)) for name, every in self._spacing.items())

    def close(self) -> None:
        """Let another process take over. The tasks have ended."""
        for lock in self._locks:
            lock.close()


async def _repeat(seconds: float, work: Callable[[], Awaitable[object]], name: str) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except StorageBusy as error:
            _log.info("%s: %s; trying again later", name, error)
        except NoraError as error:
            _log.warning("%s: %s; trying again in %.0f s", name, error, seconds)
        except Exception:  # noqa: BLE001 - the next turn may succeed
            _log.exception("%s failed; trying again in %.0f s", name, seconds)


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("%s failed", task.get_name(), exc_info=error)
