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
from itertools import chain
from typing import Final, NamedTuple

import orjson
from blacksheep import Content, Response

from nora.auth.authorizer import Authorizer
from nora.catalog.records import Package
from nora.formats.base import Services
from nora.formats.maven.checksums import ALGORITHMS, render_checksum
from nora.formats.maven.checksums import MEDIA_TYPE as TEXT
from nora.formats.maven.document import Listed, absent, make_document
from nora.formats.maven.files import checksum_fields
from nora.formats.maven.metadata import MEDIA_TYPE, Plugin
from nora.formats.maven.names import Metadata, PackageName
from nora.formats.maven.resource import Resource
from nora.formats.sources import HostedPart, Sources
from nora.http.conditions import http_date, is_unchanged
from nora.http.send import Header, SizedContent
from nora.model import Repository
from nora.proxy.offload import offload

PAGE: Final = 1000
GIVEN_SECONDS: Final = 10.0
MOST_GIVEN: Final = 1024
_last_updated = re.compile(rb"<lastUpdated>([0-9]{14})</lastUpdated>").search


class Parts(NamedTuple):
    """What a document is made of."""

    sources: Sources
    """Of the artifact."""
    plugins: tuple[HostedPart, ...] = ()
    """Packages of the group that are plugins."""

    @property
    def key(self) -> tuple[object, ...]:
        """Changes with every change of the document."""
        return (*self.sources.key, *(one.key for one in self.plugins))


class Document(NamedTuple):
    """A document, ready to be sent."""

    body: bytes
    checksums: Mapping[str, str]
    headers: tuple[Header, ...]

    @property
    def modified(self) -> float:
        """Seconds since the epoch, as it says itself; 0 where it does not."""
        found = _last_updated(self.body)
        if found is None:
            return 0.0
        try:
            return datetime.strptime(f"{found[1].decode()}+0000", "%Y%m%d%H%M%S%z").timestamp()
        except ValueError:
            return 0.0


class MetadataEndpoint:
    """The endpoint."""

    def __init__(self, services: Services, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._resolver = services.resolver
        self._render_cache = services.render_cache
        self._given: OrderedDict[tuple[object, ...], tuple[float, Mapping[str, str]]] = OrderedDict()
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

    # -- making ------------------------------------------------------------------------------------------

    async def _make(self, resource: Resource, path: Metadata) -> Document:
        parts = await self._find(resource, path)
        name = self._render_cache.name("maven metadata", path.path, parts.key)

        async def make() -> bytes:
            hosted = [await self._rows(one, path) for one in parts.sources.hosted]
            weight = sum(len(row.path) for rows in hosted for row in rows)
            plugins = [[_plugin(one.package) for one in parts.plugins]]
            return await offload(make_document, path, hosted, plugins, [], weight=weight)

        async def checksums() -> bytes:
            body = await self._render_cache.data(name, make)
            return orjson.dumps(
                {one: hashlib.new(one, body, usedforsecurity=False).hexdigest() for one in ALGORITHMS}
            )

        found = orjson.loads(await self._render_cache.data(f"{name}.sums", checksums))
        body = await self._render_cache.data(name, make)
        public = self._authorizer.is_public(resource.repository)
        return Document(body, found, parts.sources.headers(public=public))

    async def _rows(self, part: HostedPart, path: Metadata) -> list[Listed]:
        assert path.package is not None
        rows = await self._catalog.list_package_files(part.repository.id, path.package)
        hidden = part.hidden
        return [
            Listed(row.path, row.version or "", row.created_at)
            for row in rows
            if not (hidden and hidden.has(row.version, row.blob.digest))
        ]

    # -- finding -----------------------------------------------------------------------------------------

    async def _find(self, resource: Resource, path: Metadata) -> Parts:
        """Raises PackageNotFound, Blocked."""
        repository, package = resource.repository, path.package

        async def look(hosted: Repository) -> HostedPart | None:
            if package is None or not self._may_read(resource, package):
                return None
            found = await self._catalog.find_package(hosted.id, package)
            if found is None:
                return None
            blocks = self._catalog.blocks()
            blocks.check(hosted.id, package)
            return HostedPart(hosted, found, blocks.hidden(hosted.id, package))

        hosted = await self._resolver.every_hosted(repository, look)
        plugins = await self._plugins(resource, path.group) if path.group else ()
        if not hosted and not plugins:
            raise absent(path)
        return Parts(Sources(tuple(hosted), ()), plugins)

    async def _plugins(self, resource: Resource, group: str) -> tuple[HostedPart, ...]:
        """The packages of a group whose prefixes are known, in all hosted repositories."""

        async def look(hosted: Repository) -> list[HostedPart]:
            found, after = [], ""
            while names := await self._catalog.list_packages(hosted.id, after, PAGE, f"{group}:"):
                packages = await self._catalog.find_packages([(hosted.id, name) for name in names])
                found += [
                    HostedPart(hosted, one)
                    for one in packages
                    if one is not None and b'"plugin"' in one.document and self._may_read(resource, one.name)
                ]
                after = names[-1]
            return found

        return tuple(chain.from_iterable(await self._resolver.every_hosted(resource.repository, look)))

    def _may_read(self, resource: Resource, package: str) -> bool:
        return self._authorizer.may_read(resource.principal, resource.repository, package)

    # -- what a connection was given -----------------------------------------------------------------------

    def _remember(self, resource: Resource, path: Metadata, checksums: Mapping[str, str]) -> None:
        self._given[_asker(resource, path)] = time.monotonic() + GIVEN_SECONDS, checksums
        if len(self._given) > MOST_GIVEN:
            self._given.popitem(last=False)

    def _recall(self, resource: Resource, path: Metadata) -> Mapping[str, str] | None:
        until, checksums = self._given.get(_asker(resource, path), (0.0, None))
        return checksums if time.monotonic() < until else None


def _asker(resource: Resource, path: Metadata) -> tuple[object, ...]:
    client = resource.scope.get("client") or ()
    return (resource.repository.id, path.path, resource.principal.name, *client)


def _plugin(package: Package) -> Plugin:
    said = orjson.loads(package.document)["plugin"]
    return Plugin(PackageName.of(package.name).artifact, said["prefix"], said["name"])


def _answer(
    resource: Resource, document: Document, body: bytes, media_type: bytes, headers: tuple[Header, ...]
) -> Response:
    etag, modified = b'"%b-%b"' % (document.checksums["sha1"].encode(), media_type[:1]), document.modified
    head = [*headers, (b"etag", etag), (b"last-modified", http_date(modified))]
    if is_unchanged(resource.request, etag, modified):
        return Response(304, head)
    if resource.request.method == "HEAD":
        return Response(200, head, SizedContent(media_type, len(body)))
    return Response(200, head, Content(media_type, body))
