"""Blobs: pull and delete (distribution-spec end-2, end-10). They are pushed through `uploads`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from blacksheep import Response

from nora.catalog.records import Blob
from nora.errors import BlobNotFound, NotFound, PackageNotFound
from nora.formats.base import Services
from nora.formats.docker.authorizer import Authorizer
from nora.formats.docker.names import Image
from nora.formats.docker.pull_through import MayRead, PullThrough
from nora.formats.docker.resource import API_VERSION, Resource
from nora.formats.docker.settings import DockerSettings
from nora.formats.docker.upstream import Remotes
from nora.http.kept_answers import Stamp
from nora.http.send import Header, blob_response
from nora.model import Digest, Repository
from nora.proxy.answers import file_response
from nora.proxy.base import FileRequest
from nora.resolve import Candidate, Resolution

_OCTETS = b"application/octet-stream"
_PUBLIC = (b"cache-control", b"public, max-age=31536000, immutable")
_PRIVATE = (b"cache-control", b"private, max-age=31536000, immutable")
"""For what not everybody may read: `public` would let shared caches give it to all (RFC 9111, 3.5)."""


class Blobs:
    """The endpoints of one blob. A blob is visible in the images that it was pushed or mounted to."""

    def __init__(
        self, services: Services, authorizer: Authorizer, remotes: Remotes, pull: PullThrough
    ) -> None:
        self._authorizer = authorizer
        self._remotes = remotes
        self._pull = pull
        self._services = services
        self._resolver = services.resolver
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._memory = services.memory
        self._leases = services.leases
        self._settings = services.settings(DockerSettings)

    async def get(self, resource: Resource) -> Response:
        """GET and HEAD of a blob of an image."""
        """GET and HEAD, with ranges. A HEAD hit renews the lease: the client will not upload again."""
        image = resource.image
        digest = Digest(resource.reference)
        stamp: Stamp | None = None
        if resource.may_be_kept:
            stamp = self._resolver.hosted_stamp(image.repository, image.package)

        async def look(hosted: Repository) -> Blob | None:
            nonlocal stamp
            blob = await self._catalog.find_linked_blob(hosted.id, image.package, digest)
            if blob is None or resource.request.method != "HEAD":
                return blob
            if not await self._blobs.is_whole(blob):  # so that what was lost is pushed again
                return None
            renew = partial(self._leases.note, hosted.id, image.package, blob)
            renew()
            path = self._blobs.path(blob) if stamp is not None else None
            stamp = _WhileThere(stamp, Path(path), blob.size, renew) if stamp and path else None
            return blob

        blob = await self._resolver.find_hosted(image.repository, look)
        if blob is None:
            return await self._cached(resource, digest, await self._remotes.resolve(image))
        resource.keep_while(stamp)
        return await self._stored(resource, digest, blob)

    async def _cached(self, resource: Resource, digest: Digest, resolution: Resolution) -> Response:
        """What came from an upstream, or comes now."""

        may_read = self._reading(resource)

        async def look(candidate: Candidate) -> Blob | FileRequest | None:
            blob = await self._pull.find_blob(candidate, digest)
            return blob if blob is not None else await self._pull.blob(candidate, digest, may_read)

        found: Blob | FileRequest | None = await self._resolver.held(resolution, look)
        if found is None:
            raise await self._absent(resource.image, digest)
        if isinstance(found, Blob):
            return await self._stored(resource, digest, found)
        try:
            return await file_response(
                resource.request,
                self._services,
                found,
                headers=self._headers(resource.image, digest),
                etag=_etag(digest),
                what=f"blob {digest} of {resource.image.full_name}",
            )
        except NotFound as error:
            raise BlobNotFound(str(error)) from error

    def _reading(self, resource: Resource) -> MayRead | None:
        """Whether who asks may read another image of the repository; None: everybody may read all."""
        repository = resource.image.repository
        if self._authorizer.is_public(repository):
            return None
        holder = self._authorizer.holder(resource.request, resource.principal)
        return partial(self._authorizer.may_read, holder, repository)

    async def _stored(self, resource: Resource, digest: Digest, blob: Blob) -> Response:
        return await blob_response(
            resource.request,
            self._blobs,
            self._memory,
            blob,
            media_type=_OCTETS,
            headers=self._headers(resource.image, digest),
            etag=_etag(digest),
        )

    def _headers(self, image: Image, digest: Digest) -> tuple[Header, ...]:
        return (
            API_VERSION,
            (b"docker-content-digest", digest.encode()),
            _PUBLIC if self._authorizer.is_public(image.repository) else _PRIVATE,
        )

    async def delete(self, resource: Resource) -> Response:
        """Take a blob out of an image; other images keep it."""
        image = resource.image
        digest = Digest(resource.reference)
        resource.audit_image("delete", digest)
        kept = self._settings.kept_tags
        if not await self._catalog.unlink_blob(image.target.id, image.package, digest, kept=kept):
            raise await self._absent(image, digest)
        return Response(202, [API_VERSION])

    async def _absent(self, image: Image, digest: Digest) -> BlobNotFound | PackageNotFound:
        if await self._remotes.is_known(image):
            return BlobNotFound(f"{image.full_name} has no blob {digest}")
        return PackageNotFound(f"there is no image {image.full_name}")


class _WhileThere:
    """The stamp of the answer to a HEAD, for which its file is looked at and its lease renewed each time."""

    def __init__(self, stamp: Stamp, file: Path, size: int, renew: Callable[[], None]) -> None:
        self._stamp = stamp
        self._file = file
        self._size = size
        self._renew = renew

    def holds(self) -> bool:
        if not self._stamp.holds():
            return False
        try:
            is_there = self._file.stat().st_size == self._size
        except OSError:
            return False  # what that means is found out where the answer is made anew
        if is_there:
            self._renew()
        return is_there


def _etag(digest: Digest) -> bytes:
    return b'"%b"' % digest.encode()
