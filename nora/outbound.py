"""Every HTTP request that NORA makes itself goes through here; the only import of httpx, on first use.

    reply = await outbound.get("https://issuer.example.com/keys", Terms(max_bytes=65536))
    async with outbound.stream(url, terms) as answer:
        async for piece in answer: ...

The trust store is the system's plus `tls.ca_cert`. An outbound proxy comes from HTTP_PROXY, HTTPS_PROXY,
ALL_PROXY and NO_PROXY. Redirects are followed here, each one checked: never from https to http, and
credentials never to another origin (scheme, host, port).

**Private networks.** What the operator wrote down (`Terms.given`) may be anywhere. Everything else - where a
redirect leads, what a document of an upstream names - must be public: its name is resolved once, and the
connection is made to the address that was checked, so that a second resolution cannot answer otherwise.
Behind an outbound proxy names are the proxy's to resolve; only literal addresses are checked here.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import urlsplit

from nora import __version__
from nora.addresses import is_public, names_private
from nora.errors import UpstreamFailed, UpstreamTimeout, UpstreamUnavailable

if TYPE_CHECKING:
    import httpcore
    import httpx

MAX_REDIRECTS = 5
CONNECT_SECONDS = 10.0
MAX_CONNECTIONS = 100
KEPT_CONNECTIONS = 20
KEPT_SECONDS = 30.0
USER_AGENT = f"nora/{__version__}"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CREDENTIALS = ("authorization", "cookie", "proxy-authorization")
_PORTS = {"http": 80, "https": 443}

Method = Literal["GET", "HEAD"]
Headers = Mapping[str, str]
"""Names are in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a request may take, and how far it may reach."""

    connect_seconds: float = CONNECT_SECONDS
    idle_seconds: float = 30.0
    """The longest silence: before the answer begins, and between two pieces of its body."""
    total_seconds: float = 60.0
    """For a whole document. A stream has no such limit: how long it takes depends on its size."""
    max_bytes: int
    """The largest body, after decompression."""
    given: frozenset[str] = frozenset()
    """Origins (see `origin`) that the operator wrote down; only these may be in a private network."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with its whole body. 304 and 4xx are answers; 429 and 5xx are errors."""

    status: int
    headers: Headers
    body: bytes
    url: str
    """Where it came from after redirects."""


class Stream:
    """An answer whose body comes in pieces, as they are on the wire: iterate once."""

    def __init__(self, response: httpcore.Response, url: str, max_bytes: int) -> None:
        self._response = response
        self._max_bytes = max_bytes
        self.url = url
        self.status = response.status
        self.headers = _lowered(response)
        declared = self.headers.get("content-length", "")
        self.length = int(declared) if declared.isascii() and declared.isdigit() else None
        """The declared size of the body in bytes."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises UpstreamFailed, also when the body ends before its declared length or is too large."""
        received = 0
        with _translated(self.url):
            async for piece in self._response.aiter_stream():
                received += len(piece)
                _check_size(received, self._max_bytes, self.url)
                yield piece


def origin(url: str) -> str:
    """Scheme, host and port of a URL, as `https://example.com:443`. Raises ValueError."""
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').rstrip('.')}:{port}"


