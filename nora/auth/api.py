"""Tokens over HTTP, for people and scripts that have a password.

    POST /api/tokens            {username, password, role?, ttl_days?, description?, scopes?}
    POST /api/tokens/list       {username, password}
    POST /api/tokens/revoke     {username, password, hash_prefix}

and for administrators, who send their credentials as in any other request:

    POST /api/v1/admin/tokens                        as the first, for any user and without a password
    GET  /api/v1/admin/tokens?user=&after=&limit=    the tokens of a user, or of all, by `hash_prefix`
    POST /api/v1/admin/tokens/revoke                 {hash_prefix}, or {username}: all of a user

Whose token it is, is who has shown a password: never what else the body says. Nobody makes a token that may
do more than they may themselves, and a token makes no tokens, but one of an administrator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from blacksheep import Response

from nora.auth.authenticator import Authenticator
from nora.auth.endpoints import ServerEndpoint
from nora.auth.grounds import covers, of_maker
from nora.auth.scopes import ScopeRules, describe_token
from nora.auth.tokens import (
    DEFAULT_TTL_DAYS,
    SCOPED_ACTIONS,
    Tokens,
    needed_role,
    parse_token_id,
    parse_user,
)
from nora.catalog.records import Token
from nora.errors import BadRequest, Denied, NotFound, Unauthenticated
from nora.http.context import RequestContext
from nora.http.fields import Fields, answering, json_answer, read_fields, read_limit, text_of
from nora.http.router import Endpoint
from nora.model import REMOVALS, ROLES, Principal, Role, Scope

LONGEST_TTL_DAYS: Final = 3650
MOST_SCOPES: Final = 32
MOST_LISTED: Final = 1000
_DAY: Final = 24 * 3600.0
_PATTERN = re.compile(r"[^\x00-\x20\x7f]{1,256}")
_PASSWORD: Final = frozenset({"username", "password"})
_WISH: Final = frozenset({"role", "ttl_days", "description", "scopes"})
_CREATE, _LIST, _REVOKE = "/api/tokens", "/api/tokens/list", "/api/tokens/revoke"
_OF_OTHERS, _REVOKE_OF_OTHERS = "/api/v1/admin/tokens", "/api/v1/admin/tokens/revoke"


class TokenApi:
    """The endpoints."""

    def __init__(self, authenticator: Authenticator, tokens: Tokens, scopes: ScopeRules) -> None:
        self._authenticator = authenticator
        self._tokens = tokens
        self._scopes = scopes

    def endpoints(self) -> Iterator[ServerEndpoint]:
        """Where whose token it is depends on the body, there is no action to be allowed before."""
        if not self._authenticator.enabled:
            for path in (_CREATE, _LIST, _REVOKE, _OF_OTHERS, _REVOKE_OF_OTHERS):
                yield Endpoint("POST", path, None, _is_off)
            yield Endpoint("GET HEAD", _OF_OTHERS, None, _is_off)
            return
        yield Endpoint("POST", _CREATE, None, answering(self._create))
        yield Endpoint("POST", _LIST, None, answering(self._list))
        yield Endpoint("POST", _REVOKE, None, answering(self._revoke))
        yield Endpoint("POST", _OF_OTHERS, "admin", answering(self._create_for_others))
        yield Endpoint("GET HEAD", _OF_OTHERS, "admin", answering(self._list_of_others))
        yield Endpoint("POST", _REVOKE_OF_OTHERS, "admin", answering(self._revoke_of_others))

    async def _create(self, context: RequestContext) -> object:
        fields = await read_fields(context.request, _PASSWORD, _WISH)
        owner = await self._owner(context, fields)
        return await self._make(context, owner, owner.name, fields)

    async def _list(self, context: RequestContext) -> object:
        fields = await read_fields(context.request, _PASSWORD)
        owner = await self._owner(context, fields)
        return {"tokens": [_shown(one) for one in await self._tokens.list(owner.name, "", MOST_LISTED)]}

    async def _revoke(self, context: RequestContext) -> object:
        fields = await read_fields(context.request, _PASSWORD | {"hash_prefix"})
        token_id = parse_token_id(text_of(fields, "hash_prefix"))
        owner = await self._owner(context, fields)
        context.audit("admin", f"revoke token {token_id}")
        if not await self._tokens.revoke(token_id, owner.name):
            raise NotFound("you have no such token")
        return {"revoked": token_id}

    async def _create_for_others(self, context: RequestContext) -> object:
        fields = await read_fields(context.request, frozenset({"username"}), _WISH)
        user = parse_user(text_of(fields, "username"))
        return await self._make(context, context.principal, user, fields, "admin")

    async def _list_of_others(self, context: RequestContext) -> object:
        user, after = context.parameter("user"), context.parameter("after") or ""
        found = await self._tokens.list(user or None, after, read_limit(context, MOST_LISTED))
        return {"tokens": [{"user": one.user} | _shown(one) for one in found]}

    async def _revoke_of_others(self, context: RequestContext) -> object:
        fields = await read_fields(context.request, frozenset(), frozenset({"hash_prefix", "username"}))
        if len(fields) != 1:
            raise BadRequest("the body has hash_prefix or username, one of them")
        if "username" in fields:
            user = parse_user(text_of(fields, "username"))
            context.audit("admin", f"revoke all tokens of {user}")
            return {"revoked": await self._tokens.revoke_all(user)}
        token_id = parse_token_id(text_of(fields, "hash_prefix"))
        context.audit("admin", f"revoke token {token_id}")
        if not await self._tokens.revoke(token_id):
            raise NotFound("there is no such token")
        return {"revoked": 1}

    async def _owner(self, context: RequestContext, fields: Fields) -> Principal:
        """Who has the password of the body. Raises Unauthenticated, also for a token in its place."""
        user, password = text_of(fields, "username"), text_of(fields, "password")
        principal = await self._authenticator.verify(context.request, user, password)
        if principal.method != "password":
            raise Unauthenticated("only who has a password manages tokens here")
        return principal

    async def _make(
        self, context: RequestContext, maker: Principal, user: str, fields: Fields, needed: Role | None = None
    ) -> object:
        """`needed`: what the maker must be for as long as the token lives; else what the token is."""
        role, scopes = _role(fields), _scopes(fields)
        self._scopes.check(scopes, role)
        days = fields.get("ttl_days", DEFAULT_TTL_DAYS)
        if type(days) is not int or not 1 <= days <= LONGEST_TTL_DAYS:
            raise BadRequest(f"ttl_days is a whole number from 1 to {LONGEST_TTL_DAYS}")
        if not covers(maker.role, role):
            raise Denied(f"{maker.name} may not make a token of the role {role}")
        if any(one.actions & REMOVALS for one in scopes) and "delete" not in ROLES[maker.role]:
            raise Denied(f"{maker.name} may not make a token that deletes")
        description = text_of(fields, "description") if "description" in fields else ""
        context.audit("admin", f"create a token of {user}, role {role}")  # if that fails
        text, token = await self._tokens.create(
            user,
            role,
            scopes=scopes,
            description=description,
            ttl_seconds=days * _DAY,
            grounds=of_maker(maker, needed or needed_role(role, scopes)),
        )
        context.audit("admin", f"create {describe_token(token)}")
        return {"token": text, "hash_prefix": token.id, "expires_in_days": days}


async def _is_off(context: RequestContext) -> Response:
    return json_answer({"error": "authentication is off; see NORA_AUTH_ENABLED"}, 503)


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
        'a scope is {"repository": pattern, "name": pattern, "actions": some of '
        "read, write, untag and delete}"
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
