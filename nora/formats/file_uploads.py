"""Files that are put at paths: `PUT`, of bytes of any number.

Who may not, what is there already and what is too large is known before the body is asked for. The bytes are
hashed while they are written, compared with what was announced, and visible when their row is.

For formats whose files belong to no package; what is blocked and claimed are their paths.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import NamedTuple
from urllib.parse import quote

from blacksheep import Response

from nora.blobs.base import Expect
from nora.catalog.records import Blob, File, NewBlob, NewFile
from nora.config.kinds import parse_duration
from nora.errors import BadRequest, Conflict, MediaNotSupported, quoted
from nora.formats.base import Services
from nora.formats.directories import require_file
from nora.formats.replacing import ReplaceRules
from nora.http.body import content_length, stream_body
from nora.http.conditions import conditions_of, etag_of
from nora.http.context import PathContext
from nora.http.digests import announced_digests, check_digests, repr_digest
from nora.http.media_types import guess_media_type, parse_media_type
from nora.model import Digest, Repository


class Write(NamedTuple):
    """A file that is to be put at a path, if that is as it should be."""

    path: str
    media_type: str
    target: Repository
    there: File | None
    replace: bool
    """Whether it may be put over another one."""
    expected: str | None
    """What must be there still; see Catalog.put_file."""
    digests: Mapping[str, str]
    """That were announced."""
    expires_at: float | None
    """From when on it is not kept; None: it is."""

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Of digests that are to be taken beside the sha256."""
        return tuple(self.digests.keys() - {"sha256"})


class FileUploads:
    """How a format puts files."""

    def __init__(self, services: Services, mount: str, rules: ReplaceRules, max_size: int | None) -> None:
        """Below a mount such as `/toys`. `max_size` is in bytes; None: any."""
        self.mount = mount
        self.max_size = max_size
        self._services = services
        self._catalog = services.catalog
        self._rules = rules
        self._idle_seconds = services.config.server.idle_timeout

    async def put(self, context: PathContext) -> Response:
        """Put a file at a path. The same bytes again change nothing: clients retry."""
        request = context.request
        if context.header(b"content-range") is not None:  # RFC 9110, 14.5
            raise BadRequest("Content-Range: a part is put into an upload, which a POST to this path opens")
        write = await self.prepare(context, content_length(request))
        body = stream_body(request, limit=self.max_size, idle_seconds=self._idle_seconds)
        return await self._take(context, write, body)

    async def put_body(self, context: PathContext, body: AsyncIterable[bytes]) -> Response:
        """The same of a file whose bytes are a part of the request, which was let in without its path. Its
        name says which type it has. Raises Unauthenticated, Denied."""
        self._services.access.require(context.principal, "write", context.repository, context.name)
        write = await self.prepare(context, None)
        write = write._replace(media_type=guess_media_type(write.path))
        return await self._take(context, write, aiter(body))

    async def _take(self, context: PathContext, write: Write, body: AsyncIterator[bytes]) -> Response:
        expect = Expect(max_size=self.max_size, also=write.algorithms)
        async with self._services.blobs.ingest(body, expect) as new:
            new.settle(await self.store(write, new.blob))
        return self.answer(context, write, new.blob.digest)

    async def prepare(self, context: PathContext, size: int | None, *, of_message: bool = True) -> Write:
        """What can be known before the body: `size` is that of the file, as far as it is said, `of_message`
        as in `announced_digests`. Raises Blocked, Denied, PreconditionFailed, Conflict."""
        path, target = require_file(context), context.writable
        context.audit("write", path)
        encoding = (context.header(b"content-encoding") or "identity").strip().lower()
        if encoding != "identity":  # nothing is ever decoded, and clients would not know of it either
            raise MediaNotSupported(
                f"Content-Encoding {quoted(encoding)}: files are kept as they are sent; leave this header "
                "out, and give what is compressed a name that says so (app.tar.gz)"
            )
        self._catalog.blocks().check(target.id, path)
        there = await self._catalog.find_file(target.id, path, blocked=True)  # other bytes may replace it
        conditions = conditions_of(context.scope["headers"])
        if there is None:
            await self._services.claims.require(context, path)
            conditions.require_for_change(b"")
        else:
            conditions.require_for_change(etag_of(there.blob.digest), there.created_at)
        write = Write(
            path=path,
            media_type=parse_media_type(context.header(b"content-type"), path),
            target=target,
            there=there,
            replace=self._rules.replaces(target, conditions),
            expected=conditions.expected("" if there is None else there.blob.digest),
            digests=announced_digests(context.request, of_message=of_message),
            expires_at=end_of(context),
        )
        if there is not None and not write.replace and size not in (None, there.blob.size):
            raise self._refusal(write)
        return write

    async def store(self, write: Write, blob: NewBlob) -> Blob:
        """The row; the live blob. Raises DigestMismatch, PreconditionFailed, Conflict."""
        check_digests(blob, write.digests)
        file = NewFile(
            path=write.path,
            media_type=write.media_type,
            blob=blob,
            expires_at=write.expires_at,
            is_claim=write.there is None and self._services.claims.has_sources(write.target),
        )
        try:
            return await self._catalog.put_file(
                write.target.id, file, replace=write.replace, expected=write.expected
            )
        except Conflict:
            if write.there is not None:
                raise self._refusal(write) from None
            raise

    def answer(self, context: PathContext, write: Write, digest: Digest) -> Response:
        """What is said of a file that is there now."""
        self._services.cache.forget_absences(write.path)
        context.count_as("upload")
        location = f"{context.base_url}{self.mount}/{quote(write.path)}"
        head = [(b"etag", etag_of(digest)), repr_digest(digest), (b"location", location.encode())]
        return Response(201 if write.there is None else 200, head)

    def _refusal(self, write: Write) -> Conflict:
        if self._rules.never(write.target):
            return Conflict(f"{write.path} is there, with other bytes, and files are never replaced here")
        return Conflict(
            f"{write.path} is there, with other bytes: replace it with If-Match and its ETag, or set "
            f"overwrite of {write.target.name}"
        )


def end_of(context: PathContext) -> float | None:
    """Until when what is put is kept, as `?expires=` or `X-NORA-TTL` says: `7d`, `3600`; None: for good.
    Raises BadRequest."""
    said = context.parameter("expires") or context.header(b"x-nora-ttl")
    if not said:
        return None
    try:
        seconds = parse_duration(said)
    except ValueError as error:
        raise BadRequest(f"how long a file is kept: {error}, not {quoted(said)}") from None
    if not seconds:
        raise BadRequest("how long a file is kept: expected a second at least")
    return time.time() + seconds