class Outbound:
    """The connections of one worker. Use it from one event loop, and `close` it."""

    def __init__(self, ca_cert: Path | None = None) -> None:
        """`ca_cert` is a PEM file of authorities that are trusted beside those of the system."""
        self._ca_cert = ca_cert
        self._pools: dict[tuple[str | None, bool], httpcore.AsyncConnectionPool] = {}

    def prepare(self) -> None:
        """Load what the first request needs: a quarter of a second, before anybody waits for it."""
        import httpcore  # noqa: F401
        import httpx  # noqa: F401

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
        response, final = await self._follow(
            "GET", url, terms, {"accept-encoding": "identity", **(headers or {})}
        )
        try:
            answer = Stream(response, final, terms.max_bytes)
            _check_size(answer.length or 0, terms.max_bytes, final)
            yield answer
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close what is open."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.aclose()

    async def _document(self, method: Method, url: str, terms: Terms, headers: Headers) -> Reply:
        try:
            async with asyncio.timeout(terms.total_seconds):
                response, final = await self._follow(
                    method, url, terms, {"accept-encoding": "gzip", **headers}
                )
                try:
                    return await _read(response, final, terms.max_bytes)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise UpstreamTimeout(f"{_host(url)} did not answer within {terms.total_seconds:g} s") from error

    async def _follow(
        self, method: Method, url: str, terms: Terms, headers: Headers
    ) -> tuple[httpcore.Response, str]:
        """The answer at the end of all redirects, its body not yet read, and where it came from."""
        headers = {"user-agent": USER_AGENT, **headers}
        url = _resolved(url)
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._send(method, url, terms, headers)
            target = _lowered(response).get("location")
            if response.status not in _REDIRECTS or target is None:
                break
            await response.aclose()
            after = _resolved(url, target)
            if origin(after) != origin(url):
                headers = {name: value for name, value in headers.items() if name not in _CREDENTIALS}
            url = after
        else:
            raise UpstreamFailed(f"{_host(url)} redirects more than {MAX_REDIRECTS} times")
        if response.status == 429 or response.status >= 500:
            await response.aclose()
            _raise_for(response, url)
        return response, url

    async def _send(self, method: Method, url: str, terms: Terms, headers: Headers) -> httpcore.Response:
        import httpcore
        import httpx

        patience = dict.fromkeys(("connect", "pool"), terms.connect_seconds)
        patience |= dict.fromkeys(("read", "write"), terms.idle_seconds)
        with _translated(url):
            request = httpx.Request(method, url, headers={**headers})
            target = request.url
            pool = self._pool(target, guarded=origin(url) not in terms.given)
            return await pool.handle_async_request(
                httpcore.Request(
                    method,
                    httpcore.URL(
                        scheme=target.raw_scheme,
                        host=target.raw_host,
                        port=target.port,
                        target=target.raw_path,
                    ),
                    headers=request.headers.raw,
                    extensions={"timeout": patience},
                )
            )

    def _pool(self, target: httpx.URL, guarded: bool) -> httpcore.AsyncConnectionPool:
        """The connections for a target; those that were checked when they were made are kept apart."""
        import httpcore

        proxy = self._proxy_of(target)
        if proxy is not None and guarded and names_private(target.host):
            raise _private(target.host)
        found = self._pools.get((proxy, guarded))
        if found is None:
            guard = _Guard(httpcore.AnyIOBackend()) if guarded and proxy is None else httpcore.AnyIOBackend()
            found = self._pools[proxy, guarded] = httpcore.AsyncConnectionPool(
                ssl_context=self._trust,
                proxy=None if proxy is None else _proxy(proxy, self._trust),
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=KEPT_CONNECTIONS,
                keepalive_expiry=KEPT_SECONDS,
                network_backend=cast("httpcore.AsyncNetworkBackend", guard),
            )
        return found

    def _proxy_of(self, target: httpx.URL) -> str | None:
        """The proxy for a target, as the environment has it."""
        from urllib import request

        found = self._proxies.get(target.scheme) or self._proxies.get("all")
        port = target.port or _PORTS[target.scheme]
        if not found or request.proxy_bypass_environment(f"{target.host}:{port}", self._proxies):  # type: ignore[attr-defined]
            return None
        return found if "://" in found else f"http://{found}"

    @cached_property
    def _proxies(self) -> dict[str, str]:
        from urllib import request

        return request.getproxies_environment()

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return trust_store(self._ca_cert)


