"""The endpoints below `/raw/` and `/r/<name>/raw/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from blacksheep import Request

from nora.auth.authorizer import Authorizer
from nora.auth.endpoints import package_router
from nora.formats.base import Services
from nora.formats.raw.files import Files
from nora.formats.raw.names import FilePath
from nora.formats.raw.resource import Resource
from nora.formats.raw.settings import RawSettings
from nora.formats.raw.upload import PutEndpoint
from nora.formats.resumable import ResumableUploads
from nora.http.paths import Repositories, Target
from nora.http.router import Endpoint, Router
from nora.model import Action, Repository

PATH: Final = "/raw/{path...}"


def build(services: Services, repositories: Mapping[str, Repository]) -> Router[Target, Resource]:
    """The handler of all repositories of this format."""
    authorizer = Authorizer(services.authenticator, services.access)
    return package_router(
        _endpoints(services, authorizer),
        Repositories(repositories["raw"], repositories),
        authorizer,
        _open,
        package="path",
        parse=FilePath.of,
        otherwise="/raw/",
    )


def _open(
    request: Request, action: Action | None, repository: Repository, path: FilePath | None, target: Target
) -> Resource:
    if path is not None and target.is_directory:
        path = FilePath(f"{path}/")
    return Resource(request, action, repository, path, target)


def _endpoints(services: Services, authorizer: Authorizer) -> Iterator[Endpoint[Resource]]:
    files = Files(services, authorizer)
    yield Endpoint("GET HEAD", "/raw/", "read", files.get)
    yield Endpoint("GET HEAD", PATH, "read", files.get)
    puts = PutEndpoint(services, authorizer)
    yield Endpoint("PUT", PATH, "write", puts.put)
    yield Endpoint("DELETE", PATH, "delete", files.delete)
    max_size = services.settings(RawSettings).max_file_size
    yield from ResumableUploads(services, puts, "/raw", max_size).endpoints()
