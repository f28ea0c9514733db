"""The cache engine without a server: a real catalog, a real blob store, real upstreams of the loopback.

    async with engine(tmp_path) as one:
        found = await one.cache.file(one.wanted(f"{up.url}/a", digest=…))

As a program it is one of several processes on a data directory, which a test may kill:

    python -m tests.proxy.engine ROOT URL DIGEST SILENCE        ("-": not known)

Waits for a line on its standard input; prints `first` when it has read a byte of the file, then `done` with
the digest of what it read, or `failed` with the error.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path

from nora.blobs.base import Expect
from nora.blobs.layout import Layout
from nora.blobs.local import LocalBlobStore
from nora.blobs.scratch import Scratch, ScratchLayout
from nora.catalog.records import Blob, Cached, NewBlob, NewCached
from nora.catalog.sqlite import SQLiteCatalog
from nora.config import Breaker, Timeouts
from nora.config import Upstream as UpstreamSetting
from nora.errors import NoraError, UpstreamFailed
from nora.model import Digest, Repository, RepositorySpec
from nora.observability.metrics import Metrics
from nora.observability.shared import SharedMemory
from nora.outbound import Outbound
from nora.proxy.base import ABSENT_SECONDS, Address, CacheKey, Fetched, FileRequest, Received, Unchanged
from nora.proxy.cache import Cache
from nora.proxy.hosts import Hosts
from nora.proxy.in_flight import InFlightFile
from nora.proxy.retries import Retries
from nora.proxy.upstream import ConfiguredUpstream, Limits
from nora.proxy.upstream_auth import StaticAuthorization
from tests.support.catalogs import prepare_catalog

PROXY = RepositorySpec("proxy", "raw", "proxy")
LEASE_SECONDS = 3600.0
MAX_BYTES = 1 << 30


@dataclass
class Clock:
    """Seconds since the epoch that pass when a test says so."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Engine:
    """What one worker has."""

    catalog: SQLiteCatalog
    store: LocalBlobStore
    cache: Cache
    repository: Repository
    outbound: Outbound
    hosts: Hosts
    counted: list[tuple[str, str]]
    online: bool = True

    def upstream(self, url: str, idle_seconds: int = 10) -> ConfiguredUpstream:
        timeouts = Timeouts(5, idle_seconds, 20)
        limits = Limits(timeouts=timeouts, breaker=Breaker(False, 100, 1))
        return ConfiguredUpstream(
            url, StaticAuthorization(UpstreamSetting(url)), limits, self.outbound, self.hosts
        )

    def wanted(
        self,
        *urls: str,
        digest: str | None = None,
        size: int | None = None,
        max_bytes: int = MAX_BYTES,
        path: str = "file",
    ) -> FileRequest:
        """A file that is the same at each of these addresses."""

        async def find() -> Blob | None:
            cached = await self.catalog.find_cached(self.repository.id, path)
            return None if cached is None else cached.blob

        async def store(blob: NewBlob, received: Received) -> Blob:
            entry = NewCached(
                path=path,
                package=None,
                media_type="application/octet-stream",
                blob=blob,
                upstream_url=received.url,
                validators=received.validators,
                fetched_at=time.time(),
                fresh_until=float("inf"),
            )
            return await self.catalog.put_cached(self.repository.id, entry, LEASE_SECONDS)

        return FileRequest(
            key=f"{self.repository.id}/{path}",
            addresses=tuple(Address(self.upstream(url.rpartition("/")[0]), url) for url in urls),
            expect=Expect(digest=None if digest is None else Digest(digest), size=size),
            media_type="application/octet-stream",
            store=store,
            find=find,
            max_bytes=max_bytes,
            registry=self.repository.format,
        )

    def place(self, path: str = "page", package: str | None = "some") -> CacheKey:
        return CacheKey(repository=self.repository, path=path, package=package)

    def fetch(self, url: str) -> Callable[[Cached | None], object]:
        """Ask for a document with the validator that is known."""

        async def ask(cached: Cached | None) -> Fetched | Unchanged | None:
            headers = {"if-none-match": cached.validators["etag"]} if cached is not None else {}
            upstream = self.upstream(url.rpartition("/")[0])
            reply = await upstream.ask("GET", url, headers, max_bytes=MAX_BYTES)
            if reply is None:
                return None
            if reply.status == 304:
                return Unchanged()
            return Fetched(
                body=reply.body,
                media_type="text/plain",
                upstream_url=url,
                validators={"etag": reply.headers.get("etag", "")},
            )

        return ask

    async def read(self, found: Blob | InFlightFile | None) -> bytes:
        """All bytes of a file, wherever they are."""
        assert found is not None
        if isinstance(found, InFlightFile):
            return b"".join([piece async for piece in found.read()])
        return b"".join([piece async for piece in self.store.stream(found, 0, found.size)])

    async def bytes_of(self, cached: Cached) -> bytes:
        return await self.store.read(cached.blob)

    @property
    def scratch(self) -> ScratchLayout:
        return ScratchLayout(self.store.layout.root)

    def leftovers(self) -> list[str]:
        """What is left in the folder of what is on its way."""
        return sorted(path.name for path in Path(self.scratch.downloads).iterdir())


