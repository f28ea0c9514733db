"""Crate files: `/cargo/dl/<crate>/<version>/<sha256>.crate`, as `config.json` says, and as old clients do
`/cargo/api/v1/crates/<crate>/<version>/download`."""

from __future__ import annotations

import re
from typing import Final

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.errors import NotFound, UpstreamFailed, VersionNotFound, quoted
from nora.formats.base import Services
from nora.formats.cargo.hosted import path_of
from nora.formats.cargo.index import remember
from nora.formats.cargo.names import CrateName, parse_version
from nora.formats.cargo.resource import Resource
from nora.formats.cargo.settings import CargoSettings
from nora.formats.cargo.sources import absent
from nora.formats.cargo.upstream import Index, crate_folder
from nora.http.conditions import etag_of
from nora.http.pulls import answer_with
from nora.http.send import Header, blob_response
from nora.model import Repository
from nora.proxy.answers import file_response
from nora.proxy.base import Address, FileRequest
from nora.proxy.listed_files import ListedFiles, UpstreamFile
from nora.resolve import Ask, Candidate, Source

MEDIA_TYPE: Final = "application/x-tar"
_PUBLIC: Final = (b"cache-control", b"public, max-age=31536000, immutable")
_PRIVATE: Final = (b"cache-control", b"private, max-age=31536000, immutable")
_checksum = re.compile(r"([0-9a-f]{64})\.crate").fullmatch


class CrateFiles:
    """The endpoints of crate files."""

    def __init__(self, services: Services, authorizer: Authorizer, index: Index) -> None:
        self._services = services
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._resolver = services.resolver
        self._index = index
        self._files = ListedFiles(services.catalog, services.leases.seconds, services.cache.used)
        self._max_bytes = services.settings(CargoSettings).max_crate_size

    async def get(self, resource: Resource) -> Response:
        """GET and HEAD of a crate file."""
        crate, version = resource.crate, parse_version(resource.version)
        checksum, filename = "", resource.target.get("filename")
        if filename:
            said = _checksum(filename)
            if said is None:
                raise NotFound(f"there is no {quoted(filename)}: the name of a crate file is its sha256")
            checksum = said[1]
        resource.count_as("download")

        async def look(hosted: Repository) -> Response | None:
            file = await self._catalog.find_file(hosted.id, path_of(crate, version))
            if file is None or file.version != version or checksum not in ("", file.blob.digest.encoded):
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
            wanted = await self._wanted(candidate.source, crate, version, checksum)
            if wanted is None:
                return None
            digest = wanted.expect.digest
            assert digest is not None  # the index tells it
            return await file_response(
                resource.request,
                self._services,
                wanted,
                headers=self._headers(resource),
                etag=etag_of(digest),
                what=f"crate {crate.spelled} {version}",
            )

        found = await self._resolver.find_hosted(resource.repository, look)
        return found or await self._cached(resource, version, checksum, ask)

    async def _cached(self, resource: Resource, version: str, checksum: str, ask: Ask[Response]) -> Response:
        """What the source of the crate has."""
        resolution = await self._resolver.resolve(resource.repository, resource.crate)
        if blocks := self._catalog.blocks():
            digests = (f"sha256:{checksum}",) if checksum else ()
            for candidate in resolution.candidates:
                blocks.check(*candidate.key, versions=(version,), digests=digests)
        found = await self._resolver.first(resolution, ask)
        if found is None:
            raise absent(resource.crate, self._resolver.offline_hint(resource.repository))
        return found

    async def _wanted(
        self, source: Source, crate: CrateName, version: str, checksum: str
    ) -> FileRequest | None:
        """A crate file, for the cache; None when the source has no such crate. Raises UpstreamFailed;
        VersionNotFound."""
        path = f"{crate_folder(crate)}{version}.crate"
        cached = await self._catalog.find_cached(source.id, path)
        if cached is not None and checksum in ("", cached.blob.digest.encoded):
            return self._request(source, crate, version, path, cached.blob.digest.encoded)
        document = await self._index.file(source, crate)
        if document is None:
            return None
        line = await self._index.find(document, crate, version)
        if line is None:
            raise VersionNotFound(f"there is no version {version} of {crate.spelled}")
        if not line.checksum:
            raise UpstreamFailed(f"the index of {crate.spelled} tells no checksum of {version}")
        if checksum not in ("", line.checksum):
            raise VersionNotFound(f"{crate.spelled} {version} has the sha256 {line.checksum}")
        if cached is not None and cached.blob.digest.encoded != line.checksum:  # it was replaced there
            await self._catalog.drop_cached(source.id, path, holding=cached.blob)
        addresses = (await self._index.address(source, line),) if self._index.is_online(source) else ()
        return self._request(source, crate, version, path, line.checksum, addresses, remember(line))

    def _request(
        self,
        source: Source,
        crate: CrateName,
        version: str,
        path: str,
        checksum: str,
        addresses: tuple[Address, ...] = (),
        document: bytes = b"{}",
    ) -> FileRequest:
        file = UpstreamFile(
            path=path,
            package=crate,
            version=version,
            media_type=MEDIA_TYPE,
            hashes={"sha256": checksum},
            document=document,
            addresses=addresses,
        )
        return self._files.request(source.repository, file, max_bytes=self._max_bytes)

    def _headers(self, resource: Resource) -> tuple[Header, ...]:
        return (_PUBLIC if self._authorizer.is_public(resource.repository) else _PRIVATE,)
