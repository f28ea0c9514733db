"""The files of upstreams: what may be fetched, by the pages that list it, and what is kept of it.

    <project>/                         the page of the project (nora.formats.pypi.upstream)
    <project>/<filename>               a wheel or sdist
    <project>/<filename>.metadata      its core metadata: the upstream's, or out of the wheel
    <project>/<filename>.provenance    its attestations

The document of the package in the proxy repository remembers of which wheels NORA has the core metadata
although no upstream offers it: {"metadata": {filename: sha256}}.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from functools import partial
from io import BytesIO
from math import inf
from typing import Final

import orjson

from nora.blobs.base import Expect
from nora.blobs.checksums import are_right, is_right, strongest
from nora.catalog.records import Blob, Cached, NewBlob, NewCached
from nora.errors import Denied, InvalidName, InvalidPackageFile, NoraError, UpstreamFailed
from nora.formats.base import Services
from nora.formats.pypi.hosted import METADATA, path_of
from nora.formats.pypi.index import ListedFile
from nora.formats.pypi.metadata import read_metadata
from nora.formats.pypi.names import Distribution, ProjectName, parse_filename, version_of
from nora.formats.pypi.settings import PypiSettings
from nora.formats.pypi.upstream import Index
from nora.model import Digest, Repository
from nora.proxy.base import CacheKey, Document, Fetched, FileRequest, Policy, Source

_log = logging.getLogger(__name__)

OCTETS: Final = "application/octet-stream"
TEXT: Final = "text/plain; charset=utf-8"
INTEGRITY: Final = "application/vnd.pypi.integrity.v1+json"
LARGEST_METADATA: Final = 8 << 20
LARGEST_PROVENANCE: Final = 8 << 20
REMEMBERED: Final = 4096
REMEMBER_TRIES: Final = 200
FOR_GOOD: Final = Policy(fresh=inf)
A_DAY: Final = Policy(fresh=86_400.0)


class CachedFiles:
    """The files of the proxy repositories."""

    def __init__(self, services: Services, index: Index) -> None:
        self._index = index
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._cache = services.cache
        self._lease = services.leases.seconds
        self._max_bytes = services.settings(PypiSettings).max_file_size
        self._agreed: set[tuple[int, int, int]] = set()
        """Pages and files of which is known that they are of one mind."""

    async def wanted(self, proxy: Repository, project: ProjectName, filename: str) -> FileRequest | None:
        """A file as the cache wants to have it described; None when neither an upstream lists it nor is it
        here. Raises UpstreamFailed."""
        path = path_of(project, filename)
        cached = await self._catalog.find_cached(proxy.id, path)
        if cached is not None and not await self._is_replaced(proxy, project, filename, cached):
            expect = Expect(digest=cached.blob.digest, size=cached.blob.size)
            return self._describe(proxy, project, filename, expect, (), None)
        page = await self._index.page(proxy, project)
        listed = None if page is None else await self._index.find(page, filename)
        if page is None or listed is None:
            return None
        expect = Expect(digest=_digest_of(listed.hashes), size=listed.size)
        upstreams = self._index.upstream_of(proxy, page)
        sources = tuple(Source(upstream, listed.url) for upstream in upstreams)
        return self._describe(proxy, project, filename, expect, sources, listed)

    async def _is_replaced(
        self, proxy: Repository, project: ProjectName, filename: str, cached: Cached
    ) -> bool:
        """Whether the page lists other bytes now, as where a file may be uploaded again: what is cached is
        dropped then. The page is not asked for again, and looked at once for each file that it has. Raises
        Denied when the project is quarantined by now (PEP 792)."""
        page = await self._catalog.find_cached(proxy.id, self._index.place(proxy, project).path)
        if page is None:
            return False
        seen = (page.blob.id, cached.id, cached.blob.id)
        if seen in self._agreed:
            return False
        listed = await self._index.find_in(page.blob, filename)
        if listed is None and await self._index.is_quarantined(page.blob):
            raise Denied(f"{project} is quarantined")
        told: object = None if listed is None else listed.hashes
        if listed is not None and cached.path.endswith(METADATA):
            own = (await self._own_metadata(proxy, project)).get(filename)
            told = {"sha256": own} if own is not None else listed.core_metadata
        if (
            isinstance(told, dict)
            and told.get("sha256", cached.blob.digest.encoded) != cached.blob.digest.encoded
            and self._index.is_online(proxy)
        ):
            _log.info("%s has other bytes now at the upstream of %s", filename, proxy.name)
            for end in ("", METADATA):
                await self._catalog.drop_cached(proxy.id, path_of(project, filename) + end)
            return True
        if len(self._agreed) >= REMEMBERED:
            self._agreed.clear()
        self._agreed.add(seen)
        return False

    def _describe(
        self,
        proxy: Repository,
        project: ProjectName,
        filename: str,
        expect: Expect,
        sources: tuple[Source, ...],
        listed: ListedFile | None,
    ) -> FileRequest:
        path = path_of(project, filename)

        async def find() -> Blob | None:
            found = await self._catalog.find_cached(proxy.id, path)
            return None if found is None else found.blob

        async def store(blob: NewBlob, source: Source) -> Blob:
            live = await self._put(proxy, project, path, OCTETS, blob, source.url, version_of(filename))
            if listed is not None and listed.core_metadata is False:
                await self._offer_metadata(proxy, project, filename, live)
            return live

        # A hash of a kind that is not taken while the bytes come in.
        late = listed is not None and expect.digest is None and strongest(listed.hashes) is not None
        return FileRequest(
            key=f"{proxy.id}/{path}",
            sources=sources,
            expect=expect,
            media_type=OCTETS,
            store=store,
            find=find,
            max_bytes=self._max_bytes,
            registry=proxy.format,
            check=partial(is_right, hashes=listed.hashes) if listed is not None and late else None,
        )

    # -- core metadata -----------------------------------------------------------------------------------

    async def metadata(self, proxy: Repository, project: ProjectName, filename: str) -> Blob | None:
        """The core metadata of a wheel, if it is offered; else None. Raises UpstreamFailed."""
        place = CacheKey(repository=proxy, path=path_of(project, filename) + METADATA, package=project)
        cached = await self._catalog.find_cached(proxy.id, place.path)
        if cached is not None and not await self._is_replaced(proxy, project, filename, cached):
            return cached.blob
        page = await self._index.page(proxy, project)
        listed = None if page is None else await self._index.find(page, filename)
        if page is None or listed is None:
            return None
        own = await self._own_metadata(proxy, project)
        if listed.core_metadata is False and filename not in own:
            return None

        async def fetch(_: Cached | None) -> Fetched | None:
            given = await self._given_metadata(proxy, page, listed)
            return given or await self._extracted(proxy, project, filename)

        document = await self._cache.document(place, FOR_GOOD, fetch)
        return None if document is None else document.cached.blob

    async def _given_metadata(self, proxy: Repository, page: Document, listed: ListedFile) -> Fetched | None:
        """As the upstream has it; None where it is not there, or not what the page says."""
        if listed.core_metadata is False:
            return None
        url = listed.url + METADATA
        for upstream in self._index.upstream_of(proxy, page):
            reply = await upstream.ask("GET", url, max_bytes=LARGEST_METADATA)
            if reply is None:
                return None
            told = {} if listed.core_metadata is True else listed.core_metadata
            if not are_right(BytesIO(reply.body), told):
                _log.warning("the core metadata at %s is not what its page says", url)
                return None
            return Fetched(body=reply.body, media_type=TEXT, upstream_url=url)
        return None

    async def _extracted(self, proxy: Repository, project: ProjectName, filename: str) -> Fetched | None:
        """Out of the wheel, which is fetched if need be."""
        wanted = await self.wanted(proxy, project, filename)
        found = None if wanted is None else await self._cache.file(wanted)
        blob = found if found is None or isinstance(found, Blob) else await found.end()
        raw = None if blob is None else await self._read(filename, blob)
        if raw is None:
            return None
        await self._remember_metadata(proxy, project, filename, _sha256(raw))
        return Fetched(body=raw, media_type=TEXT, upstream_url=path_of(project, filename))

    async def _offer_metadata(
        self, proxy: Repository, project: ProjectName, filename: str, wheel: Blob
    ) -> None:
        """Have the page offer the core metadata of a wheel that has come in. What fails here harms nobody."""
        try:
            raw = await self._read(filename, wheel)
            if raw is None:
                return
            path = path_of(project, filename)
            async with self._blobs.ingest(raw, Expect()) as new:
                new.settle(await self._put(proxy, project, path + METADATA, TEXT, new.blob, path, None))
            await self._remember_metadata(proxy, project, filename, _sha256(raw))
        except NoraError as error:
            _log.warning("the core metadata of %s cannot be offered: %s", filename, error)

    async def _read(self, filename: str, wheel: Blob) -> bytes | None:
        distribution = _wheel_of(filename)
        path = self._blobs.path(wheel)
        if distribution is None or path is None:
            return None
        try:
            return await asyncio.to_thread(read_metadata, path, distribution)
        except InvalidPackageFile as error:
            _log.info("%s: %s", filename, error)
            return None

    async def _own_metadata(self, proxy: Repository, project: ProjectName) -> dict[str, str]:
        package = await self._catalog.find_package(proxy.id, project)
        found: dict[str, str] = {} if package is None else orjson.loads(package.document).get("metadata", {})
        return found

    async def _remember_metadata(
        self, proxy: Repository, project: ProjectName, filename: str, sha256: str
    ) -> None:
        """Many files of a project may come in at once, in many processes: none overwrites another."""
        for _ in range(REMEMBER_TRIES):
            package = await self._catalog.find_package(proxy.id, project)
            if package is None:
                return
            known = orjson.loads(package.document).get("metadata", {})
            if known.get(filename) == sha256:
                return
            document = orjson.dumps({"metadata": {**known, filename: sha256}}, option=orjson.OPT_SORT_KEYS)
            if await self._catalog.update_package(proxy.id, project, document, before=package.document):
                return
        _log.warning("the core metadata of %s is not offered: there is too much going on", filename)

    # -- attestations ------------------------------------------------------------------------------------

    async def provenance(self, proxy: Repository, project: ProjectName, filename: str) -> Blob | None:
        """The attestations of a file, None where the upstream names none. Raises UpstreamFailed."""
        page = await self._index.page(proxy, project)
        listed = None if page is None else await self._index.find(page, filename)
        if page is None or listed is None or listed.provenance is None:
            return None
        url = listed.provenance

        async def fetch(_: Cached | None) -> Fetched | None:
            for upstream in self._index.upstream_of(proxy, page):
                reply = await upstream.ask("GET", url, {"accept": INTEGRITY}, max_bytes=LARGEST_PROVENANCE)
                if reply is None:
                    return None
                if not reply.body.lstrip().startswith(b"{"):
                    raise UpstreamFailed(f"the attestations of {filename} are no JSON")
                return Fetched(body=reply.body, media_type=INTEGRITY, upstream_url=url)
            return None

        place = CacheKey(repository=proxy, path=f"{path_of(project, filename)}.provenance", package=project)
        document = await self._cache.document(place, A_DAY, fetch)
        return None if document is None else document.cached.blob

    async def _put(
        self,
        proxy: Repository,
        project: ProjectName,
        path: str,
        media_type: str,
        blob: NewBlob,
        url: str,
        version: str | None,
    ) -> Blob:
        entry = NewCached(
            path=path,
            package=project,
            version=version,
            media_type=media_type,
            blob=blob,
            upstream_url=url,
            fetched_at=time.time(),
            fresh_until=inf,
        )
        return await self._catalog.put_cached(proxy.id, entry, self._lease)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest_of(hashes: object) -> Digest | None:
    """The strongest digest that can be checked while the bytes come in."""
    if isinstance(hashes, dict):
        for algorithm in ("sha256", "sha512"):
            if algorithm in hashes:
                return Digest(f"{algorithm}:{hashes[algorithm]}")
    return None


def _wheel_of(filename: str) -> Distribution | None:
    try:
        distribution = parse_filename(filename)
    except InvalidName:
        return None
    return distribution if distribution.kind == "wheel" else None
