"""Uploads in parts, which go on where they ended: a session, and `PUT` with `Content-Range`.

    POST /raw/big.iso                           201, Location: /raw/-/uploads/<id>/big.iso
    PUT  /raw/-/uploads/<id>/big.iso            the file, or a part of it: Content-Range: bytes 0-99/1000
    HEAD /raw/-/uploads/<id>/big.iso            204, Upload-Offset: what is here already

The part that ends where the file does closes the session, and is answered as a PUT of the file itself is; its
conditions and digests count. What came of a part before its sender was gone is kept.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from blacksheep import Response

from nora._speedups import parse_content_range
from nora.catalog.records import Upload
from nora.errors import BadRequest, TooLarge
from nora.formats.base import Services
from nora.formats.raw.resource import Resource
from nora.formats.raw.settings import ANY_SIZE, RawSettings
from nora.formats.raw.upload import PutEndpoint
from nora.http.body import content_length, stream_body


class Part(NamedTuple):
    """Which bytes of a file a body has."""

    start: int
    length: int | None
    total: int | None
    """Of the file; None where that is not known yet."""
    is_last: bool


class UploadEndpoints:
    """The endpoints of sessions."""

    def __init__(self, services: Services, files: PutEndpoint) -> None:
        self._services = services
        self._files = files
        self._uploads = services.uploads
        self._max_size = services.settings(RawSettings).max_file_size or ANY_SIZE
        self._idle_seconds = services.config.server.idle_timeout

    async def open(self, resource: Resource) -> Response:
        """POST: begin a session. It says early what a PUT of the file would say."""
        await self._files.prepare(resource, None)
        principal = resource.principal
        owner = "" if principal.is_anonymous else principal.name
        upload = await self._uploads.open(resource.writable.id, resource.file, owner=owner)
        path = quote(f"{upload.id}/{resource.file}")
        location = f"{resource.base_url}/raw/-/uploads/{path}"
        return _session(201, upload, (b"location", location.encode()))

    async def status(self, resource: Resource) -> Response:
        """GET and HEAD: how many bytes are here."""
        return _session(204, await self._find(resource))

    async def put(self, resource: Resource) -> Response:
        """PUT: a part, or all of it."""
        upload, part = await self._find(resource), _part_of(resource)
        if part.total is not None and part.total > self._max_size:
            raise TooLarge(self._max_size)
        body = stream_body(resource.request, limit=self._max_size, idle_seconds=self._idle_seconds)
        if not part.is_last:
            upload = await self._uploads.append(
                upload, body, start=part.start, length=part.length, max_size=self._max_size
            )
            return _session(202, upload)
        write = await self._files.prepare(resource, part.total, of_message=False)
        live = await self._uploads.publish(
            upload,
            body,
            lambda new: self._files.store(write, new),
            algorithms=write.algorithms,
            start=part.start,
            length=part.length,
            max_size=self._max_size,
        )
        return self._files.answer(resource, write, live.digest)

    async def cancel(self, resource: Resource) -> Response:
        """DELETE: forget the session and its bytes."""
        await self._uploads.cancel(await self._find(resource))
        return Response(204)

    async def _find(self, resource: Resource) -> Upload:
        return await self._uploads.find(resource.target.get("id"), resource.writable.id, resource.file)


def _session(status: int, upload: Upload, *headers: tuple[bytes, bytes]) -> Response:
    return Response(
        status, [*headers, (b"upload-offset", b"%d" % upload.offset), (b"cache-control", b"no-store")]
    )


def _part_of(resource: Resource) -> Part:
    """As `Content-Range` says (RFC 9110, 14.4); without it the body is the whole file. Raises BadRequest."""
    length, text = content_length(resource.request), resource.header(b"content-range")
    if text is None:
        return Part(0, length, length, is_last=True)
    try:
        first, last = parse_content_range(text)
    except ValueError:
        raise BadRequest("Content-Range: expected bytes <first>-<last>/<size of the file>") from None
    size = text.rpartition("/")[2]
    total = int(size) if size.isdigit() else None
    return Part(first, last - first + 1, total, is_last=total == last + 1)
