"""The files of artifacts, and their checksums: answers out of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from blacksheep import Content, Response

from nora.auth.authorizer import Authorizer
from nora.errors import NotFound
from nora.formats.base import Services
from nora.formats.maven.checksums import MEDIA_TYPE, render_checksum
from nora.formats.maven.hosted import Stored, etag_of, newest_build, stored
from nora.formats.maven.names import ArtifactFile
from nora.formats.maven.redeploy import Redeploy
from nora.formats.maven.resource import Resource
from nora.http.conditions import http_date, is_unchanged
from nora.http.send import Header, SizedContent, blob_response
from nora.model import Repository
from nora.proxy.answers import NO_CACHE

_PUBLIC: Final = (b"cache-control", b"public, max-age=31536000, immutable")
_PRIVATE: Final = (b"cache-control", b"private, max-age=31536000, immutable")
_FIELDS: Final = {name: f"x-checksum-{name}".encode() for name in ("sha1", "md5", "sha256", "sha512")}
"""Clients that find these need not ask for the checksums (Maven 3.9, coursier, Gradle)."""


class Files:
    """The endpoints of files."""

    def __init__(self, services: Services, authorizer: Authorizer) -> None:
        self._services = services
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._resolver = services.resolver
        self._redeploy = Redeploy(services)

    async def get(self, resource: Resource, path: ArtifactFile) -> Response:
        """GET and HEAD of a file."""
        resource.count_as("download")
        if resource.may_be_kept:
            stamp = self._resolver.hosted_stamp(resource.repository, path.package)
            resource.keep_while(stamp)

        async def look(hosted: Repository) -> Response | None:
            found = await self._find(hosted, path)
            return found and await self._respond(resource, hosted, path, found)

        found = await self._resolver.find_hosted(resource.repository, look)
        if found is None:
            raise _absent(path)
        return found

    async def checksum(self, resource: Resource, path: ArtifactFile, algorithm: str) -> Response:
        """GET and HEAD of a checksum of a file."""

        async def look(hosted: Repository) -> Response | None:
            found = await self._find(hosted, path)
            return found and self._respond_checksum(
                resource, self._age(resource, hosted, path), found, algorithm
            )

        found = await self._resolver.find_hosted(resource.repository, look)
        if found is None:
            raise _absent(path)
        return found

    def _respond_checksum(self, resource: Resource, age: Header, found: Stored, algorithm: str) -> Response:
        body = render_checksum(found.checksums[algorithm])
        etag = b'"%b"' % body
        head = [age, (b"etag", etag), (b"last-modified", http_date(found.modified))]
        if is_unchanged(resource.request, etag, found.modified):
            return Response(304, head)
        if resource.request.method == "HEAD":
            return Response(200, head, SizedContent(MEDIA_TYPE, len(body)))
        return Response(200, head, Content(MEDIA_TYPE, body))

    async def _find(self, hosted: Repository, path: ArtifactFile) -> Stored | None:
        """A file of a hosted repository. `lib-1.0-SNAPSHOT.jar` is that of the newest build."""
        file = await self._catalog.find_file(hosted.id, path.path)
        if file is None and path.is_mutable:
            rows = await self._catalog.list_package_files(hosted.id, path.package)
            newest = newest_build(rows, path)
            file = None if newest is None else await self._catalog.find_file(hosted.id, newest.path)
        return None if file is None else stored(file)

    async def _respond(
        self, resource: Resource, hosted: Repository, path: ArtifactFile, found: Stored
    ) -> Response:
        return await blob_response(
            resource.request,
            self._services.blobs,
            self._services.memory,
            found.blob,
            media_type=found.media_type.encode(),
            headers=(self._age(resource, hosted, path), *checksum_fields(found.checksums)),
            etag=etag_of(found.blob),
            modified=found.modified,
        )

    def _age(self, resource: Resource, hosted: Repository, path: ArtifactFile) -> Header:
        if self._redeploy.may_change(hosted, path):
            return NO_CACHE
        return _PUBLIC if self._authorizer.is_public(resource.repository) else _PRIVATE


def checksum_fields(checksums: Mapping[str, str]) -> tuple[Header, ...]:
    """What tells checksums together with the bytes that have them."""
    return tuple((_FIELDS[name], value.encode()) for name, value in checksums.items())


def _absent(path: ArtifactFile) -> NotFound:
    return NotFound(f"there is no {path.filename} of {path.package} {path.version}")
