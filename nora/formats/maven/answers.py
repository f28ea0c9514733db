"""Files and checksums, as clients are told of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from blacksheep import Content, Response

from nora.auth.authorizer import Authorizer
from nora.errors import NotFound
from nora.formats.base import Services
from nora.formats.maven.checksums import MEDIA_TYPE, render_checksum
from nora.formats.maven.hosted import Stored, etag_of
from nora.formats.maven.names import ArtifactFile
from nora.formats.maven.resource import Resource
from nora.http.conditions import http_date, is_unchanged
from nora.http.send import Header, SizedContent, blob_response
from nora.proxy.answers import NO_CACHE

_PUBLIC: Final = (b"cache-control", b"public, max-age=31536000, immutable")
_PRIVATE: Final = (b"cache-control", b"private, max-age=31536000, immutable")
_FIELDS: Final = {name: f"x-checksum-{name}".encode() for name in ("sha1", "md5", "sha256", "sha512")}
"""Clients that find these need not ask for the checksums (Maven 3.9, coursier, Gradle)."""


class Answers:
    """What is said in all answers."""

    def __init__(self, services: Services, authorizer: Authorizer) -> None:
        self._services = services
        self._authorizer = authorizer

    async def file(self, resource: Resource, found: Stored, *, is_changing: bool) -> Response:
        """A file that is here; `is_changing`: it may have other bytes one day."""
        return await blob_response(
            resource.request,
            self._services.blobs,
            self._services.memory,
            found.blob,
            media_type=found.media_type.encode(),
            headers=(self.age(resource, is_changing=is_changing), *checksum_fields(found.checksums)),
            etag=etag_of(found.blob),
            modified=found.modified,
        )

    def checksum(self, resource: Resource, found: Stored, algorithm: str, *, is_changing: bool) -> Response:
        """A checksum of a file that is here."""
        body, age = render_checksum(found.checksums[algorithm]), self.age(resource, is_changing=is_changing)
        return self.text(resource, body, found.modified, (age,))

    def text(
        self, resource: Resource, body: bytes, modified: float | None, headers: tuple[Header, ...]
    ) -> Response:
        """A checksum."""
        etag = b'"%b"' % body
        head = [*headers, (b"etag", etag)]
        if modified is not None:
            head.append((b"last-modified", http_date(modified)))
        return small_answer(resource, body, MEDIA_TYPE, head, etag, modified)

    def age(self, resource: Resource, *, is_changing: bool) -> Header:
        """How long an answer is good for."""
        if is_changing:
            return NO_CACHE
        return _PUBLIC if self._authorizer.is_public(resource.repository) else _PRIVATE


def small_answer(
    resource: Resource,
    body: bytes,
    media_type: bytes,
    head: list[Header],
    etag: bytes,
    modified: float | None = None,
) -> Response:
    """Something in memory, to who has it not already."""
    if is_unchanged(resource.request, etag, modified):
        return Response(304, head)
    if resource.request.method == "HEAD":
        return Response(200, head, SizedContent(media_type, len(body)))
    return Response(200, head, Content(media_type, body))


def checksum_fields(checksums: Mapping[str, str]) -> tuple[Header, ...]:
    """What tells checksums together with the bytes that have them."""
    return tuple((_FIELDS[name], value.encode()) for name, value in checksums.items())


def absent(path: ArtifactFile, hint: str = "") -> NotFound:
    """What is said of a file that is not here; `hint`: why not."""
    return NotFound(f"there is no {path.filename} of {path.package} {path.version}{hint}")
