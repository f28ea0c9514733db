"""Uploads: `PUT`, of bytes of any number.

Who may not, what is there already and what is too large is known before the body is asked for. The bytes are
hashed while they are written, compared with what was announced, and visible when their row is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.blobs.base import Expect
from nora.catalog.records import Blob, File, NewBlob, NewFile
from nora.config import overwrite_rules
from nora.errors import BadRequest, Conflict, MediaNotSupported
from nora.formats.base import Services
from nora.formats.raw.names import FilePath
from nora.formats.raw.resource import Resource
from nora.formats.raw.settings import RawSettings
from nora.formats.unpacking import Archives
from nora.http.body import content_length, stream_body
from nora.http.conditions import conditions_of, etag_of
from nora.http.digests import announced_digests, check_digests, repr_digest
from nora.http.fields import json_answer
from nora.http.media_types import parse_media_type
from nora.model import Digest, Repository


class Write(NamedTuple):
    """A file that is to be put at a path, if that is as it should be."""

    path: FilePath
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
        """Of digests that are not taken anyway."""
        return tuple(self.digests.keys() - {"sha256"})


class PutEndpoint:
    """The endpoint of uploads."""

    def __init__(self, services: Services, authorizer: Authorizer) -> None:
        settings = services.settings(RawSettings)
        self._authorizer = authorizer
        self._archives = Archives(services, settings.max_file_size)
        self._services = services
        self._catalog = services.catalog
        self._max_size = settings.max_file_size
        self._rules = overwrite_rules(services.config, "raw", settings.overwrite)
        self._idle_seconds = services.config.server.idle_timeout

    async def put(self, resource: Resource) -> Response:
        """Put a file at a path. The same bytes again change nothing: clients retry."""
        request = resource.request
        if resource.path.is_directory:
            return await self._put_archive(resource)
        if resource.parameter("unpack") is not None:  # nobody asks for it to keep the archive itself
            raise BadRequest(
                "unpack: an archive is taken apart into a directory, whose path ends in a slash. curl adds "
                "the name of its file to such a path: give it `-T - < site.tar.gz`"
            )
        if resource.header(b"content-range") is not None:  # RFC 9110, 14.5
            raise BadRequest("Content-Range: a part is put into an upload, which a POST to this path opens")
        write = await self.prepare(resource, content_length(request))
        expect = Expect(max_size=self._max_size, also=write.algorithms)
        body = stream_body(request, limit=self._max_size, idle_seconds=self._idle_seconds)
        async with self._services.blobs.ingest(body, expect) as new:
            new.settle(await self.store(write, new.blob))
        return self.answer(resource, write, new.blob.digest)

    async def _put_archive(self, resource: Resource) -> Response:
        """Put all files of an archive into a directory."""
        if resource.parameter("unpack") is None:
            raise BadRequest("name a file; to a directory an archive is put, with ?unpack")
        directory, target, end = resource.path, resource.writable, resource.end
        resource.audit("write", directory)

        async def admit(path: str) -> FilePath:
            name = FilePath.of(f"{directory}{path}")
            self._authorizer.require(resource.principal, "write", resource.repository, name)
            self._catalog.blocks().check(target.id, name)
            if await self._catalog.find_file(target.id, name) is None:
                await self._services.claims.require(resource, name)
            return name

        may_replace = self._rules[target.name] == "always"
        count = await self._archives.put(resource, admit, replace=may_replace, expires_at=end)
        return json_answer({"path": directory, "files": count}, 201)

    async def prepare(self, resource: Resource, size: int | None, *, of_message: bool = True) -> Write:
        """What can be known before the body: `size` is that of the file, as far as it is said, `of_message`
        as in `announced_digests`. Raises Blocked, Denied, PreconditionFailed, Conflict."""
        path, target = resource.file, resource.writable
        resource.audit("write", path)
        if (resource.header(b"content-encoding") or "identity") != "identity":
            raise MediaNotSupported("Content-Encoding: put the bytes as they are to be had")
        self._catalog.blocks().check(target.id, path)
        there = await self._catalog.find_file(target.id, path)
        conditions = conditions_of(resource.scope["headers"])
        if there is None:
            await self._services.claims.require(resource, path)
            conditions.require_for_change(b"")
        else:
            conditions.require_for_change(etag_of(there.blob.digest), there.created_at)
        rule, is_said = self._rules[target.name], conditions.get(b"if-match") is not None
        write = Write(
            path=path,
            media_type=parse_media_type(resource.header(b"content-type"), path),
            target=target,
            there=there,
            replace=rule == "always" or (rule == "if-match" and is_said),
            expected=conditions.expected("" if there is None else there.blob.digest),
            digests=announced_digests(resource.request, of_message=of_message),
            expires_at=resource.end,
        )
        if there is not None and not write.replace and size not in (None, there.blob.size):
            raise self._refusal(write)
        return write

    def answer(self, resource: Resource, write: Write, digest: Digest) -> Response:
        """What is said of a file that is there now."""
        self._services.cache.forget_absences(write.path)
        resource.count_as("upload")
        location = f"{resource.base_url}/raw/{quote(write.path)}"
        head = [(b"etag", etag_of(digest)), repr_digest(digest), (b"location", location.encode())]
        return Response(201 if write.there is None else 200, head)

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

    def _refusal(self, write: Write) -> Conflict:
        if self._rules[write.target.name] == "never":
            return Conflict(f"{write.path} is there, with other bytes, and files are never replaced here")
        return Conflict(
            f"{write.path} is there, with other bytes: replace it with If-Match and its ETag, or set "
            f"overwrite of {write.target.name}"
        )
