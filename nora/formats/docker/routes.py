"""The routes of `/v2/`: parse the path, ask whether this may be done, let the endpoint answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import parse_qs

from blacksheep import Content, Request, Response

from nora import _speedups as speedups
from nora.errors import BadRequest, Denied, MethodNotAllowed, NotFound
from nora.formats.base import Services
from nora.formats.docker.authorizer import Authorizer
from nora.formats.docker.blobs import Blobs
from nora.formats.docker.challenge import TOKEN_PATH
from nora.formats.docker.listings import Listings
from nora.formats.docker.manifests import Manifests
from nora.formats.docker.mirror import Mirror
from nora.formats.docker.names import Images
from nora.formats.docker.resource import API_VERSION, Endpoint, Resource
from nora.formats.docker.token import TokenService
from nora.formats.docker.uploads import UploadSessions
from nora.formats.docker.ways import Ways
from nora.model import ANONYMOUS, Action, Repository

_TOKEN_PATH = TOKEN_PATH.encode()

_PATHS = {
    speedups.PING: "/v2/",
    speedups.CATALOG: "/v2/_catalog",
    speedups.TAGS: "/v2/{name}/tags/list",
    speedups.MANIFEST: "/v2/{name}/manifests/{reference}",
    speedups.BLOB: "/v2/{name}/blobs/{digest}",
    speedups.UPLOADS: "/v2/{name}/blobs/uploads/",
    speedups.UPLOAD: "/v2/{name}/blobs/uploads/{id}",
    speedups.REFERRERS: "/v2/{name}/referrers/{digest}",
    speedups.EXTENSIONS: "/v2/_oci/ext/discover",
}


class Route(NamedTuple):
    """An endpoint, and what asking it means."""

    endpoint: Endpoint
    action: Action | None = None
    """With the image of the path. None where the path names no image: such an endpoint asks for itself."""


class Router:
    """Answers everything below `/v2/` (distribution-spec, Endpoints)."""

    def __init__(self, services: Services, images: Images) -> None:
        self._images = images
        self._authorizer = authorizer = Authorizer(services, images)
        self._token = TokenService(services, images)
        self._ways = ways = Ways(services, images.repositories)
        mirror = Mirror(services, ways)
        manifests = Manifests(services, mirror)
        blobs = Blobs(services, authorizer, mirror)
        uploads = UploadSessions(services, images, authorizer)
        listings = Listings(services, images, authorizer, ways)
        self._deleting = manifests.deleting
        self._table: dict[int, dict[str, Route]] = {
            speedups.PING: {"GET": Route(self._ping), "HEAD": Route(self._ping)},
            speedups.CATALOG: {"GET": Route(listings.catalog)},
            speedups.TAGS: {"GET": Route(listings.tags, "read")},
            speedups.MANIFEST: {
                "GET": Route(manifests.get, "read"),
                "HEAD": Route(manifests.get, "read"),
                "PUT": Route(manifests.put, "write"),
                "DELETE": Route(manifests.delete, "delete"),
            },
            speedups.BLOB: {
                "GET": Route(blobs.get, "read"),
                "HEAD": Route(blobs.get, "read"),
                "DELETE": Route(blobs.delete, "delete"),
            },
            speedups.UPLOADS: {"POST": Route(uploads.open, "write")},
            speedups.UPLOAD: {
                "GET": Route(uploads.status, "write"),
                "PATCH": Route(uploads.append, "write"),
                "PUT": Route(uploads.finish, "write"),
                "DELETE": Route(uploads.cancel, "write"),
            },
            speedups.REFERRERS: {"GET": Route(listings.referrers, "read")},
            speedups.EXTENSIONS: {"GET": Route(self._extensions)},
        }

    def routes(self) -> Iterator[tuple[str, str]]:
        """Method and path of everything that is answered."""
        for kind, methods in self._table.items():
            for method in methods:
                yield method, _PATHS[kind]
        for method in self._token.methods:
            yield method, TOKEN_PATH

    async def __call__(self, request: Request) -> Response:
        """The answer to a request; raises a NoraError."""
        scope = request.scope
        try:
            kind, name, reference = speedups.split_oci_path(scope["raw_path"].decode("latin-1"))
        except ValueError as error:
            raise BadRequest(str(error)) from None
        methods = self._table.get(kind)
        if methods is None:
            if scope["raw_path"] == _TOKEN_PATH:
                return await self._token.answer(request)
            raise NotFound("there is nothing here; see the OCI distribution-spec for what is")
        route = methods.get(scope["method"])
        if route is None:
            raise MethodNotAllowed(tuple(methods))
        image, principal, action = self._images.none, ANONYMOUS, route.action
        if action is not None:
            image = self._images.resolve(name)
            if action == "delete" and kind == speedups.MANIFEST:
                action = self._deleting(reference)
            principal = await self._authorizer.authorize(request, action, image)
            image.check()
        query = scope["query_string"]
        parameters = parse_qs(query.decode("latin-1"), keep_blank_values=True) if query else {}
        if "ns" in parameters and action == "read":
            return await self._mirrored(
                route, Resource(request, image, reference, parameters, principal), parameters["ns"][0]
            )
        return await route.endpoint(Resource(request, image, reference, parameters, principal))

    async def _mirrored(self, route: Route, resource: Resource, namespace: str) -> Response:
        """The answer of the registry whose mirror containerd takes this for.

        Raises PackageNotFound when it is not mirrored, Denied when what it has may not be read.
        """
        image = await self._ways.namespaced(resource.image, namespace)
        if image.package != resource.image.package:
            holder = self._authorizer.holder(resource.request, resource.principal)
            if not self._authorizer.may_read(holder, image.repository, image.package):
                raise Denied(f"{holder.name} may not read {image.package}")
        response = await route.endpoint(resource._replace(image=image))
        response.add_header(b"oci-namespace", namespace.encode("latin-1", "replace"))
        return response

    async def _ping(self, resource: Resource) -> Response:
        challenge = await self._authorizer.authorize_ping(resource.request)
        headers = [API_VERSION] if challenge is None else [API_VERSION, challenge]
        return Response(200, headers, Content(b"application/json", b"{}"))

    async def _extensions(self, resource: Resource) -> Response:
        await self._authorizer.authorize_ping(resource.request)
        return Response(200, [API_VERSION], Content(b"application/json", b'{"extensions":[]}'))


def build(services: Services, repositories: Mapping[str, Repository]) -> Router:
    """The handler of all repositories of this format."""
    named = {name: repository for name, repository in repositories.items() if _is_addressable(name)}
    return Router(services, Images(repositories["docker"], named))


def _is_addressable(name: str) -> bool:
    """The default repository and its own members are not names in URLs."""
    return name not in {"docker", "docker-hosted", "docker-proxy"}
