"""The endpoints of `/v2/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from blacksheep import Request

from nora import _speedups as speedups
from nora.errors import BadRequest
from nora.formats.base import Services
from nora.formats.docker.authorizer import Authorizer
from nora.formats.docker.blobs import Blobs
from nora.formats.docker.challenge import TOKEN_PATH
from nora.formats.docker.discovery import Discovery
from nora.formats.docker.listings import Listings
from nora.formats.docker.manifests import Manifests
from nora.formats.docker.names import Images
from nora.formats.docker.namespaces import Namespaces
from nora.formats.docker.pull_through import PullThrough
from nora.formats.docker.referrers import Referrers
from nora.formats.docker.resource import Resource
from nora.formats.docker.token import TokenService
from nora.formats.docker.uploads import UploadEndpoints
from nora.formats.docker.upstream import Remotes
from nora.http.router import Endpoint, Router
from nora.model import Repository

READ = "GET HEAD"

Path = tuple[int, str, str]
"""What it asks for, the name of an image, and what of that (see `speedups.split_oci_path`)."""


def build(services: Services, repositories: Mapping[str, Repository]) -> Router[Path, Resource]:
    """The handler of all repositories of this format (distribution-spec, Endpoints)."""
    named = {name: repository for name, repository in repositories.items() if _is_addressable(name)}
    images = Images(repositories["docker"], named)
    authorizer = Authorizer(services, images)

    def open_context(request: Request, endpoint: Endpoint[Resource], path: Path) -> Resource:
        _, name, reference = path
        action = endpoint.action
        if action is None:
            return Resource(request, None, images.none, reference)
        if action == "delete" and endpoint.key == speedups.MANIFEST:
            action = Manifests.deleting(reference)
        return Resource(request, action, images.resolve(name), reference)

    return Router(
        _endpoints(services, images, authorizer),
        split=_split,
        open_context=open_context,
        authorize=authorizer.authorize,
        otherwise="the OCI distribution-spec",
    )


def _is_addressable(name: str) -> bool:
    """The default repository and its own members are not names in URLs."""
    return name not in {"docker", "docker-hosted", "docker-proxy"}


def _split(raw: bytes) -> Path:
    try:
        return speedups.split_oci_path(raw.decode("latin-1"))
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _endpoints(services: Services, images: Images, authorizer: Authorizer) -> Iterator[Endpoint[Resource]]:
    remotes = Remotes(services)
    pull = PullThrough(services, remotes)
    manifests, blobs = Manifests(services, remotes, pull), Blobs(services, authorizer, remotes, pull)
    uploads = UploadEndpoints(services, images, authorizer, remotes)
    listings = Listings(services, images, authorizer, remotes)
    about = Referrers(services, remotes, pull)
    token, discovery = TokenService(services, images), Discovery(authorizer)
    read = Namespaces(authorizer, remotes).reading
    manifest, blob = "/v2/{name}/manifests/{reference}", "/v2/{name}/blobs/{digest}"
    start, upload = "/v2/{name}/blobs/uploads/", "/v2/{name}/blobs/uploads/{id}"
    tags, referrers = "/v2/{name}/tags/list", "/v2/{name}/referrers/{digest}"
    yield Endpoint(READ, "/v2/", None, discovery.ping, speedups.PING)
    yield Endpoint(READ, TOKEN_PATH, None, token.get, speedups.TOKEN)
    yield Endpoint("POST", TOKEN_PATH, None, token.post, speedups.TOKEN)
    yield Endpoint(READ, "/v2/_catalog", None, listings.catalog, speedups.CATALOG)
    yield Endpoint(READ, "/v2/_oci/ext/discover", None, discovery.extensions, speedups.EXTENSIONS)
    yield Endpoint(READ, tags, "read", read(listings.tags), speedups.TAGS)
    yield Endpoint(READ, manifest, "read", read(manifests.get), speedups.MANIFEST)
    yield Endpoint("PUT", manifest, "write", manifests.put, speedups.MANIFEST)
    yield Endpoint("DELETE", manifest, "delete", manifests.delete, speedups.MANIFEST)
    yield Endpoint(READ, blob, "read", read(blobs.get), speedups.BLOB)
    yield Endpoint("DELETE", blob, "delete", blobs.delete, speedups.BLOB)
    yield Endpoint("POST", start, "write", uploads.open, speedups.UPLOADS)
    yield Endpoint(READ, upload, "write", uploads.status, speedups.UPLOAD)
    yield Endpoint("PATCH", upload, "write", uploads.append, speedups.UPLOAD)
    yield Endpoint("PUT", upload, "write", uploads.finish, speedups.UPLOAD)
    yield Endpoint("DELETE", upload, "write", uploads.cancel, speedups.UPLOAD)
    yield Endpoint(READ, referrers, "read", read(about.get), speedups.REFERRERS)
