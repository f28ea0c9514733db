"""What NORA answers beside its formats: how it is, what it counts, and a first page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from html import escape
from typing import Literal, TypedDict

from blacksheep import Content, Response

from nora.errors import NoraError
from nora.http.context import RequestContext
from nora.http.fields import json_endpoint
from nora.http.router import Endpoint
from nora.http.tasks import spawn
from nora.observability.metrics import CONTENT_TYPE, Metrics

_NO_STORE = (b"cache-control", b"no-store")
_PROBE_SECONDS = 5.0
_FRESH_SECONDS = 1.0


class Probe:
    """Whether the storage takes writes now: asked at most once a second, however many want to know."""

    def __init__(self, check: Callable[[], Awaitable[None]]) -> None:
        self._check = check
        self._running: asyncio.Task[None] | None = None
        self._asked_at = float("-inf")
        self._failure: str | None = None

    async def failure(self, wait_seconds: float = _PROBE_SECONDS) -> str | None:
        """What is wrong; None when nothing is. No answer within `wait_seconds` is a failure too."""
        if self._running is None and time.monotonic() - self._asked_at < _FRESH_SECONDS:
            return self._failure
        if self._running is None:
            self._running = spawn(self._ask(), "storage probe")
        done, _ = await asyncio.wait({self._running}, timeout=wait_seconds)
        return self._failure if done else f"the storage did not answer within {wait_seconds:g} s"

    async def _ask(self) -> None:
        try:
            await self._check()
            self._failure = None
        except NoraError as error:
            self._failure = str(error) or type(error).__name__
        finally:
            self._asked_at = time.monotonic()
            self._running = None


class StorageHealth(TypedDict):
    """How the storage is."""

    backend: str
    reachable: bool


class Health(TypedDict):
    """How the server is."""

    status: Literal["healthy", "degraded"]
    version: str
    uptime_seconds: int
    storage: StorageHealth
    registries: dict[str, str]
    """`ok` for every format that is served."""


class System:
    """The routes that belong to no format."""

    def __init__(
        self,
        metrics: Metrics,
        probe: Probe,
        count_uploads: Callable[[], Awaitable[int]],
        mounts: Sequence[tuple[str, str, str]],
        version: str,
        started_at: float,
        *,
        storage: str,
        public_metrics: bool,
    ) -> None:
        """`mounts` are name, title and path of every format that is served, `storage` is where blobs are."""
        self._storage = storage
        self._public_metrics = public_metrics
        self._metrics = metrics
        self._probe = probe
        self._count_uploads = count_uploads
        self._mounts = mounts
        self._version = version
        self._started_at = started_at
        self._page = _front_page(mounts, version)

    def endpoints(self) -> Iterator[Endpoint[RequestContext]]:
        """All but the metrics are for anybody: who watches a server has no credentials."""
        yield Endpoint("GET HEAD", "/", None, self._front)
        yield json_endpoint("GET HEAD", "/health", None, Health, self._health)
        yield Endpoint("GET HEAD", "/ready", None, self._ready)
        yield Endpoint("GET HEAD", "/metrics", None if self._public_metrics else "read", self._read_metrics)

    async def _front(self, context: RequestContext) -> Response:
        """What is served here. A page for people is elsewhere: the address is relative, whatever is in front
        of this server."""
        if "text/html" in (context.accept or ""):
            return Response(302, [_NO_STORE, (b"vary", b"Accept"), (b"location", b"ui/")])
        return Response(200, [_NO_STORE], Content(b"text/html; charset=utf-8", self._page))

    async def _ready(self, context: RequestContext) -> Response:
        """Whether the storage takes writes: 200 or 503."""
        return Response(503 if await self._probe.failure() else 200, [_NO_STORE])

    async def _read_metrics(self, context: RequestContext) -> Response:
        """The metrics of all workers, as Prometheus reads them."""
        with suppress(NoraError):  # a page without this one number is better than none
            self._metrics.upload_sessions.set(await self._count_uploads())
        return Response(200, [_NO_STORE], Content(CONTENT_TYPE, self._metrics.render(self._started_at)))

    async def _health(self, context: RequestContext) -> Health:
        """How the server is. It is 200 for as long as anything answers; `status` says how well."""
        failure = await self._probe.failure(wait_seconds=1.0)
        return {
            "status": "degraded" if failure else "healthy",
            "version": self._version,
            "uptime_seconds": int(time.time() - self._started_at),
            "storage": {"backend": self._storage, "reachable": failure is None},
            "registries": {name: "ok" for name, _, _ in self._mounts},
        }


def _front_page(mounts: Sequence[tuple[str, str, str]], version: str) -> bytes:
    rows = "".join(f"<li>{escape(title)}: <code>{escape(path)}</code></li>" for _, title, path in mounts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>NORA</title></head>'
        f"<body><h1>NORA {escape(version)}</h1><p>An artifact registry. Served here:</p><ul>{rows}</ul>"
        '<p><a href="/health">health</a> · <a href="/metrics">metrics</a></p></body></html>'
    ).encode()
