"""The files of upstreams. Releases and builds of snapshots never change: each is fetched once, and confirmed
by the checksum that its upstream tells. Everything else is asked again as files that change are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.catalog.records import Cached
from nora.errors import NotFound
from nora.formats.base import Services
from nora.formats.maven.answers import Answers, absent
from nora.formats.maven.hosted import HASHES, Stored, checksums_of, media_type_of
from nora.formats.maven.names import ArtifactFile, Checksum, PackageName
from nora.formats.maven.resource import Resource
from nora.formats.maven.settings import MavenSettings
from nora.formats.maven.upstream import Index
from nora.http.kept_answers import Stamp
from nora.http.pulls import answer_with
from nora.proxy.answers import age_headers, file_response, modified_of
from nora.proxy.base import FileRequest
from nora.proxy.changing_files import ChangingFiles
from nora.proxy.listed_files import ListedFiles, UpstreamFile
from nora.resolve import Candidate, Source

OfSource = Callable[[Source, ArtifactFile], Awaitable[Response | None]]
_HIDDEN: Final = ".meta/"
"""What says which groups there are: that of one source would hide what all others have."""


class CachedFiles:
    """What is cached, or can be had."""

    def __init__(self, services: Services, authorizer: Authorizer, index: Index, answers: Answers) -> None:
        self._services = services
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._cache = services.cache
        self._resolver = services.resolver
        self._index = index
        self._answers = answers
        self._files = ListedFiles(services.catalog, services.leases.seconds, services.cache.used)
        self._changing = ChangingFiles(services.catalog, self._files)
        self._max_bytes = services.settings(MavenSettings).max_file_size

    async def get(self, resource: Resource, path: ArtifactFile) -> Response:
        """A file, as its source has it. Raises NotFound, Blocked, UpstreamFailed."""

        async def of_source(source: Source, file: ArtifactFile) -> Response | None:
            return await self._file_of(resource, source, file, is_changing=path.is_mutable)

        return await self._first(resource, path, of_source)

    async def checksum(
        self, resource: Resource, path: Checksum, file: ArtifactFile, stamp: Stamp | None
    ) -> Response:
        """A checksum of a file: of what is here or on its way, else as the source says. `stamp` is how long
        that of a file that is here may be given again."""

        async def of_source(source: Source, found: ArtifactFile) -> Response | None:
            return await self._checksum_of(resource, source, Checksum(found, path.algorithm), found, stamp)

        return await self._first(resource, file, of_source)

    async def root_file(self, resource: Resource, path: str) -> Response:
        """A file of a repository as a whole: `archetype-catalog.xml`."""

        async def ask(candidate: Candidate) -> Response | None:
            try:
                return await self._changed(
                    resource, candidate.source, self._file(candidate.source, path, path)
                )
            except NotFound:
                return None

        found = None
        if not path.startswith(_HIDDEN):
            found = await self._resolver.first(await self._resolver.resolve(resource.repository, path), ask)
        if found is None:
            raise NotFound(f"there is no {path}{self._resolver.offline_hint(resource.repository)}")
        return found

    async def check_absent(self, candidate: Candidate, package: PackageName) -> None:
        """Raise NotFound where a source that lacks a file has the artifact: others that are asked after it
        must not make up for that."""
        if candidate.is_last or candidate.pinned:
            return
        if await self._index.has_package(candidate.source, package):
            raise NotFound(f"{candidate.source.setting.url} has {package}, and not this of it")

    # -- one source --------------------------------------------------------------------------------------

    async def _first(self, resource: Resource, path: ArtifactFile, of_source: OfSource) -> Response:
        """What the first source has that has it: under its name, or as the newest build of a snapshot."""

        async def ask(candidate: Candidate) -> Response | None:
            found = await of_source(candidate.source, path)
            if found is None and path.is_mutable:
                newest = await self._index.newest_build(candidate.source, path)
                found = None if newest is None else await of_source(candidate.source, newest)
            if found is None:
                await self.check_absent(candidate, path.package)
            return found

        resolution = await self._resolver.resolve(resource.repository, path.package)
        if blocks := self._catalog.blocks():
            for candidate in resolution.candidates:
                blocks.check(*candidate.key, versions=(path.version,))
        try:
            found = await self._resolver.first(resolution, ask)
        except NotFound:
            found = None
        if found is None:
            raise absent(path, self._resolver.offline_hint(resource.repository))
        return found

    async def _file_of(
        self, resource: Resource, source: Source, path: ArtifactFile, *, is_changing: bool
    ) -> Response | None:
        cached = None if path.is_mutable else await self._find(source, path)
        if cached is not None:
            self._cache.used(cached.id)
            answer_with(resource.request, source.id, cached.path)
            return await self._answers.file(resource, stored(cached), is_changing=is_changing)
        try:
            if path.is_mutable:
                return await self._changed(resource, source, self._described(source, path))
            return await file_response(
                resource.request,
                self._services,
                self._request(source, path),
                headers=(self._answers.age(resource, is_changing=is_changing),),
                etag=None,
                what=path.filename,
            )
        except NotFound:
            return None

    async def _checksum_of(
        self, resource: Resource, source: Source, path: Checksum, file: ArtifactFile, stamp: Stamp | None
    ) -> Response | None:
        cached, request = await self._find(source, file), self._request(source, file)
        if cached is None and self._cache.is_coming(request):
            await self._cache.stored(request)
            cached = await self._find(source, file)
        if cached is not None and path.algorithm in checksums_of(cached):
            resource.keep_while(stamp)
            return self._answers.checksum(
                resource, stored(cached), path.algorithm, is_changing=file.is_mutable
            )
        if self._cache.is_absent(request):
            return None
        document = await self._index.checksum(source, path, file.package)
        if document is None:
            return None
        public = self._authorizer.is_public(resource.repository)
        body = await self._services.blobs.read(document.cached.blob)
        return self._answers.text(resource, body, None, age_headers((document,), public=public))

    async def _find(self, source: Source, path: ArtifactFile) -> Cached | None:
        return await self._catalog.find_cached(source.id, path.path)

    async def _changed(self, resource: Resource, source: Source, file: UpstreamFile) -> Response:
        return await self._changing.response(
            resource.request,
            self._services,
            source.repository,
            file,
            self._index.policy(source),
            max_bytes=self._max_bytes,
            public=self._authorizer.is_public(resource.repository),
        )

    def _request(self, source: Source, path: ArtifactFile) -> FileRequest:
        return self._files.request(
            source.repository,
            self._described(source, path),
            max_bytes=self._max_bytes,
            confirm=None if path.is_signature else self._index.confirm,
        )

    def _described(self, source: Source, path: ArtifactFile) -> UpstreamFile:
        return self._file(source, path.path, path.package, path.version)

    def _file(self, source: Source, path: str, package: str, version: str | None = None) -> UpstreamFile:
        return UpstreamFile(
            path=path,
            package=package,
            version=version,
            media_type=media_type_of(path),
            addresses=(self._index.address(source, path),) if self._index.is_online(source) else (),
            also=HASHES,
        )


def stored(cached: Cached) -> Stored:
    """A file that came from an upstream."""
    modified = modified_of(cached)
    return Stored(
        cached.blob,
        checksums_of(cached),
        cached.media_type,
        cached.fetched_at if modified is None else modified,
        cached.path,
    )
