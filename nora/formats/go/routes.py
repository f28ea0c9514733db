"""The endpoints below `/go/` and `/r/<name>/go/`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import wraps
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
from nora.formats.go.settings import GoSettings
from nora.formats.go.sources import Finder
from nora.formats.go.sumdb import SumDatabases
from nora.formats.go.upstream import Index
from nora.formats.go.versions import Versions
from nora.formats.releases import ReleaseApi
from nora.http.paths import Repositories, Target
from nora.http.router import Endpoint, Router
from nora.model import Repository
from nora.resolve.deadline import allow

Answer = Callable[[Resource], Awaitable[Response]]
READ: Final = "GET HEAD"
MODULE: Final = "/go/{module...}"
DATABASE: Final = "/go/sumdb/{database}"


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
    sums = SumDatabases(services, authorizer, index, finder)
    files = VersionFiles(services, authorizer, index, finder, sums)
    versions = Versions(services, authorizer, index, finder, files)
    publish = PublishEndpoint(services, authorizer)

    # For three questions, one after the other: that an upstream is silent is said before it is over
    seconds = 3.0 * services.settings(GoSettings).proxy_timeout

    def patient(handler: Answer) -> Answer:
        """The go command waits for its answer, and tries nothing again."""

        @wraps(handler)
        async def answer(resource: Resource) -> Response:
            allow(seconds)
            return await handler(resource)

        return answer

    async def file(resource: Resource) -> Response:
        """A file of a version: `.info`, `.mod` or `.zip`. A version in full has all of them; anything else
        has an `.info` that tells which version it is."""
        is_query = resource.kind == "info" and not is_canonical(resource.version)
        return await (versions.query if is_query else files.get)(resource)

    yield Endpoint(READ, f"{MODULE}/@v/list", "read", patient(versions.list))
    yield Endpoint(READ, f"{MODULE}/@latest", "read", patient(versions.latest))
    yield Endpoint(READ, f"{MODULE}/@v/{{version}}", "read", patient(file))
    yield Endpoint("PUT", f"{MODULE}/@v/{{version}}", "write", publish.put)
    yield Endpoint("PUT", "/go/upload", "write", publish.upload)
    yield Endpoint(READ, f"{DATABASE}/supported", "read", sums.supported)
    yield Endpoint(READ, f"{DATABASE}/latest", "read", patient(sums.latest))
    yield Endpoint(READ, f"{DATABASE}/lookup/{{record...}}", "read", patient(sums.lookup))
    yield Endpoint(READ, f"{DATABASE}/tile/{{tile...}}", "read", patient(sums.tile))
    yield from ReleaseApi(services, authorizer, RULES).endpoints()
