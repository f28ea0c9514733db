"""Whom a proxy repository asks, and how: the network half of the cache.

    upstreams = services.upstreams.of(repository)
    fetch = first_of(upstreams, [f"{one.url}/{name}/" for one in upstreams], headers, parse, max_bytes=2**27)
    document = await services.cache.document(place, policy, fetch)

What is transient (no connection, silence, a cut, 5xx, 429 with a short `Retry-After`) is tried again, within
the time that there is. A host that fails again and again is left alone (breaker.py), and so is an upstream
that says itself when to come back. Credentials are for the upstream's own origin, also along redirects.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

from nora.config import Breaker, Timeouts
from nora.config import Upstream as UpstreamSetting
from nora.errors import UpstreamFailed, UpstreamRefused, UpstreamTimeout, UpstreamUnavailable
from nora.observability.upstreams import Outcome
from nora.outbound import Headers, Method, Outbound, Reply, Stream, Terms, host_of, origin
from nora.outbound.faults import check_size, refusal
from nora.outbound.headers import parse_quota
from nora.proxy.base import UNCHANGED, Authorization, Fetch, Fetched, Unchanged, Upstream
from nora.proxy.credentials import Basic
from nora.proxy.hosts import Host, Hosts
from nora.proxy.retries import Retries

if TYPE_CHECKING:
    from nora.catalog.base import Cached
    from nora.config import Config
    from nora.model import Repository
    from nora.observability.metrics import Metrics

ABSENT = frozenset({404, 410, 451})
_CONDITIONS = {"etag": "if-none-match", "last-modified": "if-modified-since"}
LONGEST_HOLD = 60
"""Seconds for which an upstream that says when to come back is not asked, however much longer it said: what
it limits may be limited for one image or account only."""

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
    def build(cls, config: Config, outbound: Outbound, metrics: Metrics) -> Upstreams:
        """As the configuration has it."""
        return cls(config, outbound, Hosts(metrics, Retries(tries=1 + config.proxy.retries)))

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
                is_guarded=not self._config.proxy.allow_private,
            ),
            self.outbound,
            self._hosts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What holds for the requests to one upstream."""

    timeouts: Timeouts
    breaker: Breaker
    is_guarded: bool = True
    """Whether only the upstream itself may be in a private network."""


