"""Tokens over HTTP, for people and scripts that have a password.

    POST /api/tokens            {username, password, role?, ttl_days?, description?, scopes?}
    POST /api/tokens/list       {username, password}
    POST /api/tokens/revoke     {username, password, hash_prefix}
    POST /api/v1/admin/tokens   the same as the first for any user, without a password; for administrators,
                                who send their credentials as in any other request

Whose token it is, is who has shown a password: never what else the body says. Nobody makes a token that may
do more than they may themselves, and a token makes no tokens, but one of an administrator.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from blacksheep import Request, Response, Router

from nora.auth.access import Access
from nora.auth.authenticator import Authenticator
from nora.auth.fields import Fields, json_answer, read_fields, text_of
from nora.auth.tokens import SCOPED_ACTIONS, Tokens, parse_token_id, parse_user
from nora.catalog.records import Token
from nora.errors import BadRequest, Denied, NotFound, Unauthenticated
from nora.model import ROLES, Principal, Role, Scope
from nora.observability.audit import note

LONGEST_TTL_DAYS: Final = 3650
DEFAULT_TTL_DAYS: Final = 30
MOST_SCOPES: Final = 32
MOST_LISTED: Final = 1000
_DAY: Final = 24 * 3600.0
_RANKS: Final[tuple[Role, ...]] = ("read", "write", "admin")
_PATTERN = re.compile(r"[^\x00-\x20\x7f]{1,256}")
_WISH: Final = frozenset({"role", "ttl_days", "description", "scopes"})


class TokenApi:
    """The endpoints; `authenticator` is there when the server has started."""

    def __init__(self, authenticator: Callable[[], Authenticator], access: Access, tokens: Tokens) -> None:
        self._authenticator = authenticator
        self._access = access
        self._tokens = tokens

    def add_to(self, router: Router) -> None:
        """Register the routes; BlackSheep wants plain functions."""
        for path, endpoint in (
            ("/api/tokens", self._create),
            ("/api/tokens/list", self._list),
            ("/api/tokens/revoke", self._revoke),
            ("/api/v1/admin/tokens", self._create_for_others),
        ):
            router.add_post(path, self._guarded(endpoint))

    def _guarded(
        self, endpoint: Callable[[Request], Awaitable[object]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            if not self._authenticator().enabled:
                return json_answer({"error": "authentication is off; see NORA_AUTH_ENABLED"}, 503)
            return json_answer(await endpoint(request))

        return answer

    async def _create(self, request: Request) -> object:
        fields = await read_fields(request, frozenset({"username", "password"}), _WISH)
        owner = await self._owner(request, fields)
        return await self._make(request, owner, owner.name, fields)

    async def _list(self, request: Request) -> object:
        fields = await read_fields(request, frozenset({"username", "password"}))
        owner = await self._owner(request, fields)
        return {"tokens": [_shown(one) for one in await self._tokens.list(owner.name, "", MOST_LISTED)]}

    async def _revoke(self, request: Request) -> object:
        fields = await read_fields(request, frozenset({"username", "password", "hash_prefix"}))
        token_id = parse_token_id(text_of(fields, "hash_prefix"))
        owner = await self._owner(request, fields)
        _note(request, token_id)
        if not await self._tokens.revoke(token_id, owner.name):
            raise NotFound("you have no such token")
        return {"revoked": token_id}

    async def _create_for_others(self, request: Request) -> object:
        principal = await self._authenticator().identify(request)
        _note(request, "tokens")
        self._access.require(principal, "admin", None, None)
        fields = await read_fields(request, frozenset({"username"}), _WISH)
        return await self._make(request, principal, parse_user(text_of(fields, "username")), fields)

    async def _owner(self, request: Request, fields: Fields) -> Principal:
        """Who has the password of the body. Raises Unauthenticated, also for a token in its place."""
        user, password = text_of(fields, "username"), text_of(fields, "password")
        principal = await self._authenticator().verify(request, user, password)
        if principal.method != "password":
            raise Unauthenticated("only who has a password manages tokens here")
        return principal

    async def _make(self, request: Request, maker: Principal, user: str, fields: Fields) -> object:
        role, scopes = _role(fields), _scopes(fields)
        days = fields.get("ttl_days", DEFAULT_TTL_DAYS)
        if type(days) is not int or not 1 <= days <= LONGEST_TTL_DAYS:
            raise BadRequest(f"ttl_days is a whole number from 1 to {LONGEST_TTL_DAYS}")
        if _RANKS.index(role) > _RANKS.index(maker.role):
            raise Denied(f"{maker.name} may not make a token of the role {role}")
        if any("delete" in one.actions for one in scopes) and "delete" not in ROLES[maker.role]:
            raise Denied(f"{maker.name} may not make a token that deletes")
        description = text_of(fields, "description") if "description" in fields else ""
        text, token = await self._tokens.create(
            user, role, scopes=scopes, description=description, ttl_seconds=days * _DAY
        )
        _note(request, token.id)
        return {"token": text, "hash_prefix": token.id, "expires_in_days": days}


def _role(fields: Fields) -> Role:
    role = fields.get("role", "read")
    if not isinstance(role, str) or role not in ROLES:
        raise BadRequest(f"role is one of {', '.join(ROLES)}")
    return role


def _scopes(fields: Fields) -> tuple[Scope, ...]:
    entries = fields.get("scopes", [])
    if not isinstance(entries, list) or len(entries) > MOST_SCOPES:
        raise BadRequest(f"scopes is a list of at most {MOST_SCOPES}")
    return tuple(map(_scope, entries))


def _scope(entry: object) -> Scope:
    if isinstance(entry, dict) and entry.keys() <= {"repository", "name", "actions"}:
        patterns = [entry.get("repository", "**"), entry.get("name", "**")]
        actions = entry.get("actions", ["read"])
        if (
            all(isinstance(one, str) and _PATTERN.fullmatch(one) for one in patterns)
            and isinstance(actions, list)
            and actions
            and all(isinstance(one, str) and one in SCOPED_ACTIONS for one in actions)
        ):
            return Scope(patterns[0], patterns[1], frozenset(actions))
    raise BadRequest(
        'a scope is {"repository": pattern, "name": pattern, "actions": some of read, write and delete}'
    )


def _shown(token: Token) -> Fields:
    return {
        "hash_prefix": token.id,
        "created_at": int(token.created_at),
        "expires_at": None if token.expires_at is None else int(token.expires_at),
        "last_used": None if token.last_used_at is None else int(token.last_used_at),
        "description": token.description,
        "role": token.role,
        "scopes": [
            {"repository": one.repository, "name": one.name, "actions": sorted(one.actions)}
            for one in token.scopes
        ],
    }


def _note(request: Request, name: str) -> None:
    note(cast("dict[str, Any]", request.scope), "admin", "", f"token {name}")
