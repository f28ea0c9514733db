"""Whom a proxy repository asks, and how: the network half of the cache.

    upstreams = services.upstreams.of(repository)
    fetch = first_of(upstreams, [f"{one.url}/{name}/" for one in upstreams], headers, parse, max_bytes=2**27)
    document = await services.cache.document(place, policy, fetch)

What is transient (no connection, silence, a cut, 5xx, 429 with a short `Retry-After`) is tried again, within
the time that there is. A host that fails again and again is left alone (breaker.py), and so is an upstream
that says itself when to come back. Credentials are for the upstream's own origin, also along redirects.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nora.config import Upstream as UpstreamSetting
from nora.errors import UpstreamFailed
from nora.outbound import Headers, Outbound, Reply, host_of
from nora.proxy.base import UNCHANGED, Authorization, Fetch, Fetched, Unchanged, Upstream
from nora.proxy.hosts import Hosts
from nora.proxy.retries import Retries
from nora.proxy.upstream import ConfiguredUpstream, Limits
from nora.proxy.upstream_auth import Basic

if TYPE_CHECKING:
    from nora.catalog.records import Cached
    from nora.config import Config
    from nora.model import Repository
    from nora.observability.metrics import Metrics
    from nora.observability.shared_timestamps import SharedTimestamps

_CONDITIONS = {"etag": "if-none-match", "last-modified": "if-modified-since"}

Authorize = Callable[[UpstreamSetting], Authorization]
Parse = Callable[[Reply], Awaitable[Fetched]]


class Upstreams:
    """The upstreams of all proxy repositories, in one worker."""

    def __init__(self, config: Config, outbound: Outbound, hosts: Hosts) -> None:
        self._config = config
        self.outbound = outbound
        """For what the credentials of an upstream have to be asked with: token services."""
        self._hosts = hosts
        self._made: dict[str, tuple[Upstream, ...]] = {}

    @classmethod
    def build(
        cls, config: Config, outbound: Outbound, metrics: Metrics, answers: SharedTimestamps
    ) -> Upstreams:
        """As the configuration has it."""
        return cls(config, outbound, Hosts(metrics, Retries(tries=1 + config.proxy.retries), answers))

    def of(self, repository: Repository, authorize: Authorize | None = None) -> tuple[Upstream, ...]:
        """Whom a proxy repository asks, in this order; nobody while it is offline. Made once, and kept.

        `authorize` makes what says who is asking; by default it is the user and password of the setting.
        """
        if not self.is_online(repository):
            return ()
        found = self._made.get(repository.name)
        if found is None:
            settings = self._config.upstreams_of(repository.name)
            found = tuple(self._make(repository, one, authorize) for one in settings)
            self._made[repository.name] = found
        return found

    def is_online(self, repository: Repository) -> bool:
        """Whether the upstreams of a repository may be asked for anything."""
        return self._config.is_online(repository.name)

    def _make(
        self, repository: Repository, setting: UpstreamSetting, authorize: Authorize | None
    ) -> Upstream:
        return ConfiguredUpstream(
            setting.url,
            Basic(setting.auth) if authorize is None else authorize(setting),
            Limits(
                timeouts=self._config.timeouts_of(repository.format),
                breaker=self._config.circuit_breaker.of(repository.format, setting.url),
                private=self._config.proxy.allow_private,
            ),
            self.outbound,
            self._hosts,
        )


def first_of(
    upstreams: Sequence[Upstream],
    urls: Sequence[str],
    headers: Headers,
    parse: Parse,
    *,
    max_bytes: int,
) -> Fetch:
    """Asks for a document at the url of each upstream, in order, until one has it; the usual Fetch.

    What is cached is revalidated only where it came from, and while that fails nobody behind it is asked: the
    stale copy is better than another's. The document is absent when all say so. Raises UpstreamFailed when
    none has it and one could not be asked. `parse` gets an answer of 2xx; what it returns gets the address
    that was asked, and the validators of the answer.
    """

    async def fetch(cached: Cached | None) -> Fetched | Unchanged | None:
        failed: UpstreamFailed | None = None
        for upstream, url in zip(upstreams, urls, strict=True):
            known = cached if cached is not None and cached.upstream_url == url else None
            try:
                found = await _fetched(upstream, url, headers, known, parse, max_bytes)
            except UpstreamFailed as error:
                if known is not None:
                    raise
                failed = failed or error
            else:
                if found is not None:
                    return found
        if failed is not None:
            raise failed
        return None

    return fetch


async def _fetched(
    upstream: Upstream, url: str, headers: Headers, known: Cached | None, parse: Parse, max_bytes: int
) -> Fetched | Unchanged | None:
    conditions = {} if known is None else _conditions(known.validators)
    reply = await upstream.ask("GET", url, {**headers, **conditions}, max_bytes=max_bytes)
    if reply is None:
        return None
    if reply.status == 304:
        if not conditions:
            raise UpstreamFailed(f"{host_of(url)} answers 304 to what was not asked")
        return UNCHANGED
    fetched = await parse(reply)
    validators = {name: reply.headers[name] for name in _CONDITIONS if name in reply.headers}
    return replace(fetched, upstream_url=url, validators={**validators, **fetched.validators})


def _conditions(validators: Mapping[str, str]) -> Headers:
    return {field: validators[name] for name, field in _CONDITIONS.items() if name in validators}