def trust_store(ca_cert: Path | None) -> ssl.SSLContext:
    """The authorities that are trusted: the system's, certifi's where the system has none, and `ca_cert`'s.
    Raises OSError (ssl.SSLError is one) when the file cannot be used."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not (paths.capath and any(Path(paths.capath).iterdir())):
        import certifi

        context.load_verify_locations(certifi.where())
    if ca_cert is not None:
        context.load_verify_locations(ca_cert)
    return context


def _proxy(url: str, trust: ssl.SSLContext) -> httpcore.Proxy:
    import httpcore
    import httpx

    parsed = httpx.URL(url)
    if parsed.scheme not in _PORTS:
        raise UpstreamUnavailable(f"the outbound proxy is {parsed.scheme}; expected http or https")
    address = httpcore.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=b"/")
    auth = (parsed.username, parsed.password) if parsed.username or parsed.password else None
    return httpcore.Proxy(address, auth=auth, ssl_context=trust if parsed.scheme == "https" else None)


class _Guard:
    """httpcore's network backend that connects to public addresses only, and to those it has checked."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's protocol
        **options: Any,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, check, and connect to the first address that answers. Raises UpstreamFailed."""
        import httpcore

        try:
            async with asyncio.timeout(timeout or CONNECT_SECONDS):
                loop = asyncio.get_running_loop()
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = [str(address[0]) for *_, address in found if is_public(str(address[0]))]
        if not addresses:
            raise _private(host)
        patience = (timeout or CONNECT_SECONDS) / len(addresses)
        for address in addresses[:-1]:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._backend.connect_tcp(address, port, timeout=patience, **options)
        return await self._backend.connect_tcp(addresses[-1], port, timeout=patience, **options)


def _private(host: str) -> UpstreamFailed:
    return UpstreamFailed(f"{host} is in a private network, and not an address that the configuration names")


# -- answers ----------------------------------------------------------------------------------------------


async def _read(response: httpcore.Response, url: str, max_bytes: int) -> Reply:
    """The whole answer; what is compressed is never expanded further than `max_bytes`."""
    headers = _lowered(response)
    encoding = headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise UpstreamFailed(f"{_host(url)} answers in an encoding that was not asked for")
    expand = zlib.decompressobj(zlib.MAX_WBITS | 16) if encoding != "identity" else None
    body, received = bytearray(), 0
    with _translated(url):
        async for piece in response.aiter_stream():
            received += len(piece)
            body += piece if expand is None else expand.decompress(piece, max_bytes + 1 - len(body))
            _check_size(len(body), max_bytes, url)
    if expand is not None and received and not expand.eof:
        raise UpstreamFailed(f"{_host(url)} ends in the middle of its answer")
    return Reply(response.status, headers, bytes(body), url)


def _check_size(count: int, limit: int, url: str) -> None:
    if count > limit:
        raise UpstreamFailed(f"{_host(url)} answers with more than {limit} bytes")


def _lowered(response: httpcore.Response) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in response.headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _resolved(url: str, location: str = "") -> str:
    """Where a URL, or a redirect from it, leads: without user and fragment. Raises UpstreamFailed."""
    import httpx

    with _translated(url):
        before = httpx.URL(url)
        after = before.join(location).copy_with(userinfo=b"", fragment=None)
        secure = after.scheme == "https" or before.scheme == "http"
    if after.scheme not in _PORTS or not after.host or not secure:
        raise UpstreamFailed(f"{_host(url)} leads to where NORA does not follow")
    return str(after)


def _raise_for(response: httpcore.Response, url: str) -> None:
    if response.status not in (429, 503):
        raise UpstreamFailed(f"{_host(url)} answers {response.status}")
    wait = _lowered(response).get("retry-after", "")
    seconds = int(wait) if wait.isascii() and wait.isdigit() and len(wait) < 6 else 5
    raise UpstreamUnavailable(f"{_host(url)} answers {response.status}", max(1, seconds))


def _host(url: str) -> str:
    """As messages name whom was asked: nothing of a URL that could hold a secret."""
    try:
        return urlsplit(url).hostname or "the upstream"
    except ValueError:
        return "the upstream"


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """What httpx and httpcore raise, as NORA's errors. Whoever reads the log sees the cause."""
    import httpcore
    import httpx

    host = _host(url)
    try:
        yield
    except httpcore.PoolTimeout as error:
        raise UpstreamUnavailable(f"too many requests to {host} are under way") from error
    except httpcore.TimeoutException as error:
        raise UpstreamTimeout(f"{host} did not answer in time") from error
    except httpcore.ConnectError as error:
        if isinstance(error.__context__, ssl.SSLError):  # httpcore takes the cause away
            raise UpstreamFailed(f"no secure connection to {host}; see NORA_TLS_CA_CERT") from error
        raise UpstreamUnavailable(f"{host} cannot be reached") from error
    except httpcore.ProxyError as error:
        raise UpstreamUnavailable(f"the outbound proxy does not let NORA through to {host}") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise UpstreamFailed(f"{host} ends in the middle of its answer, or does not speak HTTP") from error
    except zlib.error as error:
        raise UpstreamFailed(f"{host} answers with a body that cannot be decompressed") from error
    except (httpx.InvalidURL, httpcore.UnsupportedProtocol, ValueError) as error:
        raise UpstreamFailed(f"the address of {host} is not one that can be asked") from error
