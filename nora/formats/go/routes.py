"""The endpoints below `/go/` and `/r/<name>/go/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.auth.endpoints import package_router
from nora.formats.base import Services
from nora.formats.go.files import VersionFiles
from nora.formats.go.names import ModulePath, is_canonical
from nora.formats.go.publish import PublishEndpoint
from nora.formats.go.releases import RULES
from nora.formats.go.resource import Resource
from nora.formats.go.sources import Finder
from nora.formats.go.upstream import Index
from nora.formats.go.versions import Versions
from nora.formats.releases import ReleaseApi
from nora.http.paths import Repositories, Target
from nora.http.router import Endpoint, Router
from nora.model import Repository

READ: Final = "GET HEAD"
MODULE: Final = "/go/{module...}"


def build(services: Services, repositories: Mapping[str, Repository]) -> Router[Target, Resource]:
    """The handler of all repositories of this format."""
    authorizer = Authorizer(services.authenticator, services.access)
    return package_router(
        _endpoints(services, authorizer),
        Repositories(repositories["go"], repositories),
        authorizer,
        Resource,
        package="module",
        parse=ModulePath.unescaped,
        otherwise="the protocol of module proxies (go.dev/ref/mod)",
    )


def _endpoints(services: Services, authorizer: Authorizer) -> Iterator[Endpoint[Resource]]:
    index = Index(services)
    finder = Finder(services, index)
    files = VersionFiles(services, authorizer, index, finder)
    versions = Versions(services, authorizer, index, finder, files)
    publish = PublishEndpoint(services, authorizer)

    async def file(resource: Resource) -> Response:
        """A version in full has files; anything else has an `.info` that tells which version it is."""
        is_query = resource.kind == "info" and not is_canonical(resource.version)
        return await (versions.query if is_query else files.get)(resource)

    yield Endpoint(READ, f"{MODULE}/@v/list", "read", versions.list)
    yield Endpoint(READ, f"{MODULE}/@latest", "read", versions.latest)
    yield Endpoint(READ, f"{MODULE}/@v/{{version}}", "read", file)
    yield Endpoint("PUT", f"{MODULE}/@v/{{version}}", "write", publish.put)
    yield Endpoint("PUT", "/go/upload", "write", publish.upload)
    yield from ReleaseApi(services, authorizer, RULES).endpoints()
