"""The files of upstreams: what may be fetched, by the pages that list it, and what is kept of it.

<project>/                         the page of the project (nora.formats.pypi.upstream)
<project>/<filename>               a wheel or sdist
<project>/<filename>.metadata      its core metadata: the upstream's, or out of the wheel
<project>/<filename>.provenance    its attestations
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from enum import Enum
from functools import partial
from io import BytesIO
from math import inf
from typing import Final, NamedTuple

from nora.blobs.checksums import are_right, is_right
from nora.catalog.records import Blob, Cached
from nora.errors import Denied, NotFound, UpstreamFailed
from nora.formats.base import Services
from nora.formats.pypi.hosted import METADATA, path_of
from nora.formats.pypi.index import ListedFile
from nora.formats.pypi.marks import (
    differ,
    is_of,
    is_volatile,
    known_hashes,
    mark_in,
    mark_of,
    marks_of,
    own_metadata,
    remember_hashes,
    remember_mark,
)
from nora.formats.pypi.names import ProjectName, version_of
from nora.formats.pypi.own_metadata import TEXT, OwnMetadata, sha256_of
from nora.formats.pypi.settings import PypiSettings
from nora.formats.pypi.upstream import Index, page_path
from nora.proxy.base import Address, CacheKey, Fetched, FileRequest, Policy, Upstream
from nora.proxy.listed_files import ListedFiles, UpstreamFile
from nora.resolve import Source

_log = logging.getLogger(__name__)

OCTETS: Final = "application/octet-stream"
INTEGRITY: Final = "application/vnd.pypi.integrity.v1+json"
LARGEST_METADATA: Final = 8 << 20
LARGEST_PROVENANCE: Final = 8 << 20
REMEMBERED: Final = 4096
_IS_METADATA: Final = re.compile(rb"^metadata-version:", re.IGNORECASE | re.MULTILINE)
"""What every core metadata has: a page may announce it without a hash, and what comes may be anything."""
FOR_GOOD: Final = Policy(fresh=inf)
A_DAY: Final = Policy(fresh=86_400.0)


class Verdict(Enum):
    """What a page says of a file that is here."""

    LISTED = "listed"
    REMOVED = "removed"
    QUARANTINED = "quarantined"


class Wanted(NamedTuple):
    """A file as the cache wants to have it described."""

    request: FileRequest
    is_volatile: bool
    """Whether there may be other bytes under its name one day."""


class CoreMetadata(NamedTuple):
    """The core metadata of a wheel."""

    blob: Blob
    is_volatile: bool
    """As that of the wheel."""


class CachedFiles:
    """The files of the sources."""

    def __init__(self, services: Services, index: Index) -> None:
        self._index = index
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._cache = services.cache
        self._files = ListedFiles(services.catalog, services.leases.seconds, services.cache.used)
        self._own = OwnMetadata(services)
        self._max_bytes = services.settings(PypiSettings).max_file_size
        self._verdicts: dict[tuple[int, int, int], Verdict] = {}
        """What pages say of files that are here, by page, file and bytes."""

    async def wanted(
        self, source: Source, project: ProjectName, filename: str, mark: str = ""
    ) -> Wanted | None:
        """A file, for the cache; None when neither an upstream lists it nor is it here. `mark`: that of the
        bytes that are wanted, see `marks`. Raises UpstreamFailed; NotFound when there are others by now."""
        cached = await self._catalog.find_cached(source.id, path_of(project, filename))
        page_row = None if cached is None else await self._index.current_page(source, project)
        if cached is not None and not await self._is_replaced(source, project, filename, cached, page_row):
            await self._check_mark(mark, filename, cached, page_row)
            hashes = {cached.blob.digest.algorithm: cached.blob.digest.encoded}
            held = _described(project, filename, hashes, cached.blob.size)
            request = self._files.request(source.repository, held, max_bytes=self._max_bytes)
            return Wanted(request, _may_change(source, page_row))
        page = await self._index.page(source, project)
        listed = None if page is None else await self._index.find(page, filename)
        if page is None:
            return None
        if listed is None:
            raise NotFound(f"{project} has no file {filename}")
        if mark not in ("", mark_of(listed.hashes)):
            raise _replaced(filename)
        where = Address(self._index.upstream(source).naming(page.cached), listed.url)
        addresses = (where,) if self._index.is_online(source) else ()
        described = _described(project, filename, listed.hashes, listed.size, addresses)
        stored = None
        if listed.core_metadata is False:
            stored = partial(self._own.offer, source, project, listed)
        request = self._files.request(source.repository, described, max_bytes=self._max_bytes, stored=stored)
        return Wanted(request, _may_change(source, page.cached))

    async def _page_row(self, source: Source, project: ProjectName) -> Cached | None:
        return await self._catalog.find_cached(source.id, page_path(project))

    async def _is_replaced(
        self, source: Source, project: ProjectName, filename: str, cached: Cached, page: Cached | None
    ) -> bool:
        """Whether the page lists other bytes now, as where a file may be uploaded again: what is cached is
        dropped then. The page is looked at once for each file that is here. Raises NotFound when it lists
        the file no more, Denied when the project is quarantined by now (PEP 792)."""
        if page is None:
            return False
        seen = (page.blob.id, cached.id, cached.blob.id)
        verdict = self._verdicts.get(seen)
        if verdict is not None:
            _refuse(verdict, project, filename)
            return False
        listed = await self._index.find_in(page.blob, filename)
        if listed is None:
            is_quarantined = await self._index.is_quarantined(page.blob)
            verdict = Verdict.QUARANTINED if is_quarantined else Verdict.REMOVED
        elif self._index.is_online(source):
            is_file = not cached.path.endswith(METADATA)
            if is_file and await self._has_other_bytes(cached, listed):
                _log.info("%s has other bytes now at the upstream of %s", filename, source.proxy)
                await self._drop(source, project, filename, cached)
                return True
            if not is_file and await self._has_other_metadata(source, project, cached, listed):
                await self._catalog.drop_cached(source.id, cached.path, holding=cached.blob)
                return True
        if len(self._verdicts) >= REMEMBERED:
            self._verdicts.clear()
        self._verdicts[seen] = verdict = verdict or Verdict.LISTED
        _refuse(verdict, project, filename)
        return False

    async def _has_other_bytes(self, cached: Cached, listed: ListedFile) -> bool:
        """Whether a file is another one than is listed now. What is listed by hashes that were not known when
        it came is compared with its bytes, once."""
        blob, told = cached.blob, listed.hashes
        known = {**known_hashes(cached.document), "sha256": blob.digest.encoded}
        if not told:
            return listed.size not in (None, blob.size)
        if common := known.keys() & told.keys():
            return differ(known, told, common)
        async with self._blobs.local_copy(blob) as path:
            return not await asyncio.to_thread(is_right, path, told)

    async def _has_other_metadata(
        self, source: Source, project: ProjectName, cached: Cached, listed: ListedFile
    ) -> bool:
        """Whether core metadata is not that of the file that is listed now, or not what is told of it."""
        mark = mark_in(cached.document)
        if mark and mark_of(listed.hashes) and mark != mark_of(listed.hashes):
            return True
        own = own_metadata(await self._own.additions(source, project), listed.filename, listed.hashes)
        told = listed.core_metadata if own is None else {"sha256": own}
        if isinstance(told, bool):
            return False
        if "sha256" in told:
            return told["sha256"] != cached.blob.digest.encoded
        return not are_right(BytesIO(await self._blobs.read(cached.blob)), told)

    async def _drop(self, source: Source, project: ProjectName, filename: str, cached: Cached) -> None:
        """Forget a file that was replaced, and what was taken out of it."""
        await self._catalog.drop_cached(source.id, cached.path, holding=cached.blob)
        await self._catalog.drop_cached(source.id, cached.path + METADATA)
        await self._own.note(source, project, filename, None)

    async def _check_mark(self, mark: str, filename: str, cached: Cached, page: Cached | None) -> None:
        """Raises NotFound unless a file that is here is the one of this mark."""
        if not mark or mark in marks_of(cached.blob.digest.encoded, cached.document):
            return
        listed = None if page is None else await self._index.find_in(page.blob, filename)
        if listed is None or mark_of(listed.hashes) != mark:
            raise _replaced(filename)

    # -- core metadata -----------------------------------------------------------------------------------

    async def metadata(
        self, source: Source, project: ProjectName, filename: str, mark: str = ""
    ) -> CoreMetadata | None:
        """The core metadata of a wheel, if it is offered; else None. Raises as `wanted`."""
        path = path_of(project, filename)
        cached = await self._catalog.find_cached(source.id, path + METADATA)
        held = cached or await self._catalog.find_cached(source.id, path)
        find_page = self._page_row if held is None else self._index.current_page
        page = await find_page(source, project)
        if cached is not None and not await self._is_replaced(source, project, filename, cached, page):
            if mark not in ("", mark_in(cached.document)):
                await self._check_metadata_mark(source, project, filename, mark, page)
            if self._index.is_online(source) or await self._is_of_held(source, project, filename, cached):
                self._cache.used(cached.id)
                return CoreMetadata(cached.blob, _may_change(source, page))
        try:
            blob = await self._fetch_metadata(source, project, filename, mark)
        except (NotFound, UpstreamFailed):  # NotFound is what a source that is not asked says
            blob = await self._held_metadata(source, project, filename, mark)
            if blob is None:
                raise
        return None if blob is None else CoreMetadata(blob, _may_change(source, page))

    async def _check_metadata_mark(
        self, source: Source, project: ProjectName, filename: str, mark: str, page: Cached | None
    ) -> None:
        wheel = await self._catalog.find_cached(source.id, path_of(project, filename))
        if wheel is not None:
            await self._check_mark(mark, filename, wheel, page)
            return
        listed = None if page is None else await self._index.find_in(page.blob, filename)
        if listed is None or mark_of(listed.hashes) != mark:
            raise _replaced(filename)

    async def _is_of_held(self, source: Source, project: ProjectName, filename: str, cached: Cached) -> bool:
        wheel = await self._catalog.find_cached(source.id, path_of(project, filename))
        return wheel is None or is_of(cached.document, wheel.blob.digest.encoded, wheel.document)

    async def _fetch_metadata(
        self, source: Source, project: ProjectName, filename: str, mark: str
    ) -> Blob | None:
        """From the upstream, or out of the wheel. Raises UpstreamFailed; NotFound when none is offered."""
        page = await self._index.page(source, project)
        listed = None if page is None else await self._index.find(page, filename)
        if page is None or not self._index.is_online(source):
            return await self._held_metadata(source, project, filename, mark)
        upstream = self._index.upstream(source).naming(page.cached)
        own = listed and own_metadata(await self._own.additions(source, project), filename, listed.hashes)
        if listed is None or (listed.core_metadata is False and own is None):
            raise NotFound(f"{project} has no core metadata of {filename}")
        if mark not in ("", mark_of(listed.hashes)):
            raise _replaced(filename)

        async def fetch(_: Cached | None) -> Fetched | None:
            given = await self._given_metadata(upstream, listed)
            return given or await self._extracted(source, project, listed)

        key = CacheKey(
            repository=source.repository, path=path_of(project, filename) + METADATA, package=project
        )
        document = await self._cache.document(key, FOR_GOOD, fetch)
        if document is None:
            raise NotFound(f"{project} has no core metadata of {filename}")
        return document.cached.blob

    async def _held_metadata(
        self, source: Source, project: ProjectName, filename: str, mark: str
    ) -> Blob | None:
        """Out of the wheel, if that is here; kept, as the page will list it."""
        page = await self._page_row(source, project)
        wheel = await self._catalog.find_cached(source.id, path_of(project, filename))
        if wheel is None or await self._is_replaced(source, project, filename, wheel, page):
            return None
        await self._check_mark(mark, filename, wheel, page)
        raw = await self._own.read(filename, wheel.blob)
        listed = None if page is None else await self._index.find_in(page.blob, filename)
        if raw is None or not await self._is_as_listed(source, project, listed, raw):
            return None
        hashes = known_hashes(wheel.document) or {"sha256": wheel.blob.digest.encoded}
        return await self._own.keep(source, project, filename, raw, hashes)

    async def _is_as_listed(
        self, source: Source, project: ProjectName, listed: ListedFile | None, raw: bytes
    ) -> bool:
        """Whether core metadata has the hash that clients were told. Of a source that is not asked the page
        tells them that of what is here."""
        if listed is None or isinstance(listed.core_metadata, bool) or not self._index.is_online(source):
            return True
        own = own_metadata(await self._own.additions(source, project), listed.filename, listed.hashes)
        return own is not None or are_right(BytesIO(raw), listed.core_metadata)

    async def _given_metadata(self, upstream: Upstream, listed: ListedFile) -> Fetched | None:
        """As the upstream has it; None where it is not there, or not what the page says."""
        if listed.core_metadata is False:
            return None
        url = listed.url + METADATA
        reply = await upstream.ask("GET", url, max_bytes=LARGEST_METADATA)
        if reply is None:
            return None
        told = {} if listed.core_metadata is True else listed.core_metadata
        is_whole = bool(told) or reply.is_delimited
        if not (is_whole and _IS_METADATA.search(reply.body) and are_right(BytesIO(reply.body), told)):
            _log.warning("the core metadata at %s is not what its page says", url)
            return None
        document = remember_mark(mark_of(listed.hashes))
        return Fetched(body=reply.body, media_type=TEXT, upstream_url=url, document=document)

    async def _extracted(self, source: Source, project: ProjectName, listed: ListedFile) -> Fetched | None:
        """Out of the wheel, which is fetched if need be."""
        filename = listed.filename
        wanted = await self.wanted(source, project, filename)
        blob = None if wanted is None else await self._cache.stored(wanted.request)
        raw = None if blob is None else await self._own.read(filename, blob)
        if raw is None:
            return None
        mark = mark_of(listed.hashes)
        await self._own.note(source, project, filename, (sha256_of(raw), mark))
        url = path_of(project, filename)
        return Fetched(body=raw, media_type=TEXT, upstream_url=url, document=remember_mark(mark))

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
        document=remember_hashes(hashes),
        addresses=addresses,
    )


def _refuse(verdict: Verdict, project: ProjectName, filename: str) -> None:
    if verdict is Verdict.QUARANTINED:
        raise Denied(f"{project} is quarantined")
    if verdict is Verdict.REMOVED:
        raise NotFound(f"{filename} was removed at the upstream: its page lists it no more")


def _may_change(source: Source, page: Cached | None) -> bool:
    return bool(source.setting.volatile) or is_volatile(page)


def _replaced(filename: str) -> NotFound:
    return NotFound(f"{filename} was replaced at the upstream: the page has its new address")
