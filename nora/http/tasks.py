"""Tasks that outlive the code that started them: kept from the garbage collector, their failures logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from nora.errors import StorageBusy

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


async def _repeat(seconds: float, work: Callable[[], Awaitable[object]], name: str) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except StorageBusy as error:
            _log.info("%s: %s; trying again later", name, error)
        except Exception:  # noqa: BLE001 - the next turn may succeed
            _log.exception("%s failed; trying again in %.0f s", name, seconds)


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("%s failed", task.get_name(), exc_info=error)
