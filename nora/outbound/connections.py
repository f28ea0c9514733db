"""The connections of a worker, and where they lead."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nora import __version__
from nora.addresses import Reach, reach_of, reach_of_name
from nora.errors import UpstreamFailed, UpstreamTimeout, UpstreamUnavailable
from nora.outbound.answers import Reply, Stream
from nora.outbound.faults import check_size, refusal, transient, translated
from nora.outbound.guard import out_of_reach
from nora.outbound.terms import PORTS, Headers, Method, Terms, host_of, origin

if TYPE_CHECKING:
    import httpcore
    import httpx

MAX_REDIRECTS = 5
MAX_CONNECTIONS = 512
"""Whoever asks one host often bounds that itself; this is what a worker may have open at all."""
KEPT_CONNECTIONS = 32
KEPT_SECONDS = 30.0
USER_AGENT = f"nora/{__version__}"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CREDENTIALS = ("authorization", "cookie", "proxy-authorization")


class Outbound:
    """The connections of one worker. Use it from one event loop, and `close` it."""

    def __init__(self, *ca_certs: Path | None, direct: Collection[str] = ()) -> None:
        """`ca_certs` are PEM files of authorities that are trusted beside those of the system; `direct` are
        hosts that are never asked through a proxy."""
        self._ca_certs = ca_certs
        self._direct = direct
        self._pools: dict[tuple[str | None, Reach], httpcore.AsyncConnectionPool] = {}
        self._preparing = asyncio.Lock()

    def prepare(self) -> None:
        """Load what the first request needs: a quarter of a second, before anybody waits for it."""
        import httpx  # noqa: F401

        import nora.outbound.network
        import nora.outbound.tunnels  # noqa: F401

        _ = self._trust

    async def get(self, url: str, terms: Terms, headers: Headers | None = None) -> Reply:
        """A document. Conditional when `headers` has `if-none-match` or `if-modified-since`.

        Raises UpstreamFailed and its kinds: for no answer, one that is too large, 429 and 5xx.
        """
        return await self._document("GET", url, terms, headers or {})

    async def head(self, url: str, terms: Terms, headers: Headers | None = None) -> Reply:
        """As `get`, without the body."""
        return await self._document("HEAD", url, terms, headers or {})

    @asynccontextmanager
    async def stream(self, url: str, terms: Terms, headers: Headers | None = None) -> AsyncIterator[Stream]:
        """A body of any length, uncompressed unless `headers` asks otherwise. Raises as `get` does."""
        async with self.open("GET", url, terms, {"accept-encoding": "identity", **(headers or {})}) as answer:
            _check(answer)
            check_size(answer.length or 0, terms.max_bytes, answer.url)
            yield answer

    @asynccontextmanager
    async def open(
        self, method: Method, url: str, terms: Terms, headers: Headers, body: bytes = b""
    ) -> AsyncIterator[Stream]:
        """An answer of any status, its body not yet read. For whoever sees to what a status means.

        Raises UpstreamFailed and its kinds for no answer. It is not timed beyond `terms.idle_seconds`. A
        POST, whose `body` says what is asked, is not redirected.
        """
        answer = await self._follow(method, url, terms, headers, body)
        try:
            yield answer
            await answer.drain()
        finally:
            await answer.close()

    async def post(self, url: str, terms: Terms, headers: Headers, body: bytes) -> int:
        """Hand over a document; the status of the answer, whatever it is. Raises UpstreamFailed and its kinds
        for none."""
        try:
            async with (
                asyncio.timeout(terms.total_seconds),
                self.open("POST", url, terms, headers, body) as answer,
            ):
                return answer.status
        except TimeoutError as error:
            message = f"{host_of(url)} did not answer within {terms.total_seconds:g} s"
            raise transient(UpstreamTimeout(message), url) from error

    async def close(self) -> None:
        """Close what is open."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.aclose()

    async def _document(self, method: Method, url: str, terms: Terms, headers: Headers) -> Reply:
        headers = {"accept-encoding": "gzip", **headers}
        try:
            async with (
                asyncio.timeout(terms.total_seconds),
                self.open(method, url, terms, headers) as answer,
            ):
                _check(answer)
                return await answer.reply()
        except TimeoutError as error:
            message = f"{host_of(url)} did not answer within {terms.total_seconds:g} s"
            raise transient(UpstreamTimeout(message), url) from error

    async def _follow(
        self, method: Method, url: str, terms: Terms, headers: Headers, body: bytes = b""
    ) -> Stream:
        """The answer at the end of all redirects, its body not yet read."""
        await self._prepared()
        headers = {"user-agent": USER_AGENT, **headers}
        url = _resolved(url)
        for _ in range(MAX_REDIRECTS + 1):
            response, is_inside = await self._send(method, url, terms, headers, body)
            answer = Stream(response, method, url, terms.max_bytes, is_inside=is_inside)
            target = answer.headers.get("location")
            if answer.status not in _REDIRECTS or target is None or method == "POST":
                return answer
            try:
                await answer.drain()
            finally:
                await answer.close()
            after = _resolved(url, target)
            if origin(after) != origin(url):
                headers = {name: value for name, value in headers.items() if name not in _CREDENTIALS}
            url, terms = after, replace(terms, inside=is_inside)
        raise UpstreamFailed(f"{host_of(url)} redirects more than {MAX_REDIRECTS} times")

    async def _prepared(self) -> None:
        """What `prepare` does, where nobody did it before: in a thread, so that others are answered."""
        if "_trust" not in vars(self):
            async with self._preparing:
                if "_trust" not in vars(self):
                    await asyncio.to_thread(self.prepare)

    async def _send(
        self, method: Method, url: str, terms: Terms, headers: Headers, body: bytes
    ) -> tuple[httpcore.Response, bool]:
        """An answer, and whether what it names may be in a private network: see `Stream.is_inside`."""
        import httpcore
        import httpx

        timeouts = dict.fromkeys(("connect", "pool"), terms.connect_seconds)
        timeouts |= dict.fromkeys(("read", "write"), terms.idle_seconds)
        with translated(url):
            raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
            request = httpx.Request(method, url, headers=raw, content=body or None)
            target = request.url
            proxy = self._proxy_of(target)
            pool = self._pool(target.host, proxy, terms.reach(url))
            response = await pool.handle_async_request(
                httpcore.Request(
                    method,
                    httpcore.URL(
                        scheme=target.raw_scheme,
                        host=target.raw_host,
                        port=target.port,
                        target=target.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=body or None,
                    extensions={"timeout": timeouts},
                )
            )
            # Not where `private` alone lets it be: the operator lets others lead there, and no further.
            is_trusted = terms.inside or terms.names(url)
            return response, is_trusted and _reached(response, target.host, proxy) is not Reach.PUBLIC

    def _pool(self, host: str, proxy: str | None, reach: Reach) -> httpcore.AsyncConnectionPool:
        """The connections to where a host is; those that were checked when they were made are kept apart."""
        import httpcore

        from nora.outbound.network import Network
        from nora.outbound.tunnels import TunnelPool

        if proxy is not None and (there := reach_of_name(host)) > reach:
            raise out_of_reach(host, host, there)
        found = self._pools.get((proxy, reach))
        if found is None:
            pool = httpcore.AsyncConnectionPool if proxy is None else TunnelPool
            found = self._pools[proxy, reach] = pool(
                ssl_context=self._trust,
                proxy=None if proxy is None else _proxy(proxy, self._trust),
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=KEPT_CONNECTIONS,
                keepalive_expiry=KEPT_SECONDS,
                network_backend=Network(reach if proxy is None else Reach.ANYWHERE),
            )
        return found

    def _proxy_of(self, target: httpx.URL) -> str | None:
        """The proxy for a target, as the environment has it."""
        from urllib import request

        if target.host in self._direct:
            return None
        found = self._proxies.get(target.scheme) or self._proxies.get("all")
        port = target.port or PORTS[target.scheme]
        if not found or request.proxy_bypass_environment(f"{target.host}:{port}", self._proxies):  # type: ignore[attr-defined]
            return None
        return found if "://" in found else f"http://{found}"

    @cached_property
    def _proxies(self) -> dict[str, str]:
        from urllib import request

        return request.getproxies_environment()

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return trust_store(*self._ca_certs)


def trust_store(*ca_certs: Path | None) -> ssl.SSLContext:
    """The authorities that are trusted: the system's, certifi's where the system has none, and those of
    `ca_certs`. Raises OSError (ssl.SSLError is one) when a file cannot be used."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not (paths.capath and any(Path(paths.capath).iterdir())):
        import certifi

        context.load_verify_locations(certifi.where())
    for ca_cert in ca_certs:
        if ca_cert is not None:
            context.load_verify_locations(ca_cert)
    return context


def _proxy(url: str, trust: ssl.SSLContext) -> httpcore.Proxy:
    import httpcore
    import httpx

    parsed = httpx.URL(url)
    if parsed.scheme not in PORTS:
        raise UpstreamUnavailable(f"the outbound proxy is {parsed.scheme}; expected http or https")
    address = httpcore.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=b"/")
    auth = (parsed.username, parsed.password) if parsed.username or parsed.password else None
    return httpcore.Proxy(address, auth=auth, ssl_context=trust if parsed.scheme == "https" else None)


def _reached(response: httpcore.Response, host: str, proxy: str | None) -> Reach:
    """Where the host that answered is. Behind a proxy only the proxy knows, unless it is an address."""
    if proxy is not None:
        return reach_of_name(host)
    address = response.extensions["network_stream"].get_extra_info("server_addr")
    return reach_of(address) if address else Reach.PUBLIC


def _resolved(url: str, location: str = "") -> str:
    """Where a URL, or a redirect from it, leads: without user and fragment. Raises UpstreamFailed."""
    import httpx

    with translated(url):
        before = httpx.URL(url)
        after = before.join(location).copy_with(userinfo=b"", fragment=None)
        secure = after.scheme == "https" or before.scheme == "http"
    if after.scheme not in PORTS or not after.host or not secure:
        raise UpstreamFailed(f"{host_of(url)} leads to where NORA does not follow")
    return str(after)


def _check(answer: Stream) -> None:
    failed = refusal(answer.status, answer.headers, answer.url)
    if failed is not None:
        raise failed
