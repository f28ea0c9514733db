"""`npm login`, `npm whoami`, `npm logout`: from a password to a token.

    PUT    /-/user/org.couchdb.user:<name>   {name, password} → {token}     npm login --auth-type=legacy
    GET    /-/user/org.couchdb.user:<name>   {name}                         npm owner looks users up
    DELETE /-/user/token/<token>                                            npm logout
    GET    /-/whoami                         {username}
    GET    /-/npm/v1/user                    {name, …}                      npm profile get

While authentication is off, whatever is shown as a password gets a token that means nothing: npm publishes to
nobody without one.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson
from blacksheep import Response

from nora.auth.grounds import of_maker
from nora.auth.tokens import DEFAULT_TTL_DAYS, is_token, needed_role, parse_user, secret_hash
from nora.catalog.records import Token
from nora.errors import BadRequest, NotFound, Unauthenticated, quoted
from nora.formats.base import Services
from nora.formats.npm.resource import Resource
from nora.http.body import read_body
from nora.http.fields import json_answer
from nora.model import Principal, Role

LARGEST_BODY: Final = 64 << 10
DAY: Final = 24 * 3600.0
ANY_TOKEN: Final = "none-is-needed"  # noqa: S105 - that it is none is the point
DESCRIPTION: Final = "npm login"
_user = re.compile(r"org\.couchdb\.user:(.{1,128})").fullmatch


class Login:
    """The endpoints."""

    def __init__(self, services: Services) -> None:
        self._authenticator = services.authenticator
        self._tokens = services.tokens
        self._idle_seconds = services.config.server.idle_timeout

    async def put(self, resource: Resource) -> Response:
        """Make a token, for who has the password."""
        user = _named(resource)
        body = await read_json(resource, self._idle_seconds)
        password = body.get("password")
        if body.get("name", user) != user or not isinstance(password, str) or not password:
            raise BadRequest("the body has the name of the path, and a password")
        resource.audit("admin", f"npm login {user}")
        token = await self.token_for(resource, user, password)
        return json_answer({"ok": True, "id": f"org.couchdb.user:{user}", "token": token}, 201)

    async def token_for(self, resource: Resource, user: str, password: str) -> str:
        """A new token of a user; a token that is shown in the place of a password is one already. Raises
        Unauthenticated, TooManyRequests."""
        if not self._authenticator.enabled:
            return ANY_TOKEN
        principal = await self._authenticator.verify(resource.request, user, password)
        if principal.method != "password":
            return password
        text, _ = await self.make(principal, principal.role, DESCRIPTION, DEFAULT_TTL_DAYS)
        return text

    async def make(
        self, owner: Principal, role: Role, description: str, days: int, hashed: str | None = None
    ) -> tuple[str, Token]:
        """A token of who has shown a password, and its text."""
        return await self._tokens.create(
            owner.name,
            role,
            description=description,
            ttl_seconds=days * DAY,
            grounds=of_maker(owner, needed_role(role, ())),
            hashed=hashed,
        )

    async def identify(self, resource: Resource) -> Principal:
        """Who is asking. Raises Unauthenticated for nobody, where that matters."""
        principal = await self._authenticator.identify(resource.request)
        if self._authenticator.enabled and principal.is_anonymous:
            raise Unauthenticated("you are not logged in: `npm login`")
        return principal

    async def get(self, resource: Resource) -> Response:
        """A user, as far as anybody needs to know."""
        user = _named(resource)
        return json_answer({"_id": f"org.couchdb.user:{user}", "name": user, "email": "", "type": "user"})

    async def logout(self, resource: Resource) -> Response:
        """Revoke a token: who knows it may."""
        await self.identify(resource)
        text = resource.target.get("token")
        if is_token(text):
            token_id = secret_hash(text)[:16]
            resource.audit("admin", f"revoke token {token_id}")
            await self._tokens.revoke(token_id)
        return json_answer({"ok": True})

    async def whoami(self, resource: Resource) -> Response:
        """The name of who is asking."""
        return json_answer({"username": (await self.identify(resource)).name})

    async def profile(self, resource: Resource) -> Response:
        """What there is to know of who is asking."""
        principal = await self.identify(resource)
        said = {
            "name": principal.name,
            "email": "",
            "email_verified": False,
            "tfa": None,
            "cidr_whitelist": None,
        }
        return json_answer(said)


async def read_json(resource: Resource, idle_seconds: float) -> dict[str, Any]:
    """A small JSON object. Raises BadRequest, TooLarge."""
    try:
        said = orjson.loads(await read_body(resource.request, LARGEST_BODY, idle_seconds))
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise BadRequest("the body is not a JSON object")
    return said


def _named(resource: Resource) -> str:
    found = _user(resource.target.get("user"))
    if found is None:
        raise NotFound(f"there is nothing at {quoted(resource.target.get('user'))}")
    return parse_user(found[1])
