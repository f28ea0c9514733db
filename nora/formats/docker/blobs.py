"""Blobs: pull and delete (distribution-spec end-2, end-10). They are pushed through `uploads`."""

from __future__ import annotations

from blacksheep import Response

from nora.catalog.records import Blob
from nora.errors import BlobNotFound, PackageNotFound, quoted
from nora.formats.base import Services
from nora.formats.docker.authorizer import Authorizer
from nora.formats.docker.mirror import Mirror
from nora.formats.docker.names import Image
from nora.formats.docker.resource import API_VERSION, Resource
from nora.http.send import blob_response
from nora.model import Digest

_OCTETS = b"application/octet-stream"
_PUBLIC = (b"cache-control", b"public, max-age=31536000, immutable")
_PRIVATE = (b"cache-control", b"private, max-age=31536000, immutable")
"""For what not everybody may read: `public` would let shared caches give it to all (RFC 9111, 3.5)."""


class Blobs:
    """The endpoints of one blob. A blob is visible in the images that it was pushed or mounted to."""

    def __init__(self, services: Services, authorizer: Authorizer, mirror: Mirror) -> None:
        self._authorizer = authorizer
        self._mirror = mirror
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._memory = services.memory
        self._leases = services.leases

    async def get(self, resource: Resource) -> Response:
        """GET and HEAD, with ranges. A HEAD hit renews the lease: the client will not upload again."""
        image = resource.image
        digest = Digest(resource.reference)
        blob: Blob | None = None
        for repository in image.repository.readable:
            if repository.kind == "proxy":
                continue  # what is cached there is for names only that are not ours
            blob = await self._catalog.find_linked_blob(repository.id, image.package, digest)
            if blob is not None:
                if resource.request.method == "HEAD":
                    self._leases.note(repository.id, image.package, blob)
                break
        else:
            blob = await self._mirror.find_blob(image, digest)
        name = digest.encode()
        etag = b'"%b"' % name
        headers = (
            API_VERSION,
            (b"docker-content-digest", name),
            _PUBLIC if self._authorizer.is_public(image.repository) else _PRIVATE,
        )
        if blob is None:
            response = await self._mirror.blob(resource, digest, headers=headers, etag=etag)
            if response is None:
                raise await self._absent(image, digest)
            return response
        return await blob_response(
            resource.request,
            self._blobs,
            self._memory,
            blob,
            media_type=_OCTETS,
            headers=headers,
            etag=etag,
        )

    async def delete(self, resource: Resource) -> Response:
        """Take a blob out of an image; other images keep it."""
        image = resource.image
        digest = Digest(resource.reference)
        resource.audit_image("delete", digest)
        if not await self._catalog.unlink_blob(image.target.id, image.package, digest):
            raise await self._absent(image, digest)
        return Response(202, [API_VERSION])

    async def _absent(self, image: Image, digest: Digest) -> BlobNotFound | PackageNotFound:
        for repository in image.repository.readable:
            if await self._catalog.has_package(repository.id, image.package):
                return BlobNotFound(f"{quoted(image.full_name)} has no blob {digest}")
        return PackageNotFound(f"there is no image {quoted(image.full_name)}")
