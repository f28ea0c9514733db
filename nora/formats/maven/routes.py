"""The endpoints below `/maven2/` and `/r/<name>/maven2/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from nora.auth.authorizer import Authorizer
from nora.auth.endpoints import package_router
from nora.formats.base import Services
from nora.formats.maven.contents import Contents
from nora.formats.maven.delete import DeleteEndpoint
from nora.formats.maven.publish import PublishEndpoint
from nora.formats.maven.resource import MavenAuthorizer, Resource
from nora.http.paths import Repositories, Target
from nora.http.router import Endpoint, Router
from nora.model import Repository

READ: Final = "GET HEAD"
PATH: Final = "/maven2/{path...}"


def build(services: Services, repositories: Mapping[str, Repository]) -> Router[Target, Resource]:
    """The handler of all repositories of this format."""
    authorizer = MavenAuthorizer(services.authenticator, services.access)
    return package_router(
        _endpoints(services, authorizer),
        Repositories(repositories["maven"], repositories),
        authorizer,
        Resource,
        package="path",
        parse=str,
        otherwise="a Maven repository",
    )


def _endpoints(services: Services, authorizer: Authorizer) -> Iterator[Endpoint[Resource]]:
    contents = Contents(services, authorizer)
    yield Endpoint(READ, "/maven2/", "read", contents.get)
    yield Endpoint(READ, PATH, "read", contents.get)
    yield Endpoint("PUT", PATH, "write", PublishEndpoint(services, authorizer).put)
    yield Endpoint("DELETE", PATH, "delete", DeleteEndpoint(services, authorizer).delete)
