"""Asking again what may be answered the next time: back-off with full jitter, while there is time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from nora.errors import UpstreamFailed, UpstreamLimited, UpstreamUnavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often, and how soon. Seconds everywhere."""

    tries: int = 3
    """With the first one."""
    first: float = 0.2
    """The longest pause before the second try; it doubles from try to try."""
    longest: float = 2.0
    max_wait: int = 3
    """The longest `Retry-After` that is waited for here; whoever must wait longer is told so."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    random: Callable[[], float] = random.random

    def pause(self, error: UpstreamFailed, failed: int) -> float | None:
        """How long to wait after the try with this number, counted from 1; None: it was the last one."""
        if not error.transient or failed >= self.tries:
            return None
        spread = self.random() * min(self.longest, self.first * 2 ** (failed - 1))
        if isinstance(error, UpstreamUnavailable) and error.is_told:
            return error.retry_after + spread if error.retry_after <= self.max_wait else None
        return None if isinstance(error, UpstreamLimited) else spread

    async def run(self, work: Callable[[], Awaitable[T]], seconds: float, may: Callable[[], bool]) -> T:
        """What `work` returns, tried within `seconds` as long as `may` agrees. Raises what it raised last."""
        until = self.clock() + seconds
        failed = 0
        while True:
            try:
                return await work()
            except UpstreamFailed as error:
                failed += 1
                wait = self.pause(error, failed)
                if wait is None or self.clock() + wait >= until or not may():
                    error.transient = False  # whoever called is not to begin again
                    raise
            await self.sleep(wait)
