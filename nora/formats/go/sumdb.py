"""Sum databases, passed on: `/go/sumdb/<name>/…`.

The go command asks them through its proxy if that says that it supports them, and nobody else then
(go.dev/design/25530-sumdb, Proxying a Checksum Database); so does NORA with its upstreams. What a database
says never changes, but for its latest tree head: tiles and records are kept for good. Signatures are for go
to verify, whoever passes them on.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from blacksheep import Content, Response

from nora.auth.authorizer import Authorizer
from nora.errors import NotFound, UpstreamFailed, quoted
from nora.formats.base import Services
from nora.formats.go.errors import TEXT
from nora.formats.go.names import ModulePath, parse_version
from nora.formats.go.resource import Resource
from nora.formats.go.settings import GoSettings
from nora.formats.go.sources import Finder
from nora.formats.go.upstream import Index, Question, url_path
from nora.http.conditions import etag_of
from nora.http.send import Header, blob_response
from nora.outbound import Reply, host_of
from nora.proxy.answers import age_headers
from nora.proxy.base import Document, Fetched
from nora.resolve import Candidate, Source

LARGEST_ANSWER: Final = 1 << 20
HASH_BYTES: Final = 32
_RECORD_AGE: Final = (b"cache-control", b"public, max-age=86400")
_FOREVER: Final = (b"cache-control", b"public, max-age=31536000, immutable")
_tile = re.compile(
    r"(?:[1-9]|[12][0-9]|30)/(?:data|[0-9]|[1-5][0-9]|6[0-3])/(?:x[0-9]{3}/){0,6}[0-9]{3}"
    r"(?:\.p/[1-9][0-9]{0,8})?"
).fullmatch


class Sums(NamedTuple):
    """What a database says of a version: hashes as in `go.sum`, empty where it says none."""

    zip: str = ""
    mod: str = ""


class SumDatabases:
    """The endpoints."""

    def __init__(self, services: Services, authorizer: Authorizer, index: Index, finder: Finder) -> None:
        self._services = services
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._resolver = services.resolver
        self._index = index
        self._finder = finder
        self._databases = services.settings(GoSettings).databases

    async def supported(self, resource: Resource) -> Response:
        """GET and HEAD of nothing: that this database is passed on."""
        self._source(resource)
        return Response(200, [_RECORD_AGE], Content(TEXT, b""))

    async def latest(self, resource: Resource) -> Response:
        """GET and HEAD of the newest tree of a checksum database."""
        """GET and HEAD of the latest tree head."""
        source, name = self._source(resource)
        document = await self._document(resource, source, name, "latest")
        public = self._authorizer.is_public(resource.repository)
        return await self._answer(resource, document, age_headers([document], public=public))

    async def tile(self, resource: Resource) -> Response:
        """GET and HEAD of a tile of a checksum database."""
        """GET and HEAD of a part of the tree, which never changes."""
        path = resource.target.get("tile")
        if not _tile(path):
            raise NotFound(f"{quoted(path)} is no tile of a sum database")
        source, name = self._source(resource)
        stamp = None
        if resource.may_be_kept:
            stamp = self._resolver.stamp(resource.repository, _file(name, f"tile/{path}"))
        document = await self._document(resource, source, name, f"tile/{path}")
        resource.keep_while(stamp)
        return await self._answer(resource, document, (_FOREVER,))

    async def lookup(self, resource: Resource) -> Response:
        """GET and HEAD of what a checksum database says of a version."""
        """GET and HEAD of the record of a version, to who may read the module. Nobody is asked for one of a
        module that is ours."""
        text, _, version = resource.target.get("record").rpartition("@")
        module, version = ModulePath.unescaped(text), parse_version(version)
        self._authorizer.require(resource.principal, "read", resource.repository, module)
        _, name = self._source(resource)
        stamp = None
        if resource.may_be_kept:
            paths = (_file(name, f"lookup/{module}@{version}"),)
            stamp = self._resolver.stamp(resource.repository, module, module.related, paths)

        async def ask(candidate: Candidate) -> Document | None:
            return await self._record(resource, candidate.source, name, module, version)

        resolution = await self._finder.resolve(resource.repository, module)
        found = await self._resolver.first(resolution, ask)
        if found is None:
            hint = "; it is published here: name it in GONOSUMDB, or in GOPRIVATE" if resolution.ours else ""
            raise NotFound(f"{name} has no record of {module} {version}{hint}")
        resource.keep_while(stamp)
        return await self._answer(resource, found, (_RECORD_AGE,))

    async def sums(self, resource: Resource, source: Source, module: ModulePath, version: str) -> Sums:
        """What the first database says of a version of a source, if that source passes it on: nobody else is
        told of what comes from there. Nothing where it cannot be asked."""
        name = next(iter(self._databases), "")
        try:
            if not name or not await self._is_supported(resource, source, name):
                return Sums()
            document = await self._record(resource, source, name, module, version)
        except UpstreamFailed:
            return Sums()
        if document is None:
            return Sums()
        return read_record(await self._services.blobs.read(document.cached.blob), module, version)

    # -- asking --------------------------------------------------------------------------------------------

    def _source(self, resource: Resource) -> tuple[Source, str]:
        """The source through which a database is asked, and its name. Raises NotFound for one that nobody has
        said: an address is made of it."""
        name = resource.target.get("database")
        sources = self._resolver.sources_of(resource.repository)
        if name not in self._databases or not sources:
            raise NotFound(f"the sum database {quoted(name)} is not passed on here: see go.sumdb")
        return next((one for one in sources if not one.names), sources[0]), name

    async def _record(
        self, resource: Resource, source: Source, name: str, module: ModulePath, version: str
    ) -> Document | None:
        if source.is_named(module) and not await self._is_supported(resource, source, name):
            return None
        try:
            return await self._document(resource, source, name, f"lookup/{module}@{version}")
        except NotFound:
            return None

    async def _is_supported(self, resource: Resource, source: Source, name: str) -> bool:
        """Whether a source passes a database on itself."""

        async def parse(reply: Reply) -> Fetched:
            return Fetched(body=b"", media_type="text/plain", upstream_url=reply.url)

        question = Question(_file(name, "supported"), parse, LARGEST_ANSWER)
        return await self._index.document(source, question, may_fetch=resource.may_fetch) is not None

    async def _document(self, resource: Resource, source: Source, name: str, path: str) -> Document:
        """What a database has at a path: of the source, if that passes it on, else of the database itself.
        Raises NotFound, UpstreamFailed."""

        async def parse(reply: Reply) -> Fetched:
            if not may_be(path, reply.body):
                raise UpstreamFailed(f"what {host_of(reply.url)} has is no {path} of a sum database")
            return Fetched(body=reply.body, media_type="text/plain", upstream_url=reply.url)

        is_supported = await self._is_supported(resource, source, name)
        question = Question(
            _file(name, path),
            parse,
            LARGEST_ANSWER,
            url="" if is_supported else f"{self._databases[name]}/{url_path(path)}",
            is_for_good=path != "latest",
        )
        found = await self._index.document(source, question, may_fetch=resource.may_fetch)
        if found is None:
            hint = self._resolver.offline_hint(resource.repository)
            raise NotFound(f"the sum database {name} has no {path}{hint}")
        return found

    async def _answer(self, resource: Resource, document: Document, headers: tuple[Header, ...]) -> Response:
        return await blob_response(
            resource.request,
            self._services.blobs,
            self._services.memory,
            document.cached.blob,
            media_type=TEXT,
            headers=headers,
            etag=etag_of(document.cached.blob.digest),
        )


def _file(name: str, path: str) -> str:
    """Where what a database has at a path is among the files of a source."""
    return f"sumdb/{name}/{path}"


def may_be(path: str, body: bytes) -> bool:
    """Whether a database may have this at a path: it is no page of somebody in between."""
    if path == "latest":
        return body.startswith(b"go.sum database tree\n")
    if path.startswith("lookup/"):
        module, _, version = path.removeprefix("lookup/").rpartition("@")
        number, _, record = body.partition(b"\n")
        return number.isdigit() and any(read_record(record, module, version))
    _, height, level, *rest = path.split("/")
    width = int(rest[-1]) if rest[-2:-1] and rest[-2].endswith(".p") else 1 << int(height)
    return level == "data" or len(body) == HASH_BYTES * width


def read_record(record: bytes, module: str, version: str) -> Sums:
    """The hashes in a record: lines as in `go.sum`, up to an empty one."""
    lines = [line.split(" ") for line in record.partition(b"\n\n")[0].decode("utf-8", "replace").splitlines()]
    said = {tuple(line[:2]): line[2] for line in lines if len(line) == 3}
    return Sums(said.get((module, version), ""), said.get((module, f"{version}/go.mod"), ""))
