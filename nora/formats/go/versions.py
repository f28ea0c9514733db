"""Which versions there are: `@v/list`, `@latest`, and `@v/<branch>.info`."""

from __future__ import annotations

from typing import Final

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.catalog.records import Blob
from nora.errors import UpstreamFailed, VersionNotFound, quoted
from nora.formats.base import Services
from nora.formats.go.documents import newest_of, render_list, version_in
from nora.formats.go.files import VersionFiles
from nora.formats.go.publish import JSON
from nora.formats.go.resource import Resource
from nora.formats.go.sources import Finder, Place, absent
from nora.formats.go.upstream import Index
from nora.http.conditions import etag_of
from nora.http.encodings import Encoding, compress
from nora.http.send import Header, blob_response
from nora.proxy.answers import NO_CACHE, age_headers, kept_while
from nora.proxy.base import Document
from nora.proxy.offload import offload
from nora.resolve import Candidate

TEXT: Final = "text/plain; charset=utf-8"


class Versions:
    """The endpoints."""

    def __init__(
        self, services: Services, authorizer: Authorizer, index: Index, finder: Finder, files: VersionFiles
    ) -> None:
        self._services = services
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._resolver = services.resolver
        self._index = index
        self._finder = finder
        self._files = files

    async def list(self, resource: Resource) -> Response:
        """GET and HEAD of the versions of a module, one in each line."""
        """GET and HEAD of the list. It may be empty: the go command asks for `@latest` then."""
        module = resource.module
        stamp = None
        if resource.may_be_kept:
            stamp = self._resolver.stamp(resource.repository, module, module.related)
        places = await self._finder.find(resource)
        if not places.is_failing:
            resource.keep_while(kept_while(places.documents, stamp))

        async def make(encoding: Encoding) -> bytes:
            parts = await self._finder.parts(module, places)
            weight = sum(one.weight for one in parts)
            return compress(await offload(render_list, parts, weight=weight), encoding)

        return await self._services.render_cache.variant(
            resource,
            ("list", module, places.key),
            make,
            media_type=TEXT,
            headers=places.headers(public=self._authorizer.is_public(resource.repository)),
        )

    async def latest(self, resource: Resource) -> Response:
        """GET and HEAD of the `.info` of the newest version of a module."""
        """GET and HEAD of the `.info` of the latest version: which an upstream says, else the newest."""
        places = await self._finder.find(resource)
        failed: UpstreamFailed | None = None
        for place in places.places:
            try:
                document = await self._latest_of(resource, place)
            except UpstreamFailed as error:
                failed, document = error, None
            if document is not None:
                return await self._answer(resource, document.cached.blob, self._age(resource, document))
        parts = await self._finder.parts(resource.module, places)
        version = await offload(newest_of, parts, weight=sum(one.weight for one in parts))
        if version is None:
            raise failed or VersionNotFound(f"there is no version of {resource.module}")
        headers = places.headers(public=self._authorizer.is_public(resource.repository))
        return await self._files.info(resource, version, headers)

    async def _latest_of(self, resource: Resource, place: Place) -> Document | None:
        """What an upstream says, unless it is blocked. Raises UpstreamFailed."""
        if place.source is None or place.document is None:
            return None
        found = await self._index.latest(place.source, resource.module, may_fetch=resource.may_fetch)
        if found is None:
            return None
        version = await self._version_of(found)
        return None if place.hidden is not None and place.hidden.has(version) else found

    async def query(self, resource: Resource) -> Response:
        """GET and HEAD of the `.info` of a version that is not one in full: which one it is now."""
        module, query = resource.module, resource.version

        async def ask(candidate: Candidate) -> Response | None:
            source = candidate.source
            found = await self._index.query(source, module, query, may_fetch=resource.may_fetch)
            if found is None:
                await self._finder.check_absent(resource, candidate)
                return None
            self._catalog.blocks().check(*candidate.key, versions=(await self._version_of(found),))
            return await self._answer(resource, found.cached.blob, self._age(resource, found))

        resolution = await self._finder.resolve(resource.repository, module)
        answer = await self._resolver.first(resolution, ask)
        if answer is None:
            hint = self._resolver.offline_hint(resource.repository)
            raise absent(f"{module} of the version {quoted(query)}", hint)
        return answer

    async def _version_of(self, document: Document) -> str:
        version = version_in(await self._services.blobs.read(document.cached.blob))
        assert version is not None  # it was looked at when it came
        return version

    def _age(self, resource: Resource, document: Document) -> tuple[Header, ...]:
        return age_headers([document], public=self._authorizer.is_public(resource.repository))

    async def _answer(self, resource: Resource, blob: Blob, headers: tuple[Header, ...]) -> Response:
        return await blob_response(
            resource.request,
            self._services.blobs,
            self._services.memory,
            blob,
            media_type=JSON.encode(),
            headers=headers or (NO_CACHE,),
            etag=etag_of(blob.digest),
        )
