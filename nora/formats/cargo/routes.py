"""The endpoints below `/cargo/` and `/r/<name>/cargo/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from nora.auth.authorizer import Authorizer
from nora.auth.endpoints import package_router
from nora.formats.base import Services
from nora.formats.cargo.api import Api
from nora.formats.cargo.authorizer import CargoAuthorizer
from nora.formats.cargo.crates import CrateFiles
from nora.formats.cargo.names import CrateName
from nora.formats.cargo.owners import Owners
from nora.formats.cargo.publish import PublishEndpoint
from nora.formats.cargo.publishing import PublishingEndpoint
from nora.formats.cargo.registry import Registry
from nora.formats.cargo.releases import RULES
from nora.formats.cargo.resource import Resource
from nora.formats.cargo.sources import Finder
from nora.formats.cargo.upstream import Index
from nora.formats.releases import ReleaseApi
from nora.http.paths import Repositories, Target
from nora.http.router import Endpoint, Router
from nora.model import Repository

READ: Final = "GET HEAD"
CRATES: Final = "/cargo/api/v1/crates"
CRATE: Final = f"{CRATES}/{{crate}}"
TRUSTED: Final = "/cargo/api/v1/trusted_publishing/tokens"


def build(services: Services, repositories: Mapping[str, Repository]) -> Router[Target, Resource]:
    """The handler of all repositories of this format."""
    authorizer = CargoAuthorizer(services.authenticator, services.access)
    return package_router(
        _endpoints(services, authorizer),
        Repositories(repositories["cargo"], repositories),
        authorizer,
        Resource,
        package="crate",
        parse=CrateName.of,
        otherwise="a registry of crates",
    )


def _endpoints(services: Services, authorizer: Authorizer) -> Iterator[Endpoint[Resource]]:
    index = Index(services)
    finder = Finder(services, index)
    registry = Registry(services, authorizer, finder)
    files = CrateFiles(services, authorizer, index)
    api = Api(services, authorizer, finder)
    owners = Owners(services, authorizer)
    yield Endpoint(READ, "/cargo/index/config.json", "read", registry.config)
    for folder in ("1", "2", "3/{first}", "{first}/{second}"):
        yield Endpoint(READ, f"/cargo/index/{folder}/{{crate}}", "read", registry.file)
    yield Endpoint(READ, "/cargo/dl/{crate}/{version}/{filename}", "read", files.get)
    yield Endpoint(READ, f"{CRATE}/{{version}}/download", "read", files.get)
    yield Endpoint("PUT", f"{CRATES}/new", "write", PublishEndpoint(services, authorizer).put)
    yield Endpoint("DELETE", f"{CRATE}/{{version}}/yank", "write", api.yank)
    yield Endpoint("PUT", f"{CRATE}/{{version}}/unyank", "write", api.unyank)
    yield Endpoint(READ, f"{CRATE}/owners", "read", owners.list)
    yield Endpoint("PUT", f"{CRATE}/owners", "write", owners.add)
    yield Endpoint("DELETE", f"{CRATE}/owners", "write", owners.remove)
    yield Endpoint(READ, CRATES, "read", api.search)
    yield Endpoint(READ, CRATE, "read", api.crate)
    yield Endpoint(READ, f"{CRATE}/versions", "read", api.versions)
    yield Endpoint(READ, f"{CRATE}/{{version}}", "read", api.version)
    yield Endpoint(READ, f"{CRATE}/{{version}}/dependencies", "read", api.dependencies)
    yield Endpoint(READ, "/cargo/me", None, registry.me)
    publishing = PublishingEndpoint(services)
    yield Endpoint("POST PUT", TRUSTED, None, publishing.post)
    yield Endpoint("DELETE", TRUSTED, None, publishing.delete)
    yield from ReleaseApi(services, authorizer, RULES, owners.check).endpoints()
