"""The endpoints below `/npm/` and `/r/<name>/npm/`, and what npm asks the root of the host: `/-/npm/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from nora.auth.authorizer import Authorizer
from nora.auth.endpoints import package_router
from nora.formats.base import Services
from nora.formats.npm.audit import Audit
from nora.formats.npm.changes import Changes
from nora.formats.npm.login import Login
from nora.formats.npm.names import PackageName
from nora.formats.npm.packuments import Packuments
from nora.formats.npm.publish import PublishEndpoint
from nora.formats.npm.publishing import PublishingEndpoint
from nora.formats.npm.registry import Registry
from nora.formats.npm.releases import RULES
from nora.formats.npm.resource import Resource
from nora.formats.npm.search import Search
from nora.formats.npm.signatures import Signatures
from nora.formats.npm.sources import Finder
from nora.formats.npm.tags import TagEndpoints
from nora.formats.npm.tarballs import Tarballs
from nora.formats.npm.tokens import TokenEndpoints
from nora.formats.npm.upstream import Index
from nora.formats.npm.web_login import WebLogin
from nora.formats.releases import ReleaseApi
from nora.http.paths import Repositories, Target
from nora.http.router import Endpoint, Router
from nora.model import Repository

READ: Final = "GET HEAD"
PACKAGE: Final = "/npm/{@package}"
FILE: Final = f"{PACKAGE}/-/{{@filename}}"
ABOUT: Final = "/npm/-/package/{@package}"
TAG: Final = f"{ABOUT}/dist-tags/{{tag}}"
V1: Final = "/npm/-/npm/v1"
EXCHANGE: Final = "/-/npm/v1/oidc/token/exchange/package/{@package}"
USER: Final = "/npm/-/user/{user}"


def build(services: Services, repositories: Mapping[str, Repository]) -> Router[Target, Resource]:
    """The handler of all repositories of this format."""
    authorizer = Authorizer(services.authenticator, services.access)
    return package_router(
        _endpoints(services, authorizer),
        Repositories(repositories["npm"], repositories),
        authorizer,
        Resource,
        package="package",
        parse=PackageName.of,
        otherwise="a registry of npm",
    )


def _endpoints(services: Services, authorizer: Authorizer) -> Iterator[Endpoint[Resource]]:
    index = Index(services)
    finder = Finder(services, index)
    yield from _packages(services, authorizer, finder, index)
    yield from _people(services)
    yield from _registry(services, authorizer, finder, index)
    guard = Changes(services, authorizer).check_maintainer
    yield from ReleaseApi(services, authorizer, RULES, guard).endpoints()


def _packages(
    services: Services, authorizer: Authorizer, finder: Finder, index: Index
) -> Iterator[Endpoint[Resource]]:
    packuments = Packuments(services, authorizer, finder)
    changes = Changes(services, authorizer)
    tags = TagEndpoints(services, authorizer)
    yield Endpoint(READ, PACKAGE, "read", packuments.document)
    yield Endpoint("PUT", PACKAGE, "write", PublishEndpoint(services, authorizer, changes).put)
    yield Endpoint("PUT", f"{PACKAGE}/-rev/{{rev}}", "write", changes.put)
    yield Endpoint("DELETE", f"{PACKAGE}/-rev/{{rev}}", "delete", changes.delete)
    yield Endpoint(READ, f"{PACKAGE}/{{version}}", "read", packuments.version)
    yield Endpoint(READ, FILE, "read", Tarballs(services, authorizer, index).get)
    yield Endpoint("DELETE", f"{FILE}/-rev/{{rev}}", "delete", changes.delete)
    yield Endpoint(READ, f"{ABOUT}/dist-tags", "read", packuments.tags)
    yield Endpoint("PUT POST", TAG, "write", tags.put)
    yield Endpoint("DELETE", TAG, "untag", tags.delete)


def _people(services: Services) -> Iterator[Endpoint[Resource]]:
    """Where who is asking is found out by the endpoint."""
    login = Login(services)
    web, tokens = WebLogin(services, login), TokenEndpoints(services, login)
    yield Endpoint("PUT", USER, None, login.put)
    yield Endpoint(READ, USER, "read", login.get)
    yield Endpoint("DELETE", "/npm/-/user/token/{token}", None, login.logout)
    yield Endpoint(READ, "/npm/-/whoami", None, login.whoami)
    yield Endpoint(READ, f"{V1}/user", None, login.profile)
    yield Endpoint("POST", "/npm/-/v1/login", None, web.begin)
    yield Endpoint(READ, "/npm/-/v1/done", None, web.done)
    yield Endpoint(READ, "/npm/-/login", None, web.page)
    yield Endpoint("POST", "/npm/-/login", None, web.submit)
    yield Endpoint(READ, f"{V1}/tokens", None, tokens.list)
    yield Endpoint("POST", f"{V1}/tokens", None, tokens.create)
    yield Endpoint("DELETE", f"{V1}/tokens/token/{{key}}", None, tokens.revoke)
    publishing = PublishingEndpoint(services)
    yield Endpoint("POST", f"/npm{EXCHANGE}", None, publishing.post)
    yield Endpoint("POST", EXCHANGE, None, publishing.post)


def _registry(
    services: Services, authorizer: Authorizer, finder: Finder, index: Index
) -> Iterator[Endpoint[Resource]]:
    registry = Registry(services, authorizer, finder)
    signatures, audit = Signatures(services, authorizer, index), Audit(services, index)
    yield Endpoint(READ, "/npm/-/ping", "read", registry.ping)
    yield Endpoint(READ, "/npm/-/v1/search", "read", Search(services, authorizer, finder, index).get)
    yield Endpoint(READ, "/npm/-/all", "read", registry.gone)
    yield Endpoint(READ, "/npm/-/all/since", "read", registry.gone)
    yield Endpoint(READ, f"{ABOUT}/visibility", "read", registry.visibility)
    yield Endpoint(READ, f"{ABOUT}/collaborators", "read", registry.not_here)
    yield Endpoint(READ, "/npm/-/org/{org}/package", "read", registry.not_here)
    yield Endpoint(READ, f"{USER}/package", "read", registry.not_here)
    yield Endpoint("POST", f"{V1}/security/advisories/bulk", "read", audit.bulk)
    yield Endpoint("POST", f"{V1}/security/audits", "read", audit.tree)
    yield Endpoint("POST", f"{V1}/security/audits/quick", "read", audit.tree)
    yield Endpoint(READ, f"{V1}/keys", "read", signatures.keys)
    yield Endpoint(READ, f"{V1}/attestations/{{@spec}}", None, signatures.attestations)
