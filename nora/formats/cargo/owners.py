"""`cargo owner`: who may publish and yank a crate.

Everybody who may write to a crate may, until somebody is made an owner of it; from then on owners may, and
administrators.
"""

from __future__ import annotations

from typing import Any, Final
from zlib import crc32

import orjson
from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.catalog.base import Catalog
from nora.catalog.records import Package
from nora.errors import BadRequest, Denied, quoted
from nora.formats.base import Services
from nora.formats.cargo.hosted import Spellings, owners_of
from nora.formats.cargo.resource import Resource
from nora.formats.cargo.sources import absent
from nora.http.body import read_body
from nora.http.context import PackageContext
from nora.http.fields import json_answer
from nora.model import Repository

LARGEST_BODY: Final = 64 << 10
MOST_OWNERS: Final = 1000
LONGEST_NAME: Final = 256


def require_owner(authorizer: Authorizer, context: PackageContext, package: Package) -> None:
    """That the one who asks may change a crate that has owners. Raises Denied."""
    owners, who = owners_of(package), context.principal
    if owners and who.name not in owners:
        try:
            authorizer.require(who, "admin", context.repository, package.name)
        except Denied:
            raise Denied(
                f"{who.name} is no owner of {package.name}: ask one of {quoted(', '.join(owners))} for"
                f" `cargo owner --add {who.name}`"
            ) from None


class Owners:
    """The endpoints."""

    def __init__(self, services: Services, authorizer: Authorizer) -> None:
        self._catalog: Catalog = services.catalog
        self._authorizer = authorizer
        self._resolver = services.resolver
        self._spellings = Spellings(services.catalog)

    async def list(self, resource: Resource) -> Response:
        """`cargo owner --list`."""

        async def look(hosted: Repository) -> Package | None:
            return await self._spellings.find(hosted, resource.crate)

        package = await self._resolver.find_hosted(resource.repository, look)
        if package is None:
            raise absent(resource.crate)
        users = [{"id": crc32(one.encode()), "login": one, "name": None} for one in owners_of(package)]
        return json_answer({"users": users})

    async def add(self, resource: Resource) -> Response:
        """`cargo owner --add`: with the first, who adds them becomes an owner, too."""
        names = await _names(resource)
        resource.audit("write", f"{resource.crate.spelled} owner --add {' '.join(names)}")

        def change(owners: list[str]) -> list[str]:
            actor = resource.principal.name
            start = owners or ([] if resource.principal.is_anonymous else [actor])
            return list(dict.fromkeys([*start, *names]))

        await self._change(resource, change)
        return json_answer(
            {"ok": True, "msg": f"{', '.join(names)}: added to the owners of {resource.crate.spelled}"}
        )

    async def remove(self, resource: Resource) -> Response:
        """`cargo owner --remove`."""
        names = await _names(resource)
        resource.audit("write", f"{resource.crate.spelled} owner --remove {' '.join(names)}")

        def change(owners: list[str]) -> list[str]:
            if missing := [one for one in names if one not in owners]:
                raise BadRequest(f"{quoted(', '.join(missing))}: no owner of {resource.crate.spelled}")
            left = [one for one in owners if one not in names]
            if not left:
                raise BadRequest(f"{resource.crate.spelled} would have no owner: add another one first")
            return left

        await self._change(resource, change)
        return json_answer(
            {"ok": True, "msg": f"{', '.join(names)}: removed from the owners of {resource.crate.spelled}"}
        )

    async def check(self, context: PackageContext) -> None:
        """That the one who asks may change the crate of a path. Raises Denied."""
        package = await self._catalog.find_package(context.writable.id, context.name)
        if package is not None:
            require_owner(self._authorizer, context, package)

    async def _change(self, resource: Resource, change: Any) -> None:
        target, crate = resource.writable, resource.crate
        while (package := await self._spellings.find(target, crate)) is not None:
            require_owner(self._authorizer, resource, package)
            owners = change(owners_of(package))
            if len(owners) > MOST_OWNERS:
                raise BadRequest(f"a crate has at most {MOST_OWNERS} owners")
            document = orjson.dumps({**orjson.loads(package.document), "owners": owners})
            if await self._catalog.update_package(target.id, crate, document, before=package.document):
                return
        raise absent(crate)


async def _names(resource: Resource) -> list[str]:
    """Raises BadRequest."""
    try:
        said = orjson.loads(await read_body(resource.request, LARGEST_BODY))
    except orjson.JSONDecodeError:
        said = None
    users = said.get("users") if isinstance(said, dict) else None
    if not isinstance(users, list) or not users:
        raise BadRequest('the body is {"users": ["<name>", …]}')
    for one in users:
        if not isinstance(one, str) or not 0 < len(one) <= LONGEST_NAME or not one.isprintable():
            raise BadRequest("an owner is the name of a user")
    return users
