"""What npm changes of a package by sending its document back: deprecations, maintainers, stars, removals.

    PUT    /<package>              without a tarball: `npm deprecate`, `npm star`
    PUT    /<package>/-rev/<rev>   `npm owner`, `npm unpublish <package>@<version>`
    DELETE /<package>/-rev/<rev>                   `npm unpublish <package>`
    DELETE /<package>/-/<file>/-rev/<rev>          the second half of `npm unpublish <package>@<version>`

Only what is recognised of a document is applied, and only where it differs from what is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.catalog.records import Package, Version
from nora.errors import BadRequest, Conflict, Denied, PackageNotFound
from nora.formats.base import Services
from nora.formats.npm.body import LARGEST_DOCUMENT, parse_document
from nora.formats.npm.hosted import DEPRECATED, offered, path_of, revision_of
from nora.formats.npm.maintainers import parse_maintainers, require_maintainer
from nora.formats.npm.names import PackageName
from nora.formats.npm.releases import DEPRECATION, RULES
from nora.formats.npm.resource import Resource
from nora.formats.npm.settings import NpmSettings
from nora.formats.npm.sources import with_digests
from nora.formats.releases import Releases
from nora.http.body import stream_body
from nora.http.context import PackageContext
from nora.http.fields import json_answer
from nora.model import Repository
from nora.proxy.offload import offload

LONGEST_REASON: Final = 4096
MOST_USERS: Final = 10_000
"""Who has starred a package."""


class Changes:
    """The endpoints."""

    def __init__(self, services: Services, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._releases = Releases(services.catalog, RULES)
        self._may_unpublish = services.settings(NpmSettings).unpublish
        self._idle_seconds = services.config.server.idle_timeout

    async def put(self, resource: Resource) -> Response:
        """Remove of a package what its document has not any more."""
        pieces = [
            piece
            async for piece in stream_body(
                resource.request, limit=LARGEST_DOCUMENT, idle_seconds=self._idle_seconds
            )
        ]
        document = await offload(parse_document, b"".join(pieces))
        there = await self._versions(resource)  # before the revision: what comes after is of another one
        self._check_revision(resource, await self._found(resource))
        versions = document.get("versions")
        if isinstance(versions, dict):
            await self._remove_others(resource, there, versions)
        return await self.apply(resource, document)

    async def apply(self, resource: Resource, document: Mapping[str, Any]) -> Response:
        """A document without a tarball."""
        package = await self._found(resource)
        if isinstance(versions := document.get("versions"), dict):
            require_maintainer(self._authorizer, resource, package)
            await self._deprecate(resource, versions)
        elif "maintainers" in document:
            await self._maintain(resource, document["maintainers"])
        elif "users" in document:
            await self._star(resource, document["users"])
        else:
            raise BadRequest(
                "the document has nothing that can be changed: versions, maintainers or users; to publish, "
                "_attachments has the tarball under its name, with data"
            )
        return json_answer({"ok": True, "success": True}, 201)

    async def delete(self, resource: Resource) -> Response:
        """Remove a package, or the version that has a file; what is gone already is no error."""
        filename = resource.filename
        version = resource.name.version_in(filename) if filename else ""
        package = await self._found(resource)
        if filename:
            if await self._catalog.find_file(resource.writable.id, path_of(resource.name, version)) is None:
                return json_answer({"ok": True})
        else:
            self._check_revision(resource, package)
        await self._remove(resource, package, version)
        return json_answer({"ok": True})

    async def _found(self, resource: Resource) -> Package:
        package = await self._catalog.find_package(resource.writable.id, resource.name)
        if package is None:
            raise PackageNotFound(
                f"{resource.name} was not published here: only what is hosted in {resource.writable.name}"
                " can be changed"
            )
        return package

    def _check_revision(self, resource: Resource, package: Package) -> None:
        rev = resource.target.get("rev")
        if rev != revision_of(package):
            raise Conflict(f"{resource.name} has changed meanwhile: it is at {revision_of(package)}")

    async def check_maintainer(self, context: PackageContext) -> None:
        """Before releases are marked or deleted in NORA's own way. Raises Denied."""
        package = await self._catalog.find_package(context.writable.id, context.name)
        if package is not None:
            require_maintainer(self._authorizer, context, package)

    # -- removing --------------------------------------------------------------------------------------

    async def _remove_others(self, resource: Resource, there: list[Version], kept: Mapping[str, Any]) -> None:
        """Remove the versions that are not in a document any more. What is blocked never was in it."""
        number, name = resource.writable.id, resource.name
        hidden = self._catalog.blocks().hidden(number, name)
        hidden = await with_digests(self._catalog, number, name, hidden)
        for version in offered(there, hidden):
            if version.name not in kept:
                await self._remove(resource, await self._found(resource), version.name)

    async def _remove(self, resource: Resource, package: Package, version: str) -> None:
        name, target = resource.name, resource.writable
        resource.audit("delete", f"{name} {version}".strip())
        if not self._may_unpublish:
            raise Denied(
                "nothing is unpublished here (npm.unpublish): `npm deprecate` tells people to move on"
            )
        self._authorizer.require(resource.principal, "delete", resource.repository, name)
        require_maintainer(self._authorizer, resource, package)
        await self._releases.delete(target, name, version)

    # -- deprecating -----------------------------------------------------------------------------------

    async def _deprecate(self, resource: Resource, manifests: Mapping[str, Any]) -> None:
        target = resource.writable
        for version in await self._versions(resource):
            manifest = manifests.get(version.name)
            why = manifest.get(DEPRECATED) if isinstance(manifest, dict) else None
            if isinstance(manifest, dict) and not isinstance(why, str | None):
                raise BadRequest(f"deprecated of {version.name} is a text")
            if why is None and DEPRECATED not in (manifest or {}):
                why = "" if version.state == DEPRECATED and manifest is not None else None
            if why is None or why == _reason(version):
                continue
            resource.audit("write", f"{resource.name} {version.name} {DEPRECATED}")
            if why:
                await self._releases.mark(
                    target, resource.name, version.name, DEPRECATION, why[:LONGEST_REASON]
                )
            else:
                await self._releases.unmark(target, resource.name, version.name)

    async def _versions(self, resource: Resource) -> list[Version]:
        return await self._catalog.list_versions(resource.writable.id, resource.name)

    # -- the document of the package -------------------------------------------------------------------

    async def _maintain(self, resource: Resource, said: Any) -> None:
        maintainers = parse_maintainers(said)
        resource.audit("write", f"{resource.name} owner {' '.join(one['name'] for one in maintainers)}")

        def change(package: Package) -> dict[str, Any]:
            require_maintainer(self._authorizer, resource, package)
            return {**orjson.loads(package.document), "maintainers": maintainers}

        await self._update(resource, change)

    async def _star(self, resource: Resource, said: Any) -> None:
        """Everybody speaks for themselves, and of packages of others, too."""
        if not isinstance(said, dict):
            raise BadRequest("users is an object with the names of users")
        user = resource.principal.name
        resource.audit("write", f"{resource.name} star")

        def change(package: Package) -> dict[str, Any]:
            document = orjson.loads(package.document)
            users = {name: True for name in document.get("users", {}) if name != user}
            if said.get(user) and len(users) < MOST_USERS:
                users[user] = True
            return {**document, "users": users}

        await self._update(resource, change)

    async def _update(self, resource: Resource, change: Callable[[Package], dict[str, Any]]) -> None:
        target: Repository = resource.writable
        name: PackageName = resource.name
        while True:
            package = await self._found(resource)
            document = orjson.dumps(change(package))
            if await self._catalog.update_package(target.id, name, document, before=package.document):
                return


def _reason(version: Version) -> str:
    """Why a version is deprecated; empty when it is not."""
    if version.state != DEPRECATED:
        return ""
    return str(orjson.loads(version.document).get(DEPRECATED) or "")
