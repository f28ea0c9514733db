"""The endpoints below `/simple/`, `/legacy/`, `/pypi/`, `/integrity/` and `/r/<name>/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nora.auth.authorizer import Authorizer
from nora.auth.endpoints import package_router
from nora.formats.base import Services
from nora.formats.pypi.cached import CachedFiles
from nora.formats.pypi.files import Files
from nora.formats.pypi.json_api import JsonApi
from nora.formats.pypi.names import ProjectName
from nora.formats.pypi.projects import Projects
from nora.formats.pypi.releases import RULES
from nora.formats.pypi.resource import Resource
from nora.formats.pypi.sources import Finder
from nora.formats.pypi.upload import UploadEndpoint
from nora.formats.pypi.upstream import Index
from nora.formats.releases import ReleaseApi
from nora.http.paths import Repositories, Target
from nora.http.router import Endpoint, Router
from nora.model import Repository

READ = "GET HEAD"


def build(services: Services, repositories: Mapping[str, Repository]) -> Router[Target, Resource]:
    """The handler of all repositories of this format."""
    authorizer = Authorizer(services.authenticator, services.access)
    return package_router(
        _endpoints(services, authorizer),
        Repositories(repositories["pypi"], repositories),
        authorizer,
        Resource,
        package="project",
        parse=ProjectName.of,
        otherwise="the simple repository API",
    )


def _endpoints(services: Services, authorizer: Authorizer) -> Iterator[Endpoint[Resource]]:
    index = Index(services)
    projects = Projects(services, authorizer, Finder(services, index))
    files = Files(services, authorizer, CachedFiles(services, index))
    json_api = JsonApi(services, authorizer, index)
    uploads = UploadEndpoint(services, authorizer)
    yield Endpoint(READ, "/simple/", "read", projects.list)
    yield Endpoint(READ, "/simple/{project}/", "read", projects.page)
    yield Endpoint(READ, "/simple/{project}/{filename}", "read", files.get)
    yield Endpoint(READ, "/simple/{project}/{mark}/{filename}", "read", files.get)
    yield Endpoint(READ, "/integrity/{project}/{version}/{filename}/provenance", "read", files.attestations)
    yield Endpoint(READ, "/pypi/{project}/json", "read", json_api.get)
    yield Endpoint(READ, "/pypi/{project}/{version}/json", "read", json_api.get)
    yield Endpoint("POST", "/legacy/", "write", uploads.post)
    yield Endpoint("POST", "/simple/", "write", uploads.post)
    yield Endpoint("", "/pypi", None, json_api.get)  # XML-RPC: search has left PyPI as well
    yield from ReleaseApi(services, authorizer, RULES).endpoints()
