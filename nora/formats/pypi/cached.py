"""The files of upstreams: what may be fetched, by the pages that list it, and what is kept of it.

    <project>/                         the page of the project (nora.formats.pypi.upstream)
    <project>/<filename>               a wheel or sdist
    <project>/<filename>.metadata      its core metadata: the upstream's, or out of the wheel
    <project>/<filename>.provenance    its attestations

The document of the package in the rows of the source remembers of which wheels NORA has the core metadata
although no upstream offers it: {"metadata": {filename: sha256}}.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Mapping
from functools import partial
from io import BytesIO
from math import inf
from typing import Final

import orjson

from nora.blobs.base import Expect
from nora.blobs.checksums import are_right
from nora.catalog.records import Blob, Cached
from nora.errors import Denied, InvalidName, InvalidPackageFile, NoraError, NotFound, UpstreamFailed
from nora.formats.base import Services
from nora.formats.pypi.hosted import METADATA, path_of
from nora.formats.pypi.index import ListedFile
from nora.formats.pypi.metadata import read_metadata
from nora.formats.pypi.names import Distribution, ProjectName, parse_filename, version_of
from nora.formats.pypi.settings import PypiSettings
from nora.formats.pypi.upstream import Index
from nora.proxy.base import Address, CacheKey, Fetched, FileRequest, Policy, Upstream
from nora.proxy.listed_files import ListedFiles, UpstreamFile
from nora.resolve import Source

_log = logging.getLogger(__name__)

OCTETS: Final = "application/octet-stream"
TEXT: Final = "text/plain; charset=utf-8"
INTEGRITY: Final = "application/vnd.pypi.integrity.v1+json"
LARGEST_METADATA: Final = 8 << 20
LARGEST_PROVENANCE: Final = 8 << 20
REMEMBERED: Final = 4096
REMEMBER_TRIES: Final = 200
_IS_METADATA: Final = re.compile(rb"^metadata-version:", re.IGNORECASE | re.MULTILINE)
"""What every core metadata has: a page may announce it without a hash, and what comes may be anything."""
FOR_GOOD: Final = Policy(fresh=inf)
A_DAY: Final = Policy(fresh=86_400.0)


class CachedFiles:
    """The files of the sources."""

    def __init__(self, services: Services, index: Index) -> None:
        self._index = index
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._cache = services.cache
        self._files = ListedFiles(services.catalog, services.leases.seconds)
        self._max_bytes = services.settings(PypiSettings).max_file_size
        self._agreed: set[tuple[int, int, int]] = set()
        """Pages and files of which is known that they are of one mind."""

    async def wanted(self, source: Source, project: ProjectName, filename: str) -> FileRequest | None:
        """A file as the cache wants to have it described; None when neither an upstream lists it nor is it
        here. Raises UpstreamFailed."""
        path = path_of(project, filename)
        cached = await self._catalog.find_cached(source.id, path)
        if cached is not None and not await self._is_replaced(source, project, filename, cached):
            hashes = {cached.blob.digest.algorithm: cached.blob.digest.encoded}
            held = _described(project, filename, hashes, cached.blob.size)
            return self._files.request(source.repository, held, max_bytes=self._max_bytes)
        page = await self._index.page(source, project)
        listed = None if page is None else await self._index.find(page, filename)
        if page is None:
            return None
        if listed is None:
            raise NotFound(f"{project} has no file {filename}")
        where = Address(self._index.upstream(source).naming(page.cached), listed.url)
        addresses = (where,) if self._index.is_online(source) else ()
        wanted = _described(project, filename, listed.hashes, listed.size, addresses)
        stored = None
        if listed.core_metadata is False:
            stored = partial(self._offer_metadata, source, project, filename)
        return self._files.request(source.repository, wanted, max_bytes=self._max_bytes, stored=stored)

    async def _is_replaced(self, source: Source, project: ProjectName, filename: str, cached: Cached) -> bool:
        """Whether the page lists other bytes now, as where a file may be uploaded again: what is cached is
        dropped then. The page is not asked for again, and looked at once for each file that it has. Raises
        Denied when the project is quarantined by now (PEP 792)."""
        page = await self._catalog.find_cached(source.id, self._index.key(source, project).path)
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
            own = (await self._own_metadata(source, project)).get(filename)
            told = {"sha256": own} if own is not None else listed.core_metadata
        if (
            isinstance(told, dict)
            and told.get("sha256", cached.blob.digest.encoded) != cached.blob.digest.encoded
            and self._index.is_online(source)
        ):
            _log.info("%s has other bytes now at the upstream of %s", filename, source.proxy)
            for end in ("", METADATA):
                path = path_of(project, filename) + end
                held = cached.blob if path == cached.path else None
                await self._catalog.drop_cached(source.id, path, holding=held)
            return True
        if len(self._agreed) >= REMEMBERED:
            self._agreed.clear()
        self._agreed.add(seen)
        return False

    # -- core metadata -----------------------------------------------------------------------------------

    async def metadata(self, source: Source, project: ProjectName, filename: str) -> Blob | None:
        """The core metadata of a wheel, if it is offered; else None. Raises UpstreamFailed."""
        path = path_of(project, filename) + METADATA
        cached = await self._catalog.find_cached(source.id, path)
        if cached is not None and not await self._is_replaced(source, project, filename, cached):
            return cached.blob
        try:
            return await self._fetch_metadata(source, project, filename)
        except (NotFound, UpstreamFailed):  # NotFound is what a source that is not asked says
            held = await self._held_metadata(source, project, filename)
            if held is None:
                raise
            return held

    async def _fetch_metadata(self, source: Source, project: ProjectName, filename: str) -> Blob | None:
        """From the upstream, or out of the wheel. Raises UpstreamFailed; NotFound when none is offered."""
        page = await self._index.page(source, project)
        listed = None if page is None else await self._index.find(page, filename)
        if page is None:
            return await self._held_metadata(source, project, filename)
        upstream = self._index.upstream(source).naming(page.cached)
        own = await self._own_metadata(source, project)
        if listed is None or (listed.core_metadata is False and filename not in own):
            raise NotFound(f"{project} has no core metadata of {filename}")

        async def fetch(_: Cached | None) -> Fetched | None:
            given = await self._given_metadata(upstream, listed)
            return given or await self._extracted(source, project, filename)

        key = CacheKey(
            repository=source.repository, path=path_of(project, filename) + METADATA, package=project
        )
        document = await self._cache.document(key, FOR_GOOD, fetch)
        if document is None:
            raise NotFound(f"{project} has no core metadata of {filename}")
        return document.cached.blob

    async def _held_metadata(self, source: Source, project: ProjectName, filename: str) -> Blob | None:
        """Out of the wheel, if that is here; kept, as the page will list it."""
        path = path_of(project, filename)
        wheel = await self._catalog.find_cached(source.id, path)
        if wheel is None or await self._is_replaced(source, project, filename, wheel):
            return None
        raw = await self._read(filename, wheel.blob)
        if raw is None or not await self._is_as_listed(source, project, filename, raw):
            return None
        return await self._keep_metadata(source, project, filename, raw)

    async def _is_as_listed(self, source: Source, project: ProjectName, filename: str, raw: bytes) -> bool:
        """Whether core metadata has the hash that clients were told. Of a source that is not asked the page
        tells them that of what is here."""
        page = await self._catalog.find_cached(source.id, self._index.key(source, project).path)
        if page is None or not self._index.is_online(source):
            return True
        listed = await self._index.find_in(page.blob, filename)
        if listed is None or isinstance(listed.core_metadata, bool):
            return True
        own = await self._own_metadata(source, project)
        return filename in own or are_right(BytesIO(raw), listed.core_metadata)

    async def _given_metadata(self, upstream: Upstream, listed: ListedFile) -> Fetched | None:
        """As the upstream has it; None where it is not there, or not what the page says."""
        if listed.core_metadata is False:
            return None
        url = listed.url + METADATA
        reply = await upstream.ask("GET", url, max_bytes=LARGEST_METADATA)
        if reply is None:
            return None
        told = {} if listed.core_metadata is True else listed.core_metadata
        if not (_IS_METADATA.search(reply.body) and are_right(BytesIO(reply.body), told)):
            _log.warning("the core metadata at %s is not what its page says", url)
            return None
        return Fetched(body=reply.body, media_type=TEXT, upstream_url=url)

    async def _extracted(self, source: Source, project: ProjectName, filename: str) -> Fetched | None:
        """Out of the wheel, which is fetched if need be."""
        wanted = await self.wanted(source, project, filename)
        found = None if wanted is None else await self._cache.file(wanted)
        blob = found if found is None or isinstance(found, Blob) else await found.end()
        raw = None if blob is None else await self._read(filename, blob)
        if raw is None:
            return None
        await self._remember_metadata(source, project, filename, _sha256(raw))
        return Fetched(body=raw, media_type=TEXT, upstream_url=path_of(project, filename))

    async def _offer_metadata(self, source: Source, project: ProjectName, filename: str, wheel: Blob) -> None:
        """Have the page offer the core metadata of a wheel that has come in. What fails here harms nobody."""
        try:
            raw = await self._read(filename, wheel)
            if raw is None:
                return
            await self._keep_metadata(source, project, filename, raw)
            await self._remember_metadata(source, project, filename, _sha256(raw))
        except NoraError as error:
            _log.warning("the core metadata of %s cannot be offered: %s", filename, error)

    async def _keep_metadata(self, source: Source, project: ProjectName, filename: str, raw: bytes) -> Blob:
        path = path_of(project, filename)
        beside = UpstreamFile(path=path + METADATA, package=project, version=None, media_type=TEXT)
        async with self._blobs.ingest(raw, Expect()) as new:
            live = await self._files.keep(source.repository, beside, new.blob, path)
            new.settle(live)
        return live

    async def _read(self, filename: str, wheel: Blob) -> bytes | None:
        distribution = _wheel_of(filename)
        if distribution is None:
            return None
        try:
            async with self._blobs.local_copy(wheel) as path:
                return await asyncio.to_thread(read_metadata, path, distribution)
        except InvalidPackageFile as error:
            _log.info("%s: %s", filename, error)
            return None

    async def _own_metadata(self, source: Source, project: ProjectName) -> dict[str, str]:
        package = await self._catalog.find_package(source.id, project)
        found: dict[str, str] = {} if package is None else orjson.loads(package.document).get("metadata", {})
        return found

    async def _remember_metadata(
        self, source: Source, project: ProjectName, filename: str, sha256: str
    ) -> None:
        """Many files of a project may come in at once, in many processes: none overwrites another."""
        for _ in range(REMEMBER_TRIES):
            package = await self._catalog.find_package(source.id, project)
            if package is None:
                return
            known = orjson.loads(package.document).get("metadata", {})
            if known.get(filename) == sha256:
                return
            document = orjson.dumps({"metadata": {**known, filename: sha256}}, option=orjson.OPT_SORT_KEYS)
            if await self._catalog.update_package(source.id, project, document, before=package.document):
                return
        _log.warning("the core metadata of %s is not offered: there is too much going on", filename)

    # -- attestations ------------------------------------------------------------------------------------

    async def provenance(self, source: Source, project: ProjectName, filename: str) -> Blob | None:
        """The attestations of a file, None where the upstream names none. Raises UpstreamFailed."""
        page = await self._index.page(source, project)
        listed = None if page is None else await self._index.find(page, filename)
        if page is None:
            return None
        if listed is None or listed.provenance is None:
            raise NotFound(f"{project} has no attestations of {filename}")
        url = listed.provenance
        upstream = self._index.upstream(source).naming(page.cached)

        async def fetch(_: Cached | None) -> Fetched | None:
            reply = await upstream.ask("GET", url, {"accept": INTEGRITY}, max_bytes=LARGEST_PROVENANCE)
            if reply is None:
                return None
            if not reply.body.lstrip().startswith(b"{"):
                raise UpstreamFailed(f"the attestations of {filename} are no JSON")
            return Fetched(body=reply.body, media_type=INTEGRITY, upstream_url=url)

        key = CacheKey(
            repository=source.repository, path=f"{path_of(project, filename)}.provenance", package=project
        )
        document = await self._cache.document(key, A_DAY, fetch)
        if document is None:
            raise NotFound(f"{project} has no attestations of {filename}")
        return document.cached.blob


def _described(
    project: ProjectName,
    filename: str,
    hashes: Mapping[str, str],
    size: int | None,
    addresses: tuple[Address, ...] = (),
) -> UpstreamFile:
    return UpstreamFile(
        path=path_of(project, filename),
        package=project,
        version=version_of(filename),
        media_type=OCTETS,
        hashes=hashes,
        size=size,
        addresses=addresses,
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _wheel_of(filename: str) -> Distribution | None:
    try:
        distribution = parse_filename(filename)
    except InvalidName:
        return None
    return distribution if distribution.kind == "wheel" else None
