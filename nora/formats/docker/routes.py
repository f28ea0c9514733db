"""The routes of `/v2/`: parse the path, find the handler, let it answer."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from blacksheep import Content, Request, Response

from nora import _speedups as speedups
from nora.errors import BadRequest, MethodNotAllowed, NotFound
from nora.formats.base import Handler, Services
from nora.formats.docker.blobs import Blobs
from nora.formats.docker.listings import Listings
from nora.formats.docker.manifests import Manifests
from nora.formats.docker.names import Images
from nora.formats.docker.resource import API_VERSION, Endpoint, Resource
from nora.formats.docker.uploads import UploadSessions
from nora.model import Repository


async def _ping(resource: Resource) -> Response:
    return Response(200, [API_VERSION], Content(b"application/json", b"{}"))


async def _extensions(resource: Resource) -> Response:
    return Response(200, [API_VERSION], Content(b"application/json", b'{"extensions":[]}'))


def build(services: Services, repositories: Mapping[str, Repository]) -> Handler:
    """The handler of everything below `/v2/` (distribution-spec, Endpoints)."""
    named = {name: repository for name, repository in repositories.items() if _is_addressable(name)}
    images = Images(repositories["docker"], named)
    manifests = Manifests(services, images)
    blobs = Blobs(services, images)
    uploads = UploadSessions(services, images)
    listings = Listings(services, images)
    table: dict[int, dict[str, Endpoint]] = {
        speedups.PING: {"GET": _ping, "HEAD": _ping},
        speedups.CATALOG: {"GET": listings.catalog},
        speedups.TAGS: {"GET": listings.tags},
        speedups.MANIFEST: {
            "GET": manifests.get,
            "HEAD": manifests.get,
            "PUT": manifests.put,
            "DELETE": manifests.delete,
        },
        speedups.BLOB: {"GET": blobs.get, "HEAD": blobs.get, "DELETE": blobs.delete},
        speedups.UPLOADS: {"POST": uploads.open},
        speedups.UPLOAD: {
            "GET": uploads.status,
            "PATCH": uploads.append,
            "PUT": uploads.finish,
            "DELETE": uploads.cancel,
        },
        speedups.REFERRERS: {"GET": listings.referrers},
        speedups.EXTENSIONS: {"GET": _extensions},
    }

    async def handle(request: Request) -> Response:
        scope = request.scope
        try:
            kind, name, reference = speedups.split_oci_path(scope["raw_path"].decode("latin-1"))
        except ValueError as error:
            raise BadRequest(str(error)) from None
        methods = table.get(kind)
        if methods is None:
            raise NotFound("there is nothing here; see the OCI distribution-spec for what is")
        endpoint = methods.get(scope["method"])
        if endpoint is None:
            raise MethodNotAllowed(tuple(methods))
        query = scope["query_string"]
        return await endpoint(
            Resource(
                request,
                name,
                reference,
                parse_qs(query.decode("latin-1"), keep_blank_values=True) if query else {},
            )
        )

    return handle


def _is_addressable(name: str) -> bool:
    """The default repository and its own members are not names in URLs."""
    return name not in {"docker", "docker-hosted", "docker-proxy"}
