"""Upstreams of tests: the real ones, with time that passes by sleeping only and metrics that can be read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nora.config import Breaker, Timeouts
from nora.config import Upstream as UpstreamSetting
from nora.errors import UpstreamFailed
from nora.observability.metrics import Metrics
from nora.observability.shared import SharedMemory
from nora.outbound import Headers, Outbound
from nora.proxy.base import Authorization, Upstream
from nora.proxy.hosts import Hosts
from nora.proxy.retries import Retries
from nora.proxy.upstream_auth import StaticAuthorization
from nora.proxy.upstreams import ConfiguredUpstream, Limits

T = TypeVar("T")
LIMIT = 10_000


@dataclass
class World:
    """What a worker has, for one run of an event loop."""

    timeouts: Timeouts = field(default_factory=lambda: Timeouts(5, 5, 20))
    breaker: Breaker = field(default_factory=lambda: Breaker(True, 2, 30))
    private: tuple[str, ...] = ()
    tries: int = 3
    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.memory = SharedMemory(1)
        self.metrics = Metrics(self.memory, 0, version="1", compiled=False)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        async def body() -> T:
            self.outbound = Outbound()
            retries = Retries(tries=self.tries, clock=self.clock, sleep=self.sleep, random=lambda: 1.0)
            self.hosts = Hosts(self.metrics, retries, self.memory.answers)
            try:
                return await work()
            finally:
                await self.outbound.close()

        return asyncio.run(body())

    def clock(self) -> float:
        return self.now

    def upstream(
        self, url: str, auth: str | None = None, authorization: Authorization | None = None
    ) -> ConfiguredUpstream:
        limits = Limits(timeouts=self.timeouts, breaker=self.breaker, private=self.private)
        setting = UpstreamSetting(url, auth=auth)
        return ConfiguredUpstream(
            url,
            authorization or StaticAuthorization(setting),
            limits,
            self.outbound,
            self.hosts,
        )

    def value(self, name: str, **labels: str) -> float:
        """A sample of the metrics page; 0 where there is none."""
        for family in text_string_to_metric_families(self.metrics.render(0).decode()):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return 0.0

    def outcomes(self, host: str = "127.0.0.1") -> dict[str, float]:
        """Requests to a host by what became of them."""
        return {
            sample.labels["outcome"]: sample.value
            for family in text_string_to_metric_families(self.metrics.render(0).decode())
            for sample in family.samples
            if sample.name == "nora_upstream_requests_total" and sample.labels["host"] == host
        }


async def read(one: Upstream, url: str, headers: Headers | None = None, limit: int = LIMIT) -> bytes | None:
    async with one.stream(url, headers, max_bytes=limit) as answer:
        return None if answer is None else b"".join([piece async for piece in answer])


async def failing(work: Awaitable[object]) -> UpstreamFailed:
    with pytest.raises(UpstreamFailed) as failed:
        await work
    return failed.value
