"""Waiting for what comes in a moment: by a deadline that a busy machine keeps, never by a number of tries.

    await until(lambda: not left(server), "nothing temporary", seen=lambda: left(server))

A moment may be long where many processes share two cores, and a failure is to say what did not come.
"""

from __future__ import annotations

import inspect

# Tests play with the clock and the sleep of these modules: here they are the real ones.
from asyncio import sleep as pause
from collections.abc import Awaitable, Callable
from time import monotonic, sleep
from typing import Any, TypeVar, overload

PATIENCE_SECONDS = 60.0
SHORTEST_SECONDS, LONGEST_SECONDS = 0.001, 0.05
"""Between two looks: the first come soon, and who waits long leaves the processor to others."""

Found = TypeVar("Found")
Look = Callable[[], object]
"""What is there instead, for the message."""


def wait_until(
    condition: Callable[[], Found],
    what: str,
    *,
    seen: Look | None = None,
    seconds: float = PATIENCE_SECONDS,
) -> Found:
    """Look until `condition` is true, and return what it gave.

    `what` is waited for; `seen` says afterwards what was there, without it the last value does.
    Raises AssertionError after `seconds`, and whatever `condition` raises at once.
    """
    deadline, rest = monotonic() + seconds, SHORTEST_SECONDS
    while not (found := condition()):
        if monotonic() > deadline:
            raise _late(what, seconds, seen() if seen else found)
        sleep(rest)
        rest = min(2 * rest, LONGEST_SECONDS)
    return found


@overload
async def until(
    condition: Callable[[], Awaitable[Found]], what: str, *, seen: Look | None = None, seconds: float = ...
) -> Found: ...
@overload
async def until(
    condition: Callable[[], Found], what: str, *, seen: Look | None = None, seconds: float = ...
) -> Found: ...
async def until(
    condition: Callable[[], Any],
    what: str,
    *,
    seen: Look | None = None,
    seconds: float = PATIENCE_SECONDS,
) -> Any:
    """The same in a loop, which goes on meanwhile; `condition` may be a coroutine function."""
    deadline, rest = monotonic() + seconds, SHORTEST_SECONDS
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        if monotonic() > deadline:
            raise _late(what, seconds, seen() if seen else found)
        await pause(rest)
        rest = min(2 * rest, LONGEST_SECONDS)


def _late(what: str, seconds: float, seen: object) -> AssertionError:
    return AssertionError(f"waited {seconds:g} s for {what}; seen last: {seen}")
