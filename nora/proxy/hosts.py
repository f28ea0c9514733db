"""The hosts that upstreams are on: how many requests at once, whether they are left alone, what is counted.

One host is one state in this process, whichever repository, format or link leads there. That it
answers again, all processes know at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from nora.config import Breaker as BreakerOptions
from nora.errors import UpstreamFailed, UpstreamLimited, UpstreamTimeout, UpstreamUnavailable
from nora.observability.metrics import Metrics
from nora.observability.shared_timestamps import SharedTimestamps
from nora.observability.upstreams import UpstreamMetrics
from nora.outbound import host_of, hostname_of, origin
from nora.proxy.breaker import Attempt, Breaker, State
from nora.proxy.retries import Retries

T = TypeVar("T")

DOCUMENTS = 32
"""Documents that are asked of one host at once."""
FILES = 64
"""Files that come from one host at once."""
SILENCE_SECONDS = 5.0
"""A host that was given less before the client's own deadline was there is not one that did not answer."""
MAX_HOSTS = 1024
MAX_NAMES = 64
"""Hosts that metrics name. The documents of an upstream may name any number of them."""


class Host:
    """One origin. The breaker looks at what was asked for, not at each try of it."""

    def __init__(self, url: str, breaker: Breaker, retries: Retries, metrics: UpstreamMetrics) -> None:
        self.origin = origin(url)
        self.name = host_of(url)
        self.breaker = breaker
        self.metrics = metrics
        self.documents = asyncio.Semaphore(DOCUMENTS)
        self.files = asyncio.Semaphore(FILES)
        self._retries = retries

    @asynccontextmanager
    async def place(self, lane: asyncio.Semaphore, seconds: float) -> AsyncIterator[float]:
        """A place among those who ask at once; what is left of the seconds.

        Raises UpstreamUnavailable when none gets free in time.
        """
        until = self._retries.clock() + seconds
        try:
            async with asyncio.timeout(seconds):
                await lane.acquire()
        except TimeoutError as error:
            raise UpstreamUnavailable(f"too many requests to {self.name} are under way") from error
        try:
            yield until - self._retries.clock()
        finally:
            lane.release()

    async def call(
        self,
        resource: str,
        work: Callable[[Attempt], Awaitable[T]],
        seconds: float,
        *,
        whole: float,
        retries: bool = True,
    ) -> T:
        """What `work` returns, with `retries` tried again where that may help. What it returns was an answer;
        it notes on the attempt that one has begun. `whole` is the time for an answer, of which the client may
        have left only `seconds`.

        Raises UpstreamFailed and its kinds; UpstreamUnavailable at once while the host is left alone.
        """
        with self.breaker.attempt(resource) as attempt:
            try:
                async with asyncio.timeout(seconds):
                    may = partial(self._may_retry, attempt) if retries else _never
                    found = await self._retries.run(partial(work, attempt), seconds, may)
            except TimeoutError as error:
                if not attempt.has_begun and seconds >= min(SILENCE_SECONDS, whole / 2):
                    attempt.failed()
                raise UpstreamTimeout(f"{self.name} did not answer within {seconds:g} s") from error
            except UpstreamFailed as error:
                if isinstance(error, UpstreamLimited):
                    attempt.succeeded()
                elif error.origin == self.origin:
                    attempt.failed(is_unreachable=error.is_unreachable)
                raise
            attempt.succeeded()
            return found

    def _may_retry(self, attempt: Attempt) -> bool:
        """Not with the one request that finds out, and not when others have found out meanwhile."""
        if attempt.is_probe or self.breaker.state is not State.CLOSED:
            return False
        self.metrics.retries.add()
        return True


def _never() -> bool:
    return False


class Hosts:
    """The hosts of this process, made when they are first asked."""

    def __init__(self, metrics: Metrics, retries: Retries, answers: SharedTimestamps) -> None:
        self.clock = retries.clock
        self._answers = answers
        self._metrics = metrics
        self._retries = retries
        self._hosts: dict[str, Host] = {}
        self._names: set[str] = set()

    def of(self, url: str, settings: BreakerOptions) -> Host:
        """The host of a URL; `settings` are used when it is new. Raises UpstreamFailed."""
        try:
            key = origin(url)
        except ValueError as error:
            raise UpstreamFailed(f"the address of {host_of(url)} is not one that can be asked") from error
        found = self._hosts.get(key)
        if found is None:
            self._make_room()
            found = self._hosts[key] = self._make(url, settings)
        return found

    def _make(self, url: str, settings: BreakerOptions) -> Host:
        metrics = UpstreamMetrics(self._metrics, self._label(hostname_of(url)))
        breaker = Breaker(
            host_of(url),
            settings.failure_threshold if settings.enabled else 0,
            settings.reset_timeout,
            clock=self.clock,
            changed=metrics.breaker.set,
            rejected=metrics.rejections.add,
            answered=self._answers.of(origin(url)),
        )
        return Host(url, breaker, self._retries, metrics)

    def _make_room(self) -> None:
        """Forget the oldest that is not left alone; whoever still asks it has it."""
        if len(self._hosts) >= MAX_HOSTS:
            closed = (key for key, host in self._hosts.items() if host.breaker.state is State.CLOSED)
            del self._hosts[next(closed, next(iter(self._hosts)))]

    def _label(self, name: str) -> str:
        if name not in self._names and len(self._names) >= MAX_NAMES:
            return "other"
        self._names.add(name)
        return name
