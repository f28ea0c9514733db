"""Blob uploads: whole, streamed and in chunks, and mounts (distribution-spec end-4 to end-6, end-11,
end-13, end-14). The rules of a session are in nora.blobs.uploads; here they meet the wire."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator

from blacksheep import Response

from nora._speedups import is_digest, parse_content_range
from nora.catalog.records import Upload
from nora.errors import BadRequest, InvalidDigest, InvalidName
from nora.formats.base import Services
from nora.formats.docker.authorizer import Authorizer
from nora.formats.docker.names import Image, Images
from nora.formats.docker.resource import API_VERSION, Resource, link_base
from nora.formats.docker.settings import DockerSettings
from nora.formats.docker.upstream import Remotes
from nora.http.body import content_length, stream_body
from nora.model import Digest, Repository

_ALGORITHMS = ("sha256", "sha512")
_MOUNT_SOURCES = 16
"""Holders of a blob that an anonymous mount looks at."""


class UploadEndpoints:
    """The endpoints of uploads."""

    def __init__(self, services: Services, images: Images, authorizer: Authorizer, remotes: Remotes) -> None:
        self._images = images
        self._authorizer = authorizer
        self._readers: dict[int, list[Repository]] = defaultdict(list)
        """The repositories that read rows, by the id of these."""
        for repository in images.repositories:
            for number in repository.row_ids:
                self._readers[number].append(repository)
        self._remotes = remotes
        self._claims = services.claims
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._uploads = services.uploads
        self._settings = services.settings(DockerSettings)
        self._lease = services.leases.seconds
        self._base = link_base(services.config)
        self._idle_seconds = services.config.server.idle_timeout

    async def open(self, resource: Resource) -> Response:
        """POST: mount a blob, take a whole one, or open a session - in this order, as asked."""
        image = resource.image
        target = image.target
        await self._claims.require(resource, image.package, self._remotes.spelled(image))
        self._catalog.blocks().check(target.id, image.package)
        if (digest := resource.parameter("mount")) is not None:
            mounted = await self._mount(resource, digest, resource.parameter("from"))
            if mounted is not None:
                resource.audit_image("write", mounted)
                return self._created(image, mounted)
        elif (text := resource.parameter("digest")) is not None:
            whole = Digest(text)
            self._catalog.blocks().check(target.id, image.package, digests=(whole,))
            resource.audit_image("write", whole)
            await self._uploads.put(
                target.id,
                image.package,
                self._body(resource),
                digest=whole,
                length=content_length(resource.request),
            )
            return self._created(image, whole)
        algorithm = resource.parameter("digest-algorithm") or "sha256"
        if algorithm not in _ALGORITHMS:
            raise InvalidDigest(f"digest-algorithm must be one of {', '.join(_ALGORITHMS)}")
        principal = resource.principal
        owner = "" if principal.is_anonymous else principal.name
        upload = await self._uploads.open(target.id, image.package, algorithm, owner)
        return self._session(202, image, upload, is_new=True)

    async def status(self, resource: Resource) -> Response:
        """GET: how far the session is."""
        image, upload = await self._find(resource)
        return self._session(204, image, upload)

    async def append(self, resource: Resource) -> Response:
        """PATCH: the next chunk, with `Content-Range`, or just more bytes, without."""
        image, upload = await self._find(resource)
        start, length = self._chunk(resource)
        upload = await self._uploads.append(upload, self._body(resource), start=start, length=length)
        return self._session(202, image, upload)

    async def finish(self, resource: Resource) -> Response:
        """PUT: the last chunk, if there is one, and the digest of the whole."""
        image, upload = await self._find(resource)
        text = resource.parameter("digest")
        if text is None:
            raise InvalidDigest("the closing PUT names the blob's digest: ?digest=<algorithm>:<hex>")
        digest = Digest(text)
        # The name may have been released, and be another's, since the session was opened
        await self._claims.require(resource, image.package, self._remotes.spelled(image))
        resource.audit_image("write", digest)
        start, length = self._chunk(resource)
        await self._uploads.finish(
            upload, None if length == 0 else self._body(resource), digest=digest, start=start, length=length
        )
        return self._created(image, digest)

    async def cancel(self, resource: Resource) -> Response:
        """DELETE: forget the session and its bytes."""
        _, upload = await self._find(resource)
        resource.audit_image("write")
        await self._uploads.cancel(upload)
        return Response(204, [API_VERSION])

    async def _find(self, resource: Resource) -> tuple[Image, Upload]:
        image = resource.image
        return image, await self._uploads.find(resource.reference, image.target.id, image.package)

    async def _mount(self, resource: Resource, text: str, source: str | None) -> Digest | None:
        """Mounts on any doubt nothing: the client then uploads (distribution-spec, Mounting a blob).

        Nor from where the caller may not read: who knows a digest would get the bytes. What counts is all
        that they may read, not what their session was made for: clients ask for the target alone.
        """
        if not is_digest(text):
            return None
        digest = Digest(text)
        image = resource.image
        principal = self._authorizer.holder(resource.request, resource.principal)
        holders: list[tuple[int, str]] = []
        if source is None:
            for holder, package in await self._catalog.list_blob_holders(digest, _MOUNT_SOURCES):
                if any(self._authorizer.may_read(principal, one, package) for one in self._readers[holder]):
                    holders.append((holder, package))
        else:
            try:
                origin = self._images.resolve(source)
            except InvalidName:
                return None
            if self._authorizer.may_read(principal, origin.repository, origin.package):
                holders = self._remotes.row_keys(origin)
        if not holders:
            return None
        blob = await self._catalog.mount_blob(digest, holders, image.target.id, image.package, self._lease)
        return digest if blob is not None and await self._blobs.is_whole(blob) else None

    def _chunk(self, resource: Resource) -> tuple[int | None, int | None]:
        """Where the body starts and how long it is, as far as the client says so."""
        length = content_length(resource.request)
        text = resource.header(b"content-range")
        if text is None:
            return None, length
        try:
            first, last = parse_content_range(text)
        except ValueError:
            raise BadRequest("Content-Range of a chunk is <first>-<last>, both inclusive") from None
        return first, last - first + 1

    def _body(self, resource: Resource) -> AsyncIterator[bytes]:
        return stream_body(
            resource.request, limit=self._settings.max_upload_size, idle_seconds=self._idle_seconds
        )

    def _session(self, status: int, image: Image, upload: Upload, *, is_new: bool = False) -> Response:
        location = f"{self._base}/v2/{image.full_name}/blobs/uploads/{upload.id}"
        headers = [
            API_VERSION,
            (b"location", location.encode()),
            (b"docker-upload-uuid", upload.id.encode()),
            # `Range` cannot tell an empty session from one of a single byte
            (b"x-nora-upload-offset", b"%d" % upload.offset),
        ]
        if upload.offset or not is_new:  # clients want one after they have sent something, and when they ask
            headers.append((b"range", b"0-%d" % max(upload.offset - 1, 0)))
        return Response(status, headers)

    def _created(self, image: Image, digest: Digest) -> Response:
        location = f"{self._base}/v2/{image.full_name}/blobs/{digest}"
        return Response(
            201, [API_VERSION, (b"location", location.encode()), (b"docker-content-digest", digest.encode())]
        )
