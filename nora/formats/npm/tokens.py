"""`npm token`: the tokens of who is asking.

GET    /-/npm/v1/tokens               {objects: [{key, token, readonly, created}]}
POST   /-/npm/v1/tokens               {password, readonly} → {token, key}
DELETE /-/npm/v1/tokens/token/<key>
"""

from __future__ import annotations

from typing import Any, Final

from blacksheep import Response

from nora.auth.grounds import covers
from nora.auth.tokens import DEFAULT_TTL_DAYS, LONGEST_DESCRIPTION, parse_token_id
from nora.catalog.records import Token
from nora.errors import BadRequest, Denied, NotFound, Unauthenticated
from nora.formats.base import Services
from nora.formats.npm.hosted import iso_time
from nora.formats.npm.login import Login, read_json
from nora.formats.npm.resource import Resource
from nora.http.fields import json_answer
from nora.model import Principal, Role

MOST_LISTED: Final = 1000
LONGEST_DAYS: Final = 3650
_NOT_OFFERED: Final = ("cidr_whitelist", "packages", "scopes", "orgs", "orgs_permission")
"""What npm can limit a token to. A token that could do more than was asked for would be none that was."""


class TokenEndpoints:
    """The endpoints."""

    def __init__(self, services: Services, login: Login) -> None:
        self._authenticator = services.authenticator
        self._catalog = services.catalog
        self._tokens = services.tokens
        self._login = login
        self._idle_seconds = services.config.server.idle_timeout

    async def list(self, resource: Resource) -> Response:
        """List one's own tokens, without what is secret."""
        owner = await self._owner(resource)
        found = await self._tokens.list(owner.name, "", MOST_LISTED)
        return json_answer({"objects": [_shown(one) for one in found], "total": len(found), "urls": {}})

    async def create(self, resource: Resource) -> Response:
        """Make a token, for who says the password as well."""
        owner = await self._owner(resource)
        body = await read_json(resource, self._idle_seconds)
        password = body.get("password")
        if not isinstance(password, str) or not password:
            raise BadRequest("the body has your password")
        for field in _NOT_OFFERED:
            if body.get(field):
                raise BadRequest(f"{field} is not offered here: `nora token create --scope` limits a token")
        owner = await self._authenticator.verify(resource.request, owner.name, password)
        if owner.method != "password":
            raise Unauthenticated("only who has a password makes tokens here")
        role, days = _role(body, owner), _days(body)
        description = str(body.get("description") or body.get("name") or "npm token")
        text, token = await self._login.make(owner, role, description[:LONGEST_DESCRIPTION], days)
        resource.audit("admin", f"token {token.id}")
        return json_answer({**_shown(token), "token": text})

    async def revoke(self, resource: Resource) -> Response:
        """Revoke a token by its key. Who finds a token that reads must not take others from whom it is of."""
        owner = await self._owner(resource)
        token_id = parse_token_id(resource.target.get("key"))
        resource.audit("admin", f"revoke token {token_id}")
        found = await self._catalog.find_token_by_id(token_id)
        if found is not None and found.user == owner.name and not covers(owner.role, found.role):
            raise Denied(f"a token of the role {owner.role} revokes none of the role {found.role}")
        if not await self._tokens.revoke(token_id, owner.name):
            raise NotFound("you have no such token")
        return json_answer({"ok": True})

    async def _owner(self, resource: Resource) -> Principal:
        """Who is asking, for themselves as a whole."""
        if not self._authenticator.enabled:
            raise NotFound("authentication is off, so there are no tokens; see NORA_AUTH_ENABLED")
        owner = await self._login.identify(resource)
        if owner.scopes or owner.method not in ("password", "token"):
            raise Denied("who is limited to a part of the registry manages no tokens")
        return owner


def _role(body: dict[str, Any], owner: Principal) -> Role:
    permission = body.get("packages_and_scopes_permission")
    is_readonly = body.get("readonly") is True or permission in ("read-only", "no-access")
    return "read" if is_readonly else owner.role


def _days(body: dict[str, Any]) -> int:
    days = body.get("expires")
    if days is None:
        return DEFAULT_TTL_DAYS
    if type(days) is not int or not 1 <= days <= LONGEST_DAYS:
        raise BadRequest(f"expires is a number of days from 1 to {LONGEST_DAYS}")
    return days


def _shown(token: Token) -> dict[str, Any]:
    return {
        "key": token.id,
        "token": token.id[:6],
        "name": token.description,
        "readonly": token.role == "read",
        "cidr_whitelist": [],
        "created": iso_time(token.created_at),
        "updated": iso_time(token.created_at),
        "expires": None if token.expires_at is None else iso_time(token.expires_at),
    }
