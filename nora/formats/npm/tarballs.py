"""Tarballs: `/npm/<package>/-/<file>.tgz`, as documents say, and as npm and yarn put it together themselves.

What is hosted or cached is found by a look at the catalog. What only an upstream has is described by its
packument: where it is and what its hashes have to be. That is asked for first if need be: lock files lead
here without it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.catalog.records import Cached
from nora.errors import NotFound, VersionNotFound, quoted
from nora.formats.base import Services
from nora.formats.npm.held import known_hashes, remember
from nora.formats.npm.names import is_filename
from nora.formats.npm.resource import Resource
from nora.formats.npm.settings import NpmSettings
from nora.formats.npm.sources import absent
from nora.formats.npm.upstream import Index, document_path, tarball_path
from nora.http.conditions import etag_of
from nora.http.pulls import answer_with
from nora.http.send import Header, blob_response
from nora.model import Repository
from nora.proxy.answers import file_response
from nora.proxy.base import Address, FileRequest
from nora.proxy.listed_files import ListedFiles, UpstreamFile
from nora.resolve import Ask, Candidate, Look, Source

MEDIA_TYPE: Final = "application/octet-stream"
_PUBLIC: Final = (b"cache-control", b"public, max-age=31557600, immutable")
_PRIVATE: Final = (b"cache-control", b"private, max-age=31557600, immutable")
REMEMBERED: Final = 4096


class Tarballs:
    """The endpoints of tarballs."""

    def __init__(self, services: Services, authorizer: Authorizer, index: Index) -> None:
        self._services = services
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._resolver = services.resolver
        self._index = index
        self._files = ListedFiles(services.catalog, services.leases.seconds, services.cache.used)
        self._max_bytes = services.settings(NpmSettings).max_file_size
        self._agreed: OrderedDict[tuple[int, int], None] = OrderedDict()
        """Packuments and tarballs of which is known that they are of one mind."""

    async def get(self, resource: Resource) -> Response:
        """GET and HEAD of a tarball."""
        name, filename = resource.name, resource.filename
        if not is_filename(filename):
            raise NotFound(f"{name} has no file {quoted(filename)}: tarballs end in .tgz")
        path = tarball_path(name, filename)
        resource.count_as("download")

        async def look(hosted: Repository) -> Response | None:
            file = await self._catalog.find_file(hosted.id, path)
            if file is None:
                return None
            answer_with(resource.request, file.repository_id, file.path)
            return await blob_response(
                resource.request,
                self._services.blobs,
                self._services.memory,
                file.blob,
                media_type=MEDIA_TYPE.encode(),
                headers=self._headers(resource),
                etag=etag_of(file.blob.digest),
            )

        async def ask(candidate: Candidate) -> Response | None:
            wanted = await self._wanted(candidate.source, resource, path)
            if wanted is None:
                return None
            digest = wanted.expect.digest
            return await file_response(
                resource.request,
                self._services,
                wanted,
                headers=self._headers(resource),
                etag=etag_of(digest) if digest is not None and digest.algorithm == "sha256" else None,
                what=filename,
            )

        return await self._find(resource, look, ask)

    async def _find(self, resource: Resource, look: Look[Response], ask: Ask[Response]) -> Response:
        """What a hosted repository answers, else the source of the name."""
        repository, name, filename = resource.repository, resource.name, resource.filename
        found = await self._resolver.find_hosted(repository, look)
        if found is not None:
            return found
        resolution = await self._resolver.resolve(repository, name)
        if blocks := self._catalog.blocks():
            for candidate in resolution.candidates:
                blocks.check(*candidate.key, versions=(name.version_in(filename),))
        found = await self._resolver.first(resolution, ask)
        if found is None and resolution.ours and await self._resolver.is_known(repository, name):
            raise NotFound(f"{name} has no file {quoted(filename)}")
        if found is None:
            raise absent(resolution)
        return found

    async def _wanted(self, source: Source, resource: Resource, path: str) -> FileRequest | None:
        """A tarball, for the cache; None when the source has no such package. Raises UpstreamFailed;
        VersionNotFound."""
        name, filename = resource.name, resource.filename
        cached = await self._catalog.find_cached(source.id, path)
        if cached is not None and not await self._is_replaced(source, resource, cached):
            hashes = {cached.blob.digest.algorithm: cached.blob.digest.encoded}
            return self._request(source, resource, path, cached.version or "", hashes)
        document = await self._index.document(source, name)
        if document is None:
            return None
        listed = await self._index.find(document.cached.blob, name, filename)
        if listed is None:
            raise VersionNotFound(f"{name} has no file {quoted(filename)}")
        where = Address(self._index.upstream(source).naming(document.cached), listed.url)
        addresses = (where,) if self._index.is_online(source) else ()
        return self._request(
            source, resource, path, listed.version, listed.hashes, addresses, listed.manifest
        )

    async def _is_replaced(self, source: Source, resource: Resource, cached: Cached) -> bool:
        """Whether the packument lists other bytes now, as where a version may be published again: what is
        cached is dropped then. The packument is not asked for again, and looked at once for each file."""
        row = await self._catalog.find_cached(source.id, document_path(resource.name))
        if row is None or not self._index.is_online(source):
            return False
        seen = (row.blob.id, cached.id)
        if seen in self._agreed:
            return False
        listed = await self._index.find(row.blob, resource.name, resource.filename)
        if listed is not None and differ(cached, listed.hashes):
            await self._catalog.drop_cached(source.id, cached.path, holding=cached.blob)
            return True
        self._agreed[seen] = None
        if len(self._agreed) > REMEMBERED:
            self._agreed.popitem(last=False)
        return False

    def _request(
        self,
        source: Source,
        resource: Resource,
        path: str,
        version: str,
        hashes: Mapping[str, str],
        addresses: tuple[Address, ...] = (),
        manifest: dict[str, Any] | None = None,
    ) -> FileRequest:
        file = UpstreamFile(
            path=path,
            package=resource.name,
            version=version or None,
            media_type=MEDIA_TYPE,
            hashes=hashes,
            document=remember(hashes, manifest),
            addresses=addresses,
        )
        return self._files.request(
            source.repository,
            file,
            max_bytes=self._max_bytes,
            is_listed=lambda cached: not differ(cached, hashes),
        )

    def _headers(self, resource: Resource) -> tuple[Header, ...]:
        return (_PUBLIC if self._authorizer.is_public(resource.repository) else _PRIVATE,)


def differ(cached: Cached, hashes: Mapping[str, str]) -> bool:
    """Whether a packument lists other bytes than those that are here, as far as that can be told by the
    hashes that were listed when they came."""
    known = {**known_hashes(cached.document), "sha256": cached.blob.digest.encoded}
    return any(known[name] != hashes[name] for name in known.keys() & hashes.keys())
