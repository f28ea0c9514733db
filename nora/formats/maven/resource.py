"""What an endpoint gets: a request that may be answered, with its path taken apart."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from blacksheep import Request

from nora.auth.authorizer import Authorizer
from nora.formats.maven.names import (
    ArtifactFile,
    Checksum,
    Metadata,
    PackageName,
    RepositoryPath,
    parse_path,
)
from nora.http.context import PathContext, RequestContext
from nora.http.paths import Target
from nora.model import Action, Principal, Repository

_REMEMBERED: Final = 4096


class Resource(PathContext):
    """A request for what its path names."""

    __slots__ = ("path",)

    def __init__(
        self,
        request: Request,
        action: Action | None,
        repository: Repository,
        path: str | None,
        target: Target,
    ) -> None:
        """Raises InvalidName."""
        self.path = _parse(path or "", target.is_directory)
        PathContext.__init__(self, request, action, repository, package_of(self.path), target)


class MavenAuthorizer(Authorizer):
    """Lets requests through to the endpoints."""

    async def authorize(self, context: RequestContext) -> Principal:
        """The metadata of a group is at a path that is the name of another package as well: who may do this
        with anything in the repository is let through, and the endpoint looks at each package in it."""
        if not isinstance(context, Resource) or not is_shared(context.path):
            return await Authorizer.authorize(self, context)
        package, context.package = context.package, None
        try:
            return await Authorizer.authorize(self, context)
        finally:
            context.package = package


def package_of(path: RepositoryPath) -> PackageName | None:
    """The package that a path is about; None: none, or several."""
    about = path.file if isinstance(path, Checksum) else path
    return about.package if isinstance(about, ArtifactFile | Metadata) else None


def is_shared(path: RepositoryPath) -> bool:
    """Whether it is the metadata of an artifact, of a group, or of both, or a checksum of that."""
    about = path.file if isinstance(path, Checksum) else path
    return isinstance(about, Metadata) and not about.version


@lru_cache(_REMEMBERED)
def _parse(path: str, is_directory: bool) -> RepositoryPath:
    return parse_path(path.split("/") if path else (), is_directory=is_directory)
