"""Whether the upstreams of a configuration can be asked, and are what they are taken for: each is asked once
(a mirror, too), with the credentials, authorities and limits of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from nora import __version__
from nora._speedups import COMPILED
from nora.config import Config, repository_specs
from nora.errors import UpstreamFailed
from nora.formats import discover
from nora.model import Repository
from nora.observability.metrics import Metrics
from nora.observability.shared import SharedMemory
from nora.outbound import Outbound
from nora.proxy.upstreams import Upstreams
from nora.resolve import Source

SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Checked:
    """An address that was asked."""

    proxy: str
    url: str
    problem: str
    """What is wrong, and what to do; empty when nothing is."""


async def check_upstreams(config: Config) -> list[Checked]:
    """Ask all of them at once; those of proxies that are offline are not asked."""
    outbound, memory = Outbound(config.tls.ca_cert), SharedMemory(1)
    metrics = Metrics(memory, 0, version=__version__, compiled=COMPILED)
    upstreams = Upstreams.build(config, outbound, metrics, memory.answers)
    try:
        return await asyncio.gather(*(_checked(config, upstreams, one) for one in _sources(config)))
    finally:
        await upstreams.close()
        await outbound.close()


def _sources(config: Config) -> Iterator[Source]:
    """Each address as a source of its own."""
    numbers = count(1)
    for spec in repository_specs(config):
        if spec.kind == "proxy" and config.is_online(spec.name):
            for setting in config.upstreams_of(spec.name):
                for url in (setting.url, *setting.mirrors):
                    rows = Repository(next(numbers), spec.name, spec.format, "proxy")
                    yield Source(rows, spec.name, replace(setting, url=url, mirrors=()), str, (), ())


async def _checked(config: Config, upstreams: Upstreams, source: Source) -> Checked:
    look = next(one.check_upstream for one in discover() if one.name == source.repository.format)
    problem = ""
    try:
        async with asyncio.timeout(SECONDS):
            if look is not None:
                problem = await look(config, upstreams, source)
    except UpstreamFailed as error:
        problem = str(error)
    except TimeoutError:
        problem = f"it did not answer within {SECONDS:g} seconds"
    return Checked(source.proxy, source.setting.url, problem)