@asynccontextmanager
async def engine(
    root: Path,
    clock: Callable[[], float] = time.time,
    finish_below: float = inf,
    silence_seconds: float = inf,
    absent_seconds: float = ABSENT_SECONDS,
) -> AsyncIterator[Engine]:
    """An engine on a data directory, which is made when it is not there."""
    layout = Layout(root)
    if not layout.catalog.exists():
        layout.create()
        ScratchLayout(root).create()
        prepare_catalog(layout.catalog)
    catalog = SQLiteCatalog.open(layout.catalog)
    store = LocalBlobStore(layout, reserve_bytes=0, durable="none")
    outbound = Outbound()
    memory = SharedMemory(1)
    hosts = Hosts(Metrics(memory, 0, version="1", compiled=False), Retries(tries=1), memory.answers)
    repository = (await catalog.sync_repositories([PROXY]))["proxy"]
    counted: list[tuple[str, str]] = []
    cache = Cache(
        catalog,
        store,
        Scratch(root, store.disk),
        is_online=lambda _: one.online,
        lease_seconds=LEASE_SECONDS,
        finish_below=finish_below,
        silence_seconds=silence_seconds,
        absent_seconds=absent_seconds,
        clock=clock,
        count=lambda registry, result: counted.append((registry, result)),
    )
    one = Engine(catalog, store, cache, repository, outbound, hosts, counted)
    try:
        yield one
    finally:
        await cache.close()
        await outbound.close()
        await catalog.close()
        store.close()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


async def _fetch(root: Path, url: str, digest: str, silence_seconds: float) -> None:
    async with engine(root, silence_seconds=silence_seconds) as one:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        try:
            found = await one.cache.file(one.wanted(url, digest=None if digest == "-" else digest))
        except NoraError as error:  # who comes late may see nothing but the end
            print(f"failed {error!r}", flush=True)
            return
        assert found is not None
        hashed, first = hashlib.sha256(), True
        pieces = one.store.stream(found, 0, found.size) if isinstance(found, Blob) else found.read()
        try:
            async for piece in pieces:
                hashed.update(piece)
                if first:
                    print("first", flush=True)
                    first = False
        except NoraError as error:
            print(f"failed {error!r}", flush=True)
            return
        print(f"done sha256:{hashed.hexdigest()}", flush=True)
        if isinstance(found, InFlightFile):
            with suppress(UpstreamFailed):
                await found.end()


def main(arguments: Sequence[str]) -> None:
    root, url, digest, silence_seconds = arguments
    asyncio.run(_fetch(Path(root), url, digest, float(silence_seconds)))


if __name__ == "__main__":
    main(sys.argv[1:])
