"""`npm dist-tag`: tags set and removed alone."""

from __future__ import annotations

from typing import Final

import orjson
from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.catalog.records import Package, TagWrite
from nora.errors import BadRequest, Denied, NotFound, PackageNotFound, VersionNotFound
from nora.formats.base import Services
from nora.formats.npm.maintainers import require_maintainer
from nora.formats.npm.names import parse_tag, parse_version
from nora.formats.npm.resource import Resource
from nora.http.body import read_body
from nora.http.fields import json_answer

LARGEST_BODY: Final = 4096
LATEST: Final = "latest"


class TagEndpoints:
    """The endpoints."""

    def __init__(self, services: Services, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._idle_seconds = services.config.server.idle_timeout

    async def put(self, resource: Resource) -> Response:
        """Let a tag point to a version; the body is its name as JSON."""
        tag = parse_tag(resource.target.get("tag"))
        version = _version(await read_body(resource.request, LARGEST_BODY, self._idle_seconds))
        resource.audit("write", f"{resource.name} {tag} -> {version}")
        await self._package(resource)
        if not await self._catalog.set_tag(resource.writable.id, resource.name, TagWrite(tag), version):
            raise VersionNotFound(f"{resource.name} has no version {version}")
        return json_answer({"ok": True, "id": resource.name, "dist-tags": {tag: version}}, 201)

    async def delete(self, resource: Resource) -> Response:
        """Remove a tag; there is always a `latest`."""
        tag = resource.target.get("tag")
        resource.audit("untag", f"{resource.name} {tag}")
        if tag == LATEST:
            raise Denied("every package has a latest: move it with `npm dist-tag add`")
        await self._package(resource)
        if await self._catalog.delete_tag(resource.writable.id, resource.name, tag) is None:
            raise NotFound(f"{resource.name} has no tag {tag}")
        return json_answer({"ok": True})

    async def _package(self, resource: Resource) -> Package:
        package = await self._catalog.find_package(resource.writable.id, resource.name)
        if package is None:
            raise PackageNotFound(f"{resource.name} was not published here: tags of upstreams are theirs")
        require_maintainer(self._authorizer, resource, package)
        return package


def _version(body: bytes) -> str:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, str):
        raise BadRequest('the body is a version as JSON: "1.0.0"')
    return parse_version(said)
