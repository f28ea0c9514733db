"""Uploads in parts, which go on where they ended: a session, and `PUT` with `Content-Range`.

    POST /raw/big.iso                           201, Location: /raw/-/uploads/<id>/big.iso
    PUT  /raw/-/uploads/<id>/big.iso            the file, or a part of it: Content-Range: bytes 0-99/1000
    HEAD /raw/-/uploads/<id>/big.iso            204, Upload-Offset: what is here already

The part that ends where the file does closes the session, and is answered as a PUT of the file itself is; its
conditions and digests count. What came of a part before its sender was gone is kept.

For formats whose files have paths, which are the names of their packages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import quote

from blacksheep import Response

from nora._speedups import parse_content_range
from nora.catalog.records import Upload
from nora.errors import BadRequest, TooLarge
from nora.formats.base import Services
from nora.formats.file_uploads import FileUploads
from nora.http.body import content_length, stream_body
from nora.http.context import PathContext
from nora.http.router import Endpoint

ANY_SIZE: Final = 1 << 62
"""Larger than any file."""


class Part(NamedTuple):
    """Which bytes of a file a body has."""

    start: int
    length: int | None
    total: int | None
    """Of the file; None where that is not known yet."""
    is_last: bool


class ResumableUploads:
    """The endpoints of sessions."""

    def __init__(self, services: Services, files: FileUploads) -> None:
        self._files = files
        self._mount = files.mount
        self._uploads = services.uploads
        self._max_size = files.max_size or ANY_SIZE
        self._idle_seconds = services.config.server.idle_timeout

    def endpoints(self) -> Iterator[Endpoint[PathContext]]:
        """For the table of the format, whose paths are `{path...}`."""
        session = f"{self._mount}/-/uploads/{{id}}/{{path...}}"
        yield Endpoint("POST", f"{self._mount}/{{path...}}", "write", self.open)
        yield Endpoint("GET HEAD", session, "write", self.status)
        yield Endpoint("PUT", session, "write", self.put)
        yield Endpoint("DELETE", session, "write", self.cancel)

    async def open(self, context: PathContext) -> Response:
        """POST: begin a session. It says early what a PUT of the file would say."""
        if content_length(context.request):
            raise BadRequest("a POST opens an upload and has no body: send the file itself with PUT")
        await self._files.prepare(context, None)
        principal = context.principal
        owner = "" if principal.is_anonymous else principal.name
        upload = await self._uploads.open(context.writable.id, context.name, owner=owner)
        path = quote(f"{upload.id}/{context.name}")
        location = f"{context.base_url}{self._mount}/-/uploads/{path}"
        return _session(201, upload, (b"location", location.encode()))

    async def status(self, context: PathContext) -> Response:
        """GET and HEAD: how many bytes are here."""
        return _session(204, await self._find(context))

    async def put(self, context: PathContext) -> Response:
        """PUT: a part, or all of it."""
        upload, part = await self._find(context), _part_of(context)
        if part.total is not None and part.total > self._max_size:
            raise TooLarge(self._max_size)
        body = stream_body(context.request, limit=self._max_size, idle_seconds=self._idle_seconds)
        if not part.is_last:
            upload = await self._uploads.append(
                upload, body, start=part.start, length=part.length, max_size=self._max_size
            )
            return _session(202, upload)
        write = await self._files.prepare(context, part.total, of_message=False)
        live = await self._uploads.publish(
            upload,
            body,
            lambda new: self._files.store(write, new),
            algorithms=write.algorithms,
            start=part.start,
            length=part.length,
            max_size=self._max_size,
        )
        return self._files.answer(context, write, live.digest)

    async def cancel(self, context: PathContext) -> Response:
        """DELETE: forget the session and its bytes."""
        await self._uploads.cancel(await self._find(context))
        return Response(204)

    async def _find(self, context: PathContext) -> Upload:
        return await self._uploads.find(context.target.get("id"), context.writable.id, context.name)


def _session(status: int, upload: Upload, *headers: tuple[bytes, bytes]) -> Response:
    return Response(
        status, [*headers, (b"upload-offset", b"%d" % upload.offset), (b"cache-control", b"no-store")]
    )


def _part_of(context: PathContext) -> Part:
    """As `Content-Range` says (RFC 9110, 14.4); without it the body is the whole file. Raises BadRequest."""
    length, text = content_length(context.request), context.header(b"content-range")
    if text is None:
        return Part(0, length, length, is_last=True)
    try:
        first, last = parse_content_range(text)
    except ValueError:
        raise BadRequest("Content-Range: expected bytes <first>-<last>/<size of the file>") from None
    size = text.rpartition("/")[2]
    total = int(size) if size.isdigit() else None
    return Part(first, last - first + 1, total, is_last=total == last + 1)
