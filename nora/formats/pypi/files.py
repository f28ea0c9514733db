"""Files: wheels and sdists, the core metadata of wheels (PEP 658) and their attestations (PEP 740).

What is hosted is found by one look at the catalog; what is cached by a few, one of them at the page, which
may list other bytes by now. What only an upstream has is described by the page that lists it: where it is,
how long it is and what its digest has to be.
"""

from __future__ import annotations

from typing import Final

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.catalog.records import Blob
from nora.errors import Denied, NotAcceptable, NotFound, quoted
from nora.formats.base import Services
from nora.formats.pypi.cached import CachedFiles
from nora.formats.pypi.hosted import METADATA, path_of, status_of
from nora.formats.pypi.marks import LENGTH
from nora.formats.pypi.names import ProjectName, is_filename, version_of
from nora.formats.pypi.resource import Resource
from nora.formats.pypi.sources import absent
from nora.http.conditions import etag_of
from nora.http.pulls import answer_with
from nora.http.send import blob_response
from nora.model import Digest, Repository
from nora.proxy.answers import file_response
from nora.resolve import Ask, Candidate, Look, Resolution

PROVENANCE: Final = ".provenance"
OCTETS: Final = b"application/octet-stream"
TEXT: Final = b"text/plain; charset=utf-8"
INTEGRITY: Final = b"application/vnd.pypi.integrity.v1+json"
_PUBLIC: Final = (b"cache-control", b"public, max-age=365000000, immutable")
_PRIVATE: Final = (b"cache-control", b"private, max-age=365000000, immutable")
_CHANGES: Final = (b"cache-control", b"no-cache")
_PROVENANCE_AGE: Final = (b"cache-control", b"private, max-age=600")


class Files:
    """The endpoints of files."""

    def __init__(self, services: Services, authorizer: Authorizer, cached: CachedFiles) -> None:
        self._services = services
        self._authorizer = authorizer
        self._cached = cached
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._memory = services.memory
        self._resolver = services.resolver

    async def get(self, resource: Resource) -> Response:
        """GET and HEAD of a file, or of what is beside it: `.metadata`, `.provenance`."""
        filename = resource.filename
        if not resource.target.is_directory:
            for end, answer in ((METADATA, self._metadata), (PROVENANCE, self._provenance)):
                if filename.endswith(end) and is_filename(filename.removesuffix(end)):
                    return await answer(resource, filename.removesuffix(end))
            if is_filename(filename):
                return await self._file(resource, filename)
        raise _no_file(resource)

    async def attestations(self, resource: Resource) -> Response:
        """The integrity API: the attestations of a file, by its release."""
        if is_filename(resource.filename):
            return await self._provenance(resource, resource.filename)
        raise _no_file(resource)

    async def _file(self, resource: Resource, filename: str) -> Response:
        project, path = resource.project, path_of(resource.project, filename)
        resource.count_as("download")

        async def look(hosted: Repository) -> Response | None:
            file = await self._catalog.find_file(hosted.id, path)
            if file is None or resource.mark not in ("", file.blob.digest.encoded[:LENGTH]):
                return None
            await self._check_offered(hosted, project)
            answer_with(resource.request, hosted.id, path)
            return await self._stored(resource, file.blob, OCTETS)

        async def ask(candidate: Candidate) -> Response | None:
            wanted = await self._cached.wanted(candidate.source, project, filename, resource.mark)
            if wanted is None:
                return None
            return await file_response(
                resource.request,
                self._services,
                wanted.request,
                headers=(self._age(resource, is_volatile=wanted.is_volatile),),
                etag=_known_etag(wanted.request.expect.digest),
                what=filename,
            )

        return await self._find(resource, look, ask)

    async def _metadata(self, resource: Resource, filename: str) -> Response:
        project = resource.project

        async def look(hosted: Repository) -> Response | None:
            file = await self._catalog.find_file(hosted.id, path_of(project, filename) + METADATA)
            if file is None or resource.mark:
                return None
            await self._check_offered(hosted, project)
            return await self._stored(resource, file.blob, TEXT)

        async def ask(candidate: Candidate) -> Response | None:
            found = await self._cached.metadata(candidate.source, project, filename, resource.mark)
            if found is None:
                return None
            return await self._stored(resource, found.blob, TEXT, is_volatile=found.is_volatile)

        return await self._find(resource, look, ask)

    async def _provenance(self, resource: Resource, filename: str) -> Response:
        accept = resource.accept or "*/*"
        if "json" not in accept and "*/*" not in accept and "application/*" not in accept:
            raise NotAcceptable((INTEGRITY.decode(),))

        async def look(hosted: Repository) -> Response | None:
            if await self._catalog.find_file(hosted.id, path_of(resource.project, filename)) is None:
                return None
            raise _no_file(resource)  # what upstreams attest of a file of this name is not about ours

        async def ask(candidate: Candidate) -> Response | None:
            blob = await self._cached.provenance(candidate.source, resource.project, filename)
            if blob is None:
                return None
            return await blob_response(
                resource.request,
                self._blobs,
                self._memory,
                blob,
                media_type=INTEGRITY,
                headers=(_PROVENANCE_AGE, (b"vary", b"Accept")),
                etag=etag_of(blob.digest),
            )

        return await self._find(resource, look, ask)

    async def _find(self, resource: Resource, look: Look[Response], ask: Ask[Response]) -> Response:
        """What a hosted repository answers, else the source of the name."""
        repository, project = resource.repository, resource.project
        found = await self._resolver.find_hosted(repository, look)
        if found is not None:
            return found
        resolution = await self._resolver.resolve(repository, project)
        if blocks := self._catalog.blocks():  # also what lies beside a file
            filename = resource.filename.removesuffix(METADATA).removesuffix(PROVENANCE)
            for candidate in resolution.candidates:
                blocks.check(*candidate.key, versions=(version_of(filename),))
        found = await self._resolver.first(resolution, ask)
        if found is None:
            raise await self._absence(resource, resolution)
        return found

    async def _stored(
        self, resource: Resource, blob: Blob, media_type: bytes, *, is_volatile: bool = False
    ) -> Response:
        return await blob_response(
            resource.request,
            self._blobs,
            self._memory,
            blob,
            media_type=media_type,
            headers=(self._age(resource, is_volatile=is_volatile),),
            etag=etag_of(blob.digest),
        )

    def _age(self, resource: Resource, *, is_volatile: bool) -> tuple[bytes, bytes]:
        """Immutable is what never has other bytes: where files are replaced, an address with their mark."""
        if is_volatile and not resource.mark:
            return _CHANGES
        return _PUBLIC if self._authorizer.is_public(resource.repository) else _PRIVATE

    async def _check_offered(self, hosted: Repository, project: ProjectName) -> None:
        """A project that is quarantined offers nothing, whoever knows the address (PEP 792)."""
        package = await self._catalog.find_package(hosted.id, project)
        if package is not None and package.document != b"{}" and status_of(package)[0] == "quarantined":
            raise Denied(f"{project} is quarantined")

    async def _absence(self, resource: Resource, resolution: Resolution) -> NotFound | Denied:
        if resolution.ours and not await self._resolver.is_known(resource.repository, resource.project):
            return absent(resolution)
        return _no_file(resource)


def _known_etag(digest: Digest | None) -> bytes | None:
    """None where the sha256 is not known before the bytes are here."""
    return None if digest is None or digest.algorithm != "sha256" else etag_of(digest)


def _no_file(resource: Resource) -> NotFound:
    return NotFound(f"{resource.project} has no file {quoted(resource.filename)}")
