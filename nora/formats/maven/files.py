"""The files of artifacts, and their checksums: hosted, else of the source of their package."""

from __future__ import annotations

from blacksheep import Response

from nora.formats.base import Services
from nora.formats.maven.answers import Answers
from nora.formats.maven.cached import CachedFiles
from nora.formats.maven.hosted import Stored, newest_build, stored
from nora.formats.maven.names import ArtifactFile, Checksum
from nora.formats.maven.redeploy import Redeploy
from nora.formats.maven.resource import Resource
from nora.http.kept_answers import Stamp
from nora.http.pulls import answer_with
from nora.model import Repository


class Files:
    """The endpoints of files."""

    def __init__(self, services: Services, answers: Answers, cached: CachedFiles) -> None:
        self._answers = answers
        self._cached = cached
        self._catalog = services.catalog
        self._resolver = services.resolver
        self._redeploy = Redeploy(services.config)

    async def get(self, resource: Resource, path: ArtifactFile) -> Response:
        """GET and HEAD of a file."""
        resource.count_as("download")
        stamp = self._stamp(resource, path)

        async def look(hosted: Repository) -> Response | None:
            found = await self._find(hosted, path)
            if found is None:
                return None
            is_changing = self._redeploy.may_change(hosted, path)
            answer_with(resource.request, hosted.id, found.path)
            return await self._answers.file(resource, found, is_changing=is_changing)

        found = await self._resolver.find_hosted(resource.repository, look)
        if found is None:
            found = await self._cached.get(resource, path)
        resource.keep_while(stamp)
        return found

    async def checksum(self, resource: Resource, path: Checksum, file: ArtifactFile) -> Response:
        """GET and HEAD of a checksum of a file."""
        stamp = self._stamp(resource, file)

        async def look(hosted: Repository) -> Response | None:
            found = await self._find(hosted, file)
            if found is None:
                return None
            is_changing = self._redeploy.may_change(hosted, file)
            return self._answers.checksum(resource, found, path.algorithm, is_changing=is_changing)

        found = await self._resolver.find_hosted(resource.repository, look)
        if found is None:
            return await self._cached.checksum(resource, path, file, stamp)
        resource.keep_while(stamp)
        return found

    def _stamp(self, resource: Resource, path: ArtifactFile) -> Stamp | None:
        """How long an answer may be given again: one about what never changes, as long as no row does."""
        if path.is_mutable or not resource.may_be_kept:
            return None
        return self._resolver.stamp(resource.repository, path.package)

    async def _find(self, hosted: Repository, path: ArtifactFile) -> Stored | None:
        """A file of a hosted repository. `lib-1.0-SNAPSHOT.jar` is that of the newest build."""
        file = await self._catalog.find_file(hosted.id, path.path)
        if file is None and path.is_mutable:
            rows = await self._catalog.list_package_files(hosted.id, path.package)
            newest = newest_build(rows, path)
            file = None if newest is None else await self._catalog.find_file(hosted.id, newest.path)
        return None if file is None else stored(file)
