"""The endpoints below `/raw/` and `/r/<name>/raw/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from blacksheep import Request

from nora.auth.authorizer import Authorizer
from nora.auth.endpoints import package_router
from nora.formats.base import Services
from nora.formats.file_uploads import FileUploads
from nora.formats.raw.files import Files
from nora.formats.raw.names import FilePath
from nora.formats.raw.settings import RawSettings
from nora.formats.raw.upload import PutEndpoint
from nora.formats.removal import Removal
from nora.formats.replacing import ReplaceRules
from nora.formats.resumable import ResumableUploads
from nora.formats.unpacking import Archives
from nora.http.context import PathContext
from nora.http.paths import Repositories, Target
from nora.http.router import Endpoint, Router
from nora.model import Action, Repository

MOUNT: Final = "/raw"
PATH: Final = f"{MOUNT}/{{path...}}"


def build(services: Services, repositories: Mapping[str, Repository]) -> Router[Target, PathContext]:
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
) -> PathContext:
    if path is not None and target.is_directory:
        path = FilePath(f"{path}/")
    return PathContext(request, action, repository, path, target)


def _endpoints(services: Services, authorizer: Authorizer) -> Iterator[Endpoint[PathContext]]:
    settings = services.settings(RawSettings)
    rules, largest = ReplaceRules(services.config, "raw", settings.overwrite), settings.max_file_size
    uploads = FileUploads(services, MOUNT, rules, largest)
    archives = Archives(services, authorizer, FilePath.of, rules, largest)
    files = Files(services, authorizer)
    yield Endpoint("GET HEAD", f"{MOUNT}/", "read", files.get)
    yield Endpoint("GET HEAD", PATH, "read", files.get)
    yield Endpoint("PUT", PATH, "write", PutEndpoint(uploads, archives).put)
    yield Endpoint("DELETE", PATH, "delete", Removal(services, authorizer, rules).delete)
    yield from ResumableUploads(services, uploads).endpoints()
