"""GET and HEAD of whatever a path names."""

from __future__ import annotations

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.errors import InvalidName
from nora.formats.base import Services
from nora.formats.directories import Directories
from nora.formats.maven.answers import Answers
from nora.formats.maven.artifact_metadata import MetadataEndpoint
from nora.formats.maven.cached import CachedFiles
from nora.formats.maven.files import Files
from nora.formats.maven.names import ArtifactFile, Checksum, Directory, Metadata, parse_path
from nora.formats.maven.resource import Resource, package_of
from nora.formats.maven.sources import Finder
from nora.formats.maven.upstream import Index
from nora.http.context import PathContext


class Contents:
    """The endpoint of reads."""

    def __init__(self, services: Services, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        index, answers = Index(services), Answers(services, authorizer)
        self._cached = CachedFiles(services, authorizer, index, answers)
        self._files = Files(services, answers, self._cached)
        finder = Finder(services, authorizer, index, self._cached)
        self._metadata = MetadataEndpoint(services, authorizer, finder)
        self._directories = Directories(services.catalog, self._may_read)

    async def get(self, resource: Resource) -> Response:
        """A file, a checksum, metadata, a directory."""
        path = resource.path
        if isinstance(path, ArtifactFile):
            return await self._files.get(resource, path)
        if isinstance(path, Metadata):
            return await self._metadata.get(resource, path)
        if isinstance(path, Directory):
            return await self._directories.answer(resource, path.path and f"{path.path}/")
        if isinstance(path, Checksum):
            if isinstance(path.file, ArtifactFile):
                return await self._files.checksum(resource, path, path.file)
            if isinstance(path.file, Metadata):
                return await self._metadata.checksum(resource, path.file, path.algorithm)
        return await self._cached.root_file(resource, path.path)

    def _may_read(self, context: PathContext, path: str) -> bool:
        """Whether an entry of a directory is listed: one that may be a version or an artifact that one may
        read, or the first part of groups."""
        may_read = self._authorizer.may_read
        return any(may_read(context.principal, context.repository, name) for name in _packages(path))


def _packages(path: str) -> list[str]:
    """What packages there may be at a path; `com:` at `com/`, which is neither artifact nor version."""
    try:
        found = parse_path([one for one in path.split("/") if one], is_directory=path.endswith("/"))
    except InvalidName:
        return []
    if isinstance(found, Directory):
        version = found.version
        if "/" not in found.path:
            return [f"{found.path}:"]
        names = [version and version[0], found.package]
    else:
        names = [package_of(found)]
    return [one for one in names if one is not None]
