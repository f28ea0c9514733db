"""One upstream: what it answers, what is tried again, and what it is told about who asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, TypeVar

from nora.config import Breaker, Timeouts
from nora.errors import (
    UpstreamFailed,
    UpstreamLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from nora.observability.traces import upstream_span
from nora.observability.upstreams import Outcome
from nora.outbound import Headers, Method, Outbound, Reply, Stream, Terms, host_of, hostname_of, origin
from nora.outbound.faults import check_size, refusal, transient
from nora.outbound.headers import parse_quota
from nora.proxy.base import Authorization
from nora.proxy.breaker import Attempt
from nora.proxy.hosts import Host, Hosts
from nora.resolve.deadline import seconds_left

if TYPE_CHECKING:
    from nora.catalog.records import Cached

T = TypeVar("T")

ABSENT = frozenset({404, 410})
_CONDITIONS = frozenset({"if-none-match", "if-modified-since"})
LONGEST_HOLD = 60
"""Seconds for which an upstream that says when to come back is not asked, and for which clients are told to
wait, however much longer it said: what it limits may be limited for one image or account only."""

MAX_HOLDS = 256
"""Hosts, or resources, of which is remembered that they are not asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What holds for the requests to one upstream."""

    timeouts: Timeouts
    breaker: Breaker
    private: tuple[str, ...] = ()
    """Hosts beside the upstream itself that may be in a private network: see `Terms.private`."""
    given: frozenset[str] = frozenset()
    """Origins of the source beside this one: its mirrors."""
    absent: frozenset[int] = frozenset()
    """Statuses beside `ABSENT` by which it says that it has nothing."""
    headers: Headers = field(default_factory=dict)
    """Sent with each request to the upstream itself."""
    has_credentials: bool = False
    """Whether it is told who asks."""
    head_seconds: float | None = None
    """How long an answer may take to begin where a mirror is asked otherwise: instead of another try."""


REACHED = "reached"
PRIVATE = "private"
"""What stands beside the validators of a document that came from a private network: it outlives the process
that asked, and is about this answer, whatever the name of the upstream leads to later."""


def is_inside(document: Cached) -> bool:
    """Whether what a document names may be in a private network."""
    return document.validators.get(REACHED) == PRIVATE


def validators_of(answer: Reply | Stream) -> dict[str, str]:
    """What is kept of an answer to ask with the next time, and whether it came from a private network."""
    found = {name: answer.headers[name] for name in ("etag", "last-modified") if name in answer.headers}
    return {**found, REACHED: PRIVATE} if answer.is_inside else found


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
        hosts.of(url, limits.breaker)  # metrics name it from the beginning
        self._holds: dict[tuple[str, str, str], tuple[float, UpstreamUnavailable]] = {}
        """By origin, lane and resource; no resource: all of them. What 429 says is said of the client, what
        503 says is said of what was asked for."""
        self._inside = False

    def hurried(self, head_seconds: float) -> ConfiguredUpstream:
        """The same, to be asked before a mirror is."""
        found = copy(self)
        found._limits = replace(self._limits, head_seconds=head_seconds)
        return found

    def naming(self, document: Cached) -> ConfiguredUpstream:
        """See nora.proxy.base.Upstream."""
        if not is_inside(document):
            return self
        found = copy(self)  # with the same credentials and limits
        found._inside = True
        return found

    async def ask(
        self, method: Method, url: str, headers: Headers | None = None, *, max_bytes: int, body: bytes = b""
    ) -> Reply | None:
        """A whole answer: 2xx or 304. None: absent. See nora.proxy.base.Upstream."""
        host = self._hosts.of(url, self._limits.breaker)
        sent = {"accept-encoding": "identity" if method == "HEAD" else "gzip", **(headers or {})}

        async def once(attempt: Attempt) -> Reply:
            async with self._request(host, method, url, sent, max_bytes, body) as answer:
                attempt.has_begun = True
                if method == "HEAD" or answer.status == 304 or answer.status >= 400:
                    return Reply(answer.status, answer.headers, b"", answer.url, answer.is_inside)
                return await answer.reply()

        with self._held(host, method, url):
            async with host.place(host.documents, self._seconds()) as seconds:
                reply = await self._call(host, url, once, seconds)
        if self._is_absent(reply.status):
            return None
        if reply.status == 304 and _CONDITIONS.isdisjoint(sent):
            raise UpstreamFailed(f"{host_of(url)} answers 304 to what was not asked")
        if not (200 <= reply.status < 300 or reply.status == 304) or reply.status == 206:
            raise self._refused(reply.status, reply.url)
        return reply

    @asynccontextmanager
    async def stream(
        self, url: str, headers: Headers | None = None, *, max_bytes: int
    ) -> AsyncIterator[Stream | None]:
        """An answer in pieces: 200, 206 or 304. None: absent. See nora.proxy.base.Upstream."""
        host = self._hosts.of(url, self._limits.breaker)
        sent = {"accept-encoding": "identity", **(headers or {})}
        async with AsyncExitStack() as stack:

            async def once(_: Attempt) -> Stream:
                return await stack.enter_async_context(self._request(host, "GET", url, sent, max_bytes))

            with self._held(host, "stream", url):
                place = host.place(host.files, self._seconds())
                seconds = await stack.enter_async_context(place)
                answer = await self._call(host, url, once, seconds)
            if self._is_absent(answer.status):
                yield None
                return
            is_part = answer.status == 206 and "range" in sent
            is_unchanged = answer.status == 304 and not _CONDITIONS.isdisjoint(sent)
            if answer.status != 200 and not is_part and not is_unchanged:
                raise self._refused(answer.status, answer.url)
            check_size(answer.length or 0, max_bytes, answer.url)
            yield answer

    async def _call(self, host: Host, url: str, once: Callable[[Attempt], Awaitable[T]], seconds: float) -> T:
        limits = self._limits
        whole, may_retry = limits.timeouts.total, limits.head_seconds is None
        return await host.call(url, once, seconds, whole=whole, retries=may_retry)

    def _seconds(self) -> float:
        """How long there is for all tries. Raises UpstreamTimeout where the client has waited long enough."""
        timeouts = self._limits.timeouts
        left = min(timeouts.total, seconds_left(timeouts.answer))
        if left <= 0:
            raise UpstreamTimeout(f"no time is left to ask {host_of(self.url)}: see proxy.answer_timeout")
        return left

    def _refused(self, status: int, url: str) -> UpstreamFailed:
        """The error of a status that is none of those that are understood, with what can be done."""
        host = host_of(url)
        if status not in (401, 403):
            return UpstreamFailed(f"{host} answers {status}")
        if origin(url) != self._origin:
            return UpstreamRefused(f"{host} refuses ({status}); credentials are for the upstream itself only")
        if self._limits.has_credentials:
            what = "does not take" if status == 401 else "does not let in"
            return UpstreamRefused(
                f"{host} {what} the credentials of the upstream ({status}); they are wrong, "
                "or may not read this"
            )
        return UpstreamRefused(
            f"{host} wants credentials ({status}), and the upstream has none: username and password, or token"
        )

    def _is_absent(self, status: int) -> bool:
        return status in ABSENT or status in self._limits.absent

    @asynccontextmanager
    async def _request(
        self, host: Host, method: Method, url: str, headers: Headers, max_bytes: int, body: bytes = b""
    ) -> AsyncIterator[Stream]:
        """An answer that is neither 429 nor 5xx, to a request that carries what the upstream wants to see."""
        is_own = host.origin == self._origin
        for is_last in (False, True):
            own = {**self._limits.headers, **await self._authorization.headers(method, url)} if is_own else {}
            async with self._measured(host, method, url, {**headers, **own}, max_bytes, body) as answer:
                if is_last or not is_own or not await self._is_challenged(method, url, answer):
                    yield answer
                    return

    async def _is_challenged(self, method: Method, url: str, answer: Stream) -> bool:
        """Whether it makes sense to ask once more, with other credentials."""
        if answer.status != 401 or origin(answer.url) != self._origin:
            return False
        challenges = answer.values("www-authenticate")
        return await self._authorization.challenged(method, url, challenges, is_inside=answer.is_inside)

    @asynccontextmanager
    async def _measured(
        self, host: Host, method: Method, url: str, headers: Headers, max_bytes: int, body: bytes
    ) -> AsyncIterator[Stream]:
        clock = self._hosts.clock
        began = clock()
        async with AsyncExitStack() as stack:
            span = stack.enter_context(upstream_span(method, hostname_of(url)))
            if span is not None:
                headers = {**headers, "traceparent": span.traceparent}
            try:
                opened = self._outbound.open(method, url, self._terms(max_bytes), headers, body)
                async with asyncio.timeout(self._limits.head_seconds):
                    answer = await stack.enter_async_context(opened)
            except TimeoutError as error:
                host.metrics.observe("timeout", clock() - began)
                late = UpstreamTimeout(f"{host_of(url)} did not answer in time for its mirrors to be asked")
                raise transient(late, url) from error
            except BaseException as error:
                host.metrics.observe(_outcome_of(error), clock() - began)
                raise
            host.metrics.observe(_outcome(answer.status), clock() - began)
            if span is not None:
                span.attributes["http.response.status_code"] = answer.status
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
                if answer.is_broken:
                    host.metrics.broken.add()

    def _terms(self, max_bytes: int) -> Terms:
        timeouts = self._limits.timeouts
        return Terms(
            connect_seconds=timeouts.connect,
            idle_seconds=timeouts.idle,
            total_seconds=timeouts.total,
            max_bytes=max_bytes,
            given=self._limits.given | {self._origin},
            private=self._limits.private,
            inside=self._inside,
        )

    @contextmanager
    def _held(self, host: Host, lane: str, url: str) -> Iterator[None]:
        """Do not ask while the upstream has said not to; learn when it says so."""
        now = self._hosts.clock()
        for key in ((host.origin, lane, ""), (host.origin, lane, url)):
            since, error = self._holds.get(key, (now, None))
            if error is not None and now - since < error.retry_after:
                raise type(error)(str(error), max(1, ceil(error.retry_after - (now - since))))
            self._holds.pop(key, None)
        try:
            yield
        except UpstreamUnavailable as told:
            if told.is_told and told.origin == host.origin:
                told.retry_after = min(told.retry_after, LONGEST_HOLD)
                resource = "" if isinstance(told, UpstreamLimited) else url
                self._note_hold((host.origin, lane, resource), told)
            raise

    def _note_hold(self, key: tuple[str, str, str], told: UpstreamUnavailable) -> None:
        now = self._hosts.clock()
        if len(self._holds) >= MAX_HOLDS:  # pages name any number of hosts
            for one in [one for one, held in self._holds.items() if now - held[0] >= held[1].retry_after]:
                del self._holds[one]
        if len(self._holds) < MAX_HOLDS:
            self._holds[key] = (now, type(told)(str(told), told.retry_after))  # who catches it may change it


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
