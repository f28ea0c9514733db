"""The files of a version: `@v/<version>.info`, `.mod`, `.zip`, and `.ziphash`. They never change.

Of an upstream each is fetched once. Its zip is read through before anybody gets the last of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.blobs.base import Expect
from nora.catalog.records import Blob, NewBlob
from nora.errors import NotFound, VersionNotFound, quoted
from nora.formats.base import Services
from nora.formats.go.checks import LARGEST_INFO, LARGEST_MOD, InfoCheck, ModCheck, ZipCheck
from nora.formats.go.names import is_canonical
from nora.formats.go.publish import MEDIA_TYPES
from nora.formats.go.releases import version_file
from nora.formats.go.resource import Resource
from nora.formats.go.settings import LARGEST_ZIP, GoSettings
from nora.formats.go.sources import Finder
from nora.formats.go.sumdb import SumDatabases
from nora.formats.go.upstream import Index
from nora.http.conditions import etag_of
from nora.http.fields import json_answer
from nora.http.pulls import answer_with
from nora.http.send import Header, blob_response
from nora.model import Repository
from nora.proxy.answers import file_response
from nora.proxy.base import FileRequest, Received
from nora.proxy.listed_files import ListedFiles, UpstreamFile
from nora.resolve import Candidate, Source

_Store = Callable[[NewBlob, Received], Awaitable[Blob]]
_PUBLIC: Final = (b"cache-control", b"public, max-age=31536000, immutable")
_PRIVATE: Final = (b"cache-control", b"private, max-age=31536000, immutable")


class VersionFiles:
    """The endpoints."""

    def __init__(
        self,
        services: Services,
        authorizer: Authorizer,
        index: Index,
        finder: Finder,
        databases: SumDatabases,
    ) -> None:
        self._databases = databases
        self._services = services
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._resolver = services.resolver
        self._index = index
        self._finder = finder
        self._files = ListedFiles(services.catalog, services.leases.seconds, services.cache.used)
        self._settings = services.settings(GoSettings)

    async def get(self, resource: Resource) -> Response:
        """GET and HEAD of a file of a version in full."""
        module, kind = resource.module, resource.kind
        if kind not in MEDIA_TYPES:
            raise NotFound(f"{module} has no file {quoted(resource.target.get('version'))}")
        if not is_canonical(resource.version):
            raise VersionNotFound(f"{quoted(resource.version)} is no version in full: see its .info for one")
        if kind == "zip":
            resource.count_as("download")
        stamp = None
        if resource.may_be_kept:
            stamp = self._resolver.stamp(resource.repository, module, module.related)
        found = await self._file(resource, resource.version, kind, (self._forever(resource),))
        resource.keep_while(stamp)
        return found

    async def info(self, resource: Resource, version: str, headers: tuple[Header, ...]) -> Response:
        """The `.info` of a version, where it is asked for by another name."""
        return await self._file(resource, version, "info", headers)

    async def _file(
        self, resource: Resource, version: str, kind: str, headers: tuple[Header, ...]
    ) -> Response:
        repository, module = resource.repository, resource.module
        path = version_file(module, f"{version}.{kind}")

        async def look(hosted: Repository) -> Response | None:
            file = await self._catalog.find_file(hosted.id, path)
            if file is None:
                return None
            answer_with(resource.request, file.repository_id, file.path)
            return await blob_response(
                resource.request,
                self._services.blobs,
                self._services.memory,
                file.blob,
                media_type=MEDIA_TYPES[kind].encode(),
                headers=headers,
                etag=etag_of(file.blob.digest),
            )

        async def ask(candidate: Candidate) -> Response | None:
            return await self._cached(resource, candidate, version, kind, headers)

        found = await self._resolver.find_hosted(repository, look)
        if found is None:
            resolution = await self._finder.resolve(repository, module)
            if blocks := self._catalog.blocks():
                for candidate in resolution.candidates:
                    blocks.check(*candidate.key, versions=(version,))
            found = await self._resolver.first(resolution, ask)
        if found is None:
            hint = self._resolver.offline_hint(repository)
            raise VersionNotFound(f"there is no {kind} of {module} {version}{hint}")
        return found

    async def _cached(
        self,
        resource: Resource,
        candidate: Candidate,
        version: str,
        kind: str,
        headers: tuple[Header, ...],
    ) -> Response | None:
        """A file of an upstream."""
        wanted = await self._wanted(resource, candidate.source, version, kind)
        try:
            return await file_response(
                resource.request, self._services, wanted, headers=headers, etag=None, what=kind
            )
        except NotFound:
            await self._finder.check_absent(resource, candidate)
            return await self._bare_info(resource, candidate.source, version) if kind == "info" else None

    async def _bare_info(self, resource: Resource, source: Source, version: str) -> Response | None:
        """Of a version whose zip came without it, as `go build` asks: all that `go get` and `go mod download`
        need to find it offline. The time may be left out (go.dev/ref/mod, GOPROXY protocol)."""
        path = version_file(resource.module, f"{version}.zip")
        if self._index.is_online(source) or await self._catalog.find_cached(source.id, path) is None:
            return None
        return json_answer({"Version": version})

    async def _wanted(self, resource: Resource, source: Source, version: str, kind: str) -> FileRequest:
        """A file of an upstream, for the cache. The hash of a zip is here since that is; nobody is asked."""
        path = version_file(resource.module, f"{version}.{kind}")
        is_asked = kind != "ziphash" and resource.may_fetch and self._index.is_online(source)
        file = UpstreamFile(
            path=path,
            package=resource.module,
            version=version,
            media_type=MEDIA_TYPES[kind],
            addresses=(self._index.address(source, path),) if is_asked else (),
        )
        check: Callable[[str], bool] | None = None
        if is_asked and await self._catalog.find_cached(source.id, path) is None:
            check = await self._check(resource, source, version, kind)
        request = self._files.request(source.repository, file, max_bytes=self._largest(kind))
        if isinstance(check, ZipCheck):
            request = replace(request, store=partial(self._store_zip, source, check, request.store))
        return replace(request, check=check)

    def _largest(self, kind: str) -> int:
        return {"info": LARGEST_INFO, "mod": LARGEST_MOD}.get(kind, self._settings.max_zip_size)

    async def _check(
        self, resource: Resource, source: Source, version: str, kind: str
    ) -> Callable[[str], bool] | None:
        """What a file that comes has to be."""
        module = resource.module
        if kind == "info":
            return InfoCheck(version)
        if not self._settings.verify:
            return None
        sums = await self._databases.sums(resource, source, module, version)
        if kind == "mod":
            return ModCheck(module, version, sums.mod) if sums.mod else None
        return ZipCheck(module, version, sums.zip, max(LARGEST_ZIP, self._settings.max_zip_size))

    async def _store_zip(
        self, source: Source, zipped: ZipCheck, store: _Store, blob: NewBlob, received: Received
    ) -> Blob:
        """The row of a zip is the last that is written: what fails, or is killed, before comes again."""
        await self._keep_hash(source, zipped)
        return await store(blob, received)

    async def _keep_hash(self, source: Source, zipped: ZipCheck) -> None:
        """The `.ziphash` of a zip that has come."""
        file = UpstreamFile(
            path=version_file(zipped.module, f"{zipped.version}.ziphash"),
            package=zipped.module,
            version=zipped.version,
            media_type=MEDIA_TYPES["ziphash"],
        )
        async with self._services.blobs.ingest(zipped.h1.encode(), Expect()) as new:
            new.settle(
                await self._files.keep(source.repository, file, new.blob, Received(source.setting.url))
            )

    def _forever(self, resource: Resource) -> Header:
        return _PUBLIC if self._authorizer.is_public(resource.repository) else _PRIVATE
