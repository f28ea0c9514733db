"""What `npm audit signatures` asks for: the keys of the registries behind this one, and attestations.

GET /-/npm/v1/keys                              those of all upstreams
GET /-/npm/v1/attestations/<package>@<version>  as the upstream has them, or as they were published here
"""

from __future__ import annotations

from typing import Any, Final

import orjson
from blacksheep import Content, Response

from nora.auth.authorizer import Authorizer
from nora.errors import NotFound, UpstreamFailed, quoted
from nora.formats.base import Services
from nora.formats.npm.hosted import SIGSTORE, path_of
from nora.formats.npm.names import PackageName, parse_version
from nora.formats.npm.resource import Resource
from nora.formats.npm.upstream import Index
from nora.model import Repository
from nora.outbound import Reply, host_of
from nora.proxy.answers import NO_CACHE, age_headers
from nora.proxy.base import CacheKey, Document, Fetched, Policy
from nora.proxy.upstreams import document_fetch
from nora.resolve import Candidate, Source

JSON: Final = "application/json"
KEYS: Final = "-/keys"
LARGEST: Final = 8 << 20
A_DAY: Final = Policy(fresh=86_400.0)
PREDICATE: Final = "https://slsa.dev/provenance/v1"


class Signatures:
    """The endpoints."""

    def __init__(self, services: Services, authorizer: Authorizer, index: Index) -> None:
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._cache = services.cache
        self._resolver = services.resolver
        self._index = index

    async def keys(self, resource: Resource) -> Response:
        """GET and HEAD of the keys that packages of the upstreams are signed with."""
        found: dict[str, Any] = {}
        documents: list[Document] = []
        for source in self._resolver.sources_of(resource.repository):
            document = await self._document(source, "/-/npm/v1/keys", KEYS, None)
            if document is not None:
                documents.append(document)
                said = orjson.loads(await self._blobs.read(document.cached.blob)).get("keys")
                for key in said if isinstance(said, list) else ():
                    if isinstance(key, dict):
                        found.setdefault(str(key.get("keyid")), key)
        if not documents:
            raise NotFound("nothing that comes from here is signed by a registry")
        public = self._authorizer.is_public(resource.repository)
        body = orjson.dumps({"keys": list(found.values())})
        return Response(200, [*age_headers(documents, public=public)], Content(JSON.encode(), body))

    async def attestations(self, resource: Resource) -> Response:
        """GET and HEAD of the attestations of a version."""
        text, _, version = resource.target.get("spec").rpartition("@")
        name = PackageName.of(text)
        parse_version(version)
        resource.package, resource.action = name, "read"
        resource.principal = await self._authorizer.authorize(resource)

        async def look(hosted: Repository) -> Response | None:
            if await self._catalog.find_file(hosted.id, path_of(name, version)) is None:
                return None
            file = await self._catalog.find_file(hosted.id, path_of(name, version) + SIGSTORE)
            if file is None:
                raise _none(name, version)
            bundle = orjson.loads(await self._blobs.read(file.blob))
            body = {"attestations": [{"predicateType": PREDICATE, "bundle": bundle}]}
            return Response(200, [NO_CACHE], Content(JSON.encode(), orjson.dumps(body)))

        async def ask(candidate: Candidate) -> Response | None:
            if await self._index.document(candidate.source, name) is None:
                return None
            path = f"/-/npm/v1/attestations/{name.escaped}@{version}"
            where = attestations_path(name, version)
            document = await self._document(candidate.source, path, where, name)
            if document is None:
                raise _none(name, version)
            public = self._authorizer.is_public(resource.repository)
            body = await self._blobs.read(document.cached.blob)
            return Response(200, [*age_headers([document], public=public)], Content(JSON.encode(), body))

        found = await self._resolver.find_hosted(resource.repository, look)
        if found is None:
            resolution = await self._resolver.resolve(resource.repository, name)
            for candidate in resolution.candidates:
                self._catalog.blocks().check(*candidate.key, versions=(version,))
            found = await self._resolver.first(resolution, ask)
            if found is None:
                raise _none(name, version)
        return found

    async def _document(
        self, source: Source, path: str, where: str, package: PackageName | None
    ) -> Document | None:
        """A JSON object of an upstream; None when it has none. Raises UpstreamFailed."""

        async def parse(reply: Reply) -> Fetched:
            try:
                is_object = isinstance(orjson.loads(reply.body), dict)
            except orjson.JSONDecodeError:
                is_object = False
            if not is_object:
                raise UpstreamFailed(f"{host_of(reply.url)} answers with no JSON object at {path}")
            return Fetched(body=reply.body, media_type=JSON, upstream_url=reply.url)

        upstream = self._index.upstream(source)
        fetch = document_fetch(upstream, upstream.url + path, {"accept": JSON}, parse, max_bytes=LARGEST)
        key = CacheKey(repository=source.repository, path=where, package=package)
        return await self._cache.document(key, A_DAY, fetch)


def attestations_path(name: str, version: str) -> str:
    """Where attestations are among the files of a source."""
    return f"{name}/attestations/{version}"


def _none(name: str, version: str) -> NotFound:
    return NotFound(f"there are no attestations of {quoted(name)} {version}")
