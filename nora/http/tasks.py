"""Tasks that outlive the code that started them: kept from the garbage collector, their failures logged.

Some are for one of the processes only: see Exclusive.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from nora.errors import NoraError, StorageBusy
from nora.locks import FileLock

T = TypeVar("T")

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

    def every(self, seconds: float, work: Callable[[], Awaitable[object]], name: str) -> asyncio.Task[None]:
        """As the function `every`, where this process is the one; `name` is that of the lock, too."""
        lock = FileLock(Path(self._folder, name))
        self._locks.append(lock)

        async def turn() -> None:
            if lock.held or lock.acquire(block=False):
                await work()

        return every(seconds, turn, name)

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
