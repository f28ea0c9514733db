"""Maintainers (`npm owner`): who may publish and change a package.

Everybody who may write to a package may, until somebody is made a maintainer; from then on maintainers may,
and administrators.
"""

from __future__ import annotations

from typing import Any, Final

from nora.auth.authorizer import Authorizer
from nora.catalog.records import Package
from nora.errors import BadRequest, Denied, quoted
from nora.formats.npm.hosted import owners_of
from nora.http.context import PackageContext

MOST: Final = 1000
LONGEST_NAME: Final = 256


def require_maintainer(authorizer: Authorizer, context: PackageContext, package: Package) -> None:
    """That the one who asks may change a package that has maintainers. Raises Denied."""
    owners = owners_of(package)
    user = context.principal.name
    if owners and user not in owners:
        try:
            authorizer.require(context.principal, "admin", context.repository, context.name)
        except Denied:
            raise Denied(
                f"{user} is no maintainer of {context.name}: ask one of {quoted(', '.join(owners))} for"
                f" `npm owner add {user} {context.name}`"
            ) from None


def parse_maintainers(said: Any) -> list[dict[str, str]]:
    """Of the body of a request. Raises BadRequest."""
    if not isinstance(said, list) or not 0 < len(said) <= MOST:
        raise BadRequest(f"maintainers is a list of 1 to {MOST} users")
    found = {}
    for one in said:
        name = one.get("name") if isinstance(one, dict) else None
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            raise BadRequest('a maintainer is {"name": "<name of a user>"}')
        email = one.get("email")
        found[name] = {"name": name, "email": email if isinstance(email, str) else ""}
    return list(found.values())
