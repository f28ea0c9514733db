"""How the sources of proxy repositories are asked: the network half of the cache.

    upstream = services.upstreams.of(candidate.source)
    fetch = document_fetch(upstream, f"{upstream.url}/{name}/", headers, parse, max_bytes=2**27)
    document = await services.cache.document(key, policy, fetch)

What is transient (no connection, silence, a cut, 5xx, 429 with a short `Retry-After`) is tried again, within
the time that there is; then the mirrors of the source are tried. A host that fails again and again is left
alone (breaker.py), and so is one that says itself when to come back. Credentials are for the addresses that
the operator wrote down, also along redirects.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nora.blobs.base import Expect
from nora.config import Upstream as UpstreamSetting
from nora.errors import UpstreamFailed
from nora.outbound import Headers, Method, Outbound, Reply, Stream, host_of, origin
from nora.proxy.base import UNCHANGED, Authorization, Fetch, Fetched, Unchanged, Upstream
from nora.proxy.hosts import Hosts
from nora.proxy.mirrors import MirroredUpstream
from nora.proxy.retries import Retries
from nora.proxy.upstream import PRIVATE, REACHED, ConfiguredUpstream, Limits, is_inside, validators_of
from nora.proxy.upstream_auth import StaticAuthorization

if TYPE_CHECKING:
    from nora.catalog.records import Cached
    from nora.config import Config
    from nora.observability.metrics import Metrics
    from nora.observability.shared_timestamps import SharedTimestamps
    from nora.resolve.sources import Source

BEFORE_LAST = 0.4
"""The part of the time for an answer in which all addresses of a source but the last one have to begin it."""
_CONDITIONS = {"etag": "if-none-match", "last-modified": "if-modified-since"}
"""Validators, and what is asked with them."""

Authorize = Callable[[UpstreamSetting, Outbound], Authorization]
"""Makes what says who is asking, for one address; the setting's `url` is that address."""
Parse = Callable[[Reply], Awaitable[Fetched]]


class OfflineUpstream:
    """A source that is not to be asked: what is not here is not there (nora.proxy.base.Upstream). Whoever
    forgets to look whether it may be asked connects to nobody all the same."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def ask(
        self, method: Method, url: str, headers: Headers | None = None, *, max_bytes: int, body: bytes = b""
    ) -> Reply | None:
        """See nora.proxy.base.Upstream."""
        return None

    @asynccontextmanager
    async def stream(
        self, url: str, headers: Headers | None = None, *, max_bytes: int
    ) -> AsyncIterator[Stream | None]:
        """See nora.proxy.base.Upstream."""
        yield None

    def naming(self, document: Cached) -> Upstream:
        """See nora.proxy.base.Upstream."""
        return self


class Upstreams:
    """The upstreams of all proxy repositories, in one worker."""

    def __init__(self, config: Config, outbound: Outbound, hosts: Hosts) -> None:
        self._config = config
        self._outbound = outbound
        self._hosts = hosts
        self._made: dict[int, Upstream] = {}
        self._trusting: dict[Path, Outbound] = {}
        """For sources with authorities of their own."""

    @classmethod
    def build(
        cls, config: Config, outbound: Outbound, metrics: Metrics, answers: SharedTimestamps
    ) -> Upstreams:
        """As the configuration has it."""
        return cls(config, outbound, Hosts(metrics, Retries(tries=1 + config.proxy.retries), answers))

    def of(self, source: Source, authorize: Authorize | None = None) -> Upstream:
        """Who is asked of a source. Made once, and kept.

        `authorize` makes what says who is asking; by default it is what the setting has, as it is.
        """
        found = self._made.get(source.id)
        if found is None:
            found = self._made[source.id] = self._make(source, authorize or _static)
        return found

    async def close(self) -> None:
        """Let go of connections that are this object's own."""
        await asyncio.gather(*(one.close() for one in self._trusting.values()))

    def _make(self, source: Source, authorize: Authorize) -> Upstream:
        setting = source.setting
        if not self._config.is_online(source.proxy):
            authorize(setting, self._outbound)  # a format may rely on having been asked for it
            return OfflineUpstream(setting.url)
        addresses = [setting, *(replace(setting, url=mirror) for mirror in setting.mirrors)]
        given = frozenset(origin(one.url) for one in addresses)
        made = [self._address(source, one, given, authorize) for one in addresses]
        if len(made) == 1:
            return made[0]
        seconds = self._config.proxy.answer_timeout * BEFORE_LAST / (len(made) - 1)
        return MirroredUpstream(made, [one.hurried(seconds) for one in made])

    def _address(
        self, source: Source, setting: UpstreamSetting, given: frozenset[str], authorize: Authorize
    ) -> ConfiguredUpstream:
        config, kind = self._config, source.repository.format
        timeouts = config.timeouts_of(kind)
        outbound = self._outbound_of(setting)
        private = config.proxy.allow_private if setting.allow_private is None else setting.allow_private
        return ConfiguredUpstream(
            setting.url,
            authorize(setting, outbound),
            Limits(
                timeouts=timeouts if setting.timeout is None else replace(timeouts, total=setting.timeout),
                breaker=config.circuit_breaker.of(kind, setting.url),
                private=private,
                given=given,
                absent=frozenset(setting.absent or ()),
                headers=dict(setting.headers),
                has_credentials=setting.auth is not None
                or setting.token is not None
                or "authorization" in dict(setting.headers),
            ),
            outbound,
            self._hosts,
        )

    def _outbound_of(self, setting: UpstreamSetting) -> Outbound:
        if setting.ca_cert is None:
            return self._outbound
        found = self._trusting.get(setting.ca_cert)
        if found is None:
            found = self._trusting[setting.ca_cert] = Outbound(setting.ca_cert, self._config.tls.ca_cert)
        return found