class ConfiguredUpstream:
    """One upstream of a proxy repository (nora.proxy.base.Upstream)."""

    def __init__(
        self, url: str, authorization: Authorization, limits: Limits, outbound: Outbound, hosts: Hosts
    ) -> None:
        self.url = url
        self._origin = origin(url)
        self._authorization = authorization
        self._limits = limits
        self._outbound = outbound
        self._hosts = hosts
        self._holds: dict[tuple[str, str], tuple[float, UpstreamUnavailable]] = {}

    async def ask(
        self, method: Method, url: str, headers: Headers | None = None, *, max_bytes: int
    ) -> Reply | None:
        """A whole answer: 2xx or 304. None: absent. See nora.proxy.base.Upstream."""
        host = self._hosts.of(url, self._limits.breaker)
        sent = {"accept-encoding": "identity" if method == "HEAD" else "gzip", **(headers or {})}

        async def once() -> Reply:
            async with self._request(host, method, url, sent, max_bytes) as answer:
                if method == "HEAD" or answer.status == 304 or answer.status >= 400:
                    return Reply(answer.status, answer.headers, b"", answer.url)
                return await answer.reply()

        seconds = self._limits.timeouts.total
        with self._held(host, method):
            async with host.place(host.documents, seconds):
                reply = await host.call(once, seconds)
        if reply.status in ABSENT:
            return None
        if not (200 <= reply.status < 300 or reply.status == 304):
            raise _refused(reply.status, reply.url)
        return reply

    @asynccontextmanager
    async def stream(
        self, url: str, headers: Headers | None = None, *, max_bytes: int
    ) -> AsyncIterator[Stream | None]:
        """An answer in pieces: 200 or 206. None: absent. See nora.proxy.base.Upstream."""
        host = self._hosts.of(url, self._limits.breaker)
        sent = {"accept-encoding": "identity", **(headers or {})}
        seconds = self._limits.timeouts.total
        async with AsyncExitStack() as stack:

            async def once() -> Stream:
                return await stack.enter_async_context(self._request(host, "GET", url, sent, max_bytes))

            with self._held(host, "stream"):
                await stack.enter_async_context(host.place(host.files, seconds))
                answer = await host.call(once, seconds)
            if answer.status in ABSENT:
                yield None
                return
            if answer.status != 200 and not (answer.status == 206 and "range" in sent):
                raise _refused(answer.status, answer.url)
            check_size(answer.length or 0, max_bytes, answer.url)
            yield answer

    @asynccontextmanager
    async def _request(
        self, host: Host, method: Method, url: str, headers: Headers, max_bytes: int
    ) -> AsyncIterator[Stream]:
        """An answer that is neither 429 nor 5xx, to a request that carries what the upstream wants to see."""
        is_own = host.origin == self._origin
        for is_last in (False, True):
            credentials = await self._authorization.headers(method, url) if is_own else {}
            async with self._measured(host, method, url, {**headers, **credentials}, max_bytes) as answer:
                if is_last or not is_own or not await self._is_challenged(method, url, answer):
                    yield answer
                    return

    async def _is_challenged(self, method: Method, url: str, answer: Stream) -> bool:
        """Whether it makes sense to ask once more, with other credentials."""
        if answer.status != 401 or origin(answer.url) != self._origin:
            return False
        return await self._authorization.challenged(method, url, answer.values("www-authenticate"))

    @asynccontextmanager
    async def _measured(
        self, host: Host, method: Method, url: str, headers: Headers, max_bytes: int
    ) -> AsyncIterator[Stream]:
        clock = self._hosts.clock
        began = clock()
        async with AsyncExitStack() as stack:
            try:
                opened = self._outbound.open(method, url, self._terms(max_bytes), headers)
                answer = await stack.enter_async_context(opened)
            except BaseException as error:
                host.metrics.observe(_outcome_of(error), clock() - began)
                raise
            host.metrics.observe(_outcome(answer.status), clock() - began)
            host.metrics.note_quota(
                parse_quota(answer.headers.get("ratelimit-limit")),
                parse_quota(answer.headers.get("ratelimit-remaining")),
            )
            failed = refusal(answer.status, answer.headers, answer.url)
            if failed is not None:
                raise failed
            try:
                yield answer
            finally:
                host.metrics.bytes.add(answer.received)

    def _terms(self, max_bytes: int) -> Terms:
        timeouts = self._limits.timeouts
        return Terms(
            connect_seconds=timeouts.connect,
            idle_seconds=timeouts.idle,
            total_seconds=timeouts.total,
            max_bytes=max_bytes,
            given=frozenset({self._origin}),
            is_guarded=self._limits.is_guarded,
        )

    @contextmanager
    def _held(self, host: Host, lane: str) -> Iterator[None]:
        """Do not ask while the upstream has said not to; learn when it says so."""
        now, key = self._hosts.clock(), (host.origin, lane)
        since, error = self._holds.get(key, (now, None))
        if error is not None and now - since < min(error.retry_after, LONGEST_HOLD):
            raise type(error)(str(error), max(1, ceil(error.retry_after - (now - since))))
        self._holds.pop(key, None)
        try:
            yield
        except UpstreamUnavailable as told:
            if told.is_told and told.origin == host.origin:
                self._holds[key] = (self._hosts.clock(), told)
            raise


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


def _refused(status: int, url: str) -> UpstreamFailed:
    if status in (401, 403):
        return UpstreamRefused(f"{host_of(url)} does not let NORA in ({status})")
    return UpstreamFailed(f"{host_of(url)} answers {status}")


def _outcome(status: int) -> Outcome:
    if status in ABSENT:
        return "absent"
    known: dict[int, Outcome] = {304: "unchanged", 429: "limited", 503: "unavailable"}
    return known.get(status, "failed" if status >= 500 else "refused" if status >= 300 else "ok")


def _outcome_of(error: BaseException) -> Outcome:
    if isinstance(error, UpstreamTimeout):
        return "timeout"
    if isinstance(error, UpstreamUnavailable):
        return "unavailable"
    return "failed" if isinstance(error, UpstreamFailed) else "cancelled"
