"""The endpoint of `maven-metadata.xml`: of an artifact, of a snapshot, of a group, or of an artifact and a
group that have one path.

It is made of the rows of hosted repositories, which are all joined, and of what upstreams say; what was made
is kept until something changes of that.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

import orjson
from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.formats.base import Services
from nora.formats.maven.answers import checksum_fields, small_answer
from nora.formats.maven.checksums import ALGORITHMS, render_checksum
from nora.formats.maven.checksums import MEDIA_TYPE as TEXT
from nora.formats.maven.document import Said, make_document
from nora.formats.maven.metadata import MEDIA_TYPE
from nora.formats.maven.names import Metadata
from nora.formats.maven.resource import Resource
from nora.formats.maven.sources import Finder, plugin_of
from nora.http.conditions import http_date
from nora.http.send import Header
from nora.proxy.offload import offload

GIVEN_SECONDS: Final = 2.0
"""Clients ask for a document and its checksum some milliseconds apart."""
MOST_GIVEN: Final = 1024
_FORWARDED: Final = (b"forwarded", b"via", b"x-forwarded-for", b"x-real-ip")
"""Who sends these has connections that are no client's own."""
_last_updated = re.compile(rb"<lastUpdated>([0-9]{14})</lastUpdated>").search


class Document(NamedTuple):
    """A document, ready to be sent."""

    body: bytes
    checksums: Mapping[str, str]
    headers: tuple[Header, ...]

    @property
    def modified(self) -> float | None:
        """Seconds since the epoch, as it says itself; None where it does not."""
        found = _last_updated(self.body)
        if found is None:
            return None
        try:
            return datetime.strptime(f"{found[1].decode()}+0000", "%Y%m%d%H%M%S%z").timestamp()
        except ValueError:  # a month 13, of an upstream
            return None


class MetadataEndpoint:
    """The endpoint."""

    def __init__(self, services: Services, authorizer: Authorizer, finder: Finder) -> None:
        self._authorizer = authorizer
        self._finder = finder
        self._render_cache = services.render_cache
        self._given: OrderedDict[tuple[object, str], tuple[float, Mapping[str, str]]] = OrderedDict()
        """Checksums of what was sent over connections a moment ago."""

    async def get(self, resource: Resource, path: Metadata) -> Response:
        """GET and HEAD of a document."""
        document = await self._make(resource, path)
        self._remember(resource, path, document.checksums)
        headers = (*document.headers, *checksum_fields(document.checksums))
        return _answer(resource, document, document.body, MEDIA_TYPE, headers)

    async def checksum(self, resource: Resource, path: Metadata, algorithm: str) -> Response:
        """GET and HEAD of a checksum of a document: clients ask for both, so it is that of the document which
        this connection was given just before."""
        document = await self._make(resource, path)
        given = self._recall(resource, path) or document.checksums
        return _answer(resource, document, render_checksum(given[algorithm]), TEXT, document.headers)

    async def _make(self, resource: Resource, path: Metadata) -> Document:
        parts = await self._finder.find(resource, path)
        name = self._render_cache.name("maven metadata", path.path, parts.key)

        async def make() -> bytes:
            said = await self._finder.read(path, parts)
            weight = sum(len(one.body) if isinstance(one, Said) else 100 * len(one) for one in said)
            plugins = [plugin_of(one.package) for one in parts.plugins]
            return await offload(make_document, path, said, plugins, weight=weight)

        # Made again under one name it may have what was published meanwhile: its checksums are of these bytes
        body = await self._render_cache.data(name, make)

        async def checksums() -> bytes:
            return orjson.dumps(
                {one: hashlib.new(one, body, usedforsecurity=False).hexdigest() for one in ALGORITHMS}
            )

        about = self._render_cache.name("maven checksums", hashlib.sha256(body).hexdigest())
        found = orjson.loads(await self._render_cache.data(about, checksums))
        public = self._authorizer.is_public(resource.repository)
        return Document(body, found, parts.sources.headers(public=public))

    # -- what a connection was given -----------------------------------------------------------------------

    def _remember(self, resource: Resource, path: Metadata, checksums: Mapping[str, str]) -> None:
        connection = _connection(resource)
        if connection is not None:
            self._given[connection, path.path] = time.monotonic() + GIVEN_SECONDS, checksums
            if len(self._given) > MOST_GIVEN:
                self._given.popitem(last=False)

    def _recall(self, resource: Resource, path: Metadata) -> Mapping[str, str] | None:
        until, checksums = self._given.get((_connection(resource), path.path), (0.0, None))
        return checksums if time.monotonic() < until else None


def _connection(resource: Resource) -> tuple[object, ...] | None:
    """That of a client; None where it may be of several."""
    client = resource.scope.get("client")
    if not client or any(name in _FORWARDED for name, _ in resource.scope["headers"]):
        return None
    return (resource.repository.id, resource.principal.name, *client)


def _answer(
    resource: Resource, document: Document, body: bytes, media_type: bytes, headers: tuple[Header, ...]
) -> Response:
    etag, modified = b'"%b"' % hashlib.sha256(body).hexdigest().encode(), document.modified
    head = [*headers, (b"etag", etag)]
    if modified is not None:
        head.append((b"last-modified", http_date(modified)))
    # The date decides nothing: what is removed, or comes within the same second, makes none that is later
    return small_answer(resource, body, media_type, head, etag)