def _static(setting: UpstreamSetting, _: Outbound) -> Authorization:
    return StaticAuthorization(setting)


def document_fetch(upstream: Upstream, url: str, headers: Headers, parse: Parse, *, max_bytes: int) -> Fetch:
    """Asks an upstream for the document at a URL, conditionally when there is a copy of it.

    `parse` gets an answer of 2xx; what it returns gets the address that was asked, and the validators of the
    answer. The document is absent when the upstream says so. Raises UpstreamFailed.
    """

    async def fetch(cached: Cached | None) -> Fetched | Unchanged | None:
        conditions = _conditions(cached, url)
        reply = await upstream.ask("GET", url, {**headers, **conditions}, max_bytes=max_bytes)
        if reply is None:
            return None
        if reply.status == 304:
            return _unchanged(cached, conditions, reply)
        fetched = await parse(reply)
        validators = {**validators_of(reply), **fetched.validators}
        return replace(fetched, upstream_url=url, validators=validators)

    return fetch


def file_fetch(
    upstream: Upstream,
    url: str,
    headers: Headers,
    *,
    media_type: str,
    max_bytes: int,
    also: tuple[str, ...] = (),
) -> Fetch:
    """As `document_fetch`, for a file that may change: its bytes are stored as they come, of any size, with
    the hashes that `also` names.

    Raises UpstreamFailed, also where nobody could tell whether all of it has come.
    """

    async def fetch(cached: Cached | None) -> Fetched | Unchanged | None:
        conditions = _conditions(cached, url)
        async with AsyncExitStack() as stack:
            opened = upstream.stream(url, {**headers, **conditions}, max_bytes=max_bytes)
            answer = await stack.enter_async_context(opened)
            if answer is None:
                return None
            if answer.status == 304:
                return _unchanged(cached, conditions, answer)
            if not answer.is_delimited:
                raise UpstreamFailed(f"{host_of(url)} does not say where the file ends (no Content-Length)")
            return Fetched(
                body=answer,
                media_type=media_type,
                upstream_url=url,
                validators=validators_of(answer),
                expect=Expect(size=answer.length, also=also),
                close=stack.pop_all().aclose,
            )

    return fetch


def _conditions(cached: Cached | None, url: str) -> Headers:
    """What a question for what is cached asks: nothing, where that came from elsewhere."""
    if cached is None or cached.upstream_url != url:
        return {}
    validators = cached.validators
    return {field: validators[name] for name, field in _CONDITIONS.items() if name in validators}


def _unchanged(cached: Cached | None, conditions: Headers, answer: Reply | Stream) -> Unchanged:
    if not conditions:
        raise UpstreamFailed(f"{host_of(answer.url)} answers 304 to what was not asked")
    assert cached is not None
    if is_inside(cached) == answer.is_inside:
        return UNCHANGED
    return Unchanged({**cached.validators, REACHED: PRIVATE if answer.is_inside else ""})
