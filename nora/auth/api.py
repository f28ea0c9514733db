"""Tokens over HTTP, for people and scripts that have a password.

    POST /api/tokens            {username, password, role?, ttl_days?, description?, scopes?}
    POST /api/tokens/list       {username, password}
    POST /api/tokens/rotate     {username, password, hash_prefix, ttl_days?, keep_hours?}
    POST /api/tokens/revoke     {username, password, hash_prefix}

and for administrators, who send their credentials as in any other request:

    POST /api/v1/admin/tokens                        as the first, for any user and without a password
    GET  /api/v1/admin/tokens?user=&after=&limit=    the tokens of a user, or of all, by `hash_prefix`
    POST /api/v1/admin/tokens/rotate                 {hash_prefix, ttl_days?, keep_hours?}
    POST /api/v1/admin/tokens/revoke                 {hash_prefix}, or {username}: all of a user

Whose token it is, is who has shown a password: never what else the body says. Nobody makes a token that may
do more than they may themselves, and a token makes no tokens, but one of an administrator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, Required, TypedDict

from blacksheep import Response

from nora.auth.authenticator import Authenticator
from nora.auth.endpoints import ServerEndpoint
from nora.auth.scopes import ScopeRules
from nora.auth.token_rules import MOST_SCOPES, TokenRules, Wish, check_days, check_hours
from nora.auth.tokens import (
    DEFAULT_TTL_DAYS,
    SCOPED_ACTIONS,
    Tokens,
    parse_token_id,
    parse_user,
)
from nora.catalog.records import Token
from nora.errors import BadRequest, Unauthenticated
from nora.http.context import RequestContext
from nora.http.fields import (
    PAGING,
    Fields,
    Problem,
    json_answer,
    json_endpoint,
    read_fields,
    read_limit,
    text_of,
)
from nora.http.operations import Operation, Parameter
from nora.http.router import Endpoint
from nora.model import ROLES, Principal, Role, Scope

MOST_LISTED: Final = 1000
_PATTERN = re.compile(r"[^\x00-\x20\x7f]{1,256}")
_CREATE, _LIST, _REVOKE = "/api/tokens", "/api/tokens/list", "/api/tokens/revoke"
_ROTATE, _ROTATE_OF_OTHERS = "/api/tokens/rotate", "/api/v1/admin/tokens/rotate"
_USER: Final = Parameter("user", "Whose tokens; those of all users, if nothing is said")
OFF: Final = Operation(answer=Problem, status=503)
_OF_OTHERS, _REVOKE_OF_OTHERS = "/api/v1/admin/tokens", "/api/v1/admin/tokens/revoke"


class WithPassword(TypedDict):
    """Somebody who has a password."""

    username: str
    password: str


class ScopeSaid(TypedDict, total=False):
    """What a token is limited to."""

    repository: str
    """A pattern of names of repositories; all of them, if nothing is said."""
    name: str
    """A pattern of names of packages; all of them, if nothing is said."""
    actions: list[Literal["read", "write", "untag", "delete"]]
    """`read`, if nothing is said."""


class TokenWish(TypedDict, total=False):
    """What a token shall be."""

    role: Role
    """`read`, if nothing is said."""
    ttl_days: int
    """For how many days, from 1 to 3650; 90, if nothing is said."""
    description: str
    scopes: list[ScopeSaid]
    """At most 32; none: the token is limited by its role alone."""


class OwnTokenWish(TokenWish, WithPassword):
    """A token of one's own."""


class TokenWishForUser(TokenWish):
    """A token of somebody."""

    username: Required[str]


class RotationWish(TypedDict, total=False):
    """What a token that takes the place of another shall be: it has the rights of that one."""

    hash_prefix: Required[str]
    """That of the token before."""
    ttl_days: int
    """For how many days, from 1 to 3650; for as many as the token before, if nothing is said."""
    keep_hours: int
    """How long the token before goes on, at most 720; it ends at once, if nothing is said."""


class RotateOwnToken(RotationWish, WithPassword):
    """A token of one's own that shall be another."""


class RevokeOwnToken(WithPassword):
    """A token of one's own that shall be none any more."""

    hash_prefix: str


class RevokeTokens(TypedDict, total=False):
    """Which tokens shall be none any more: one of the two."""

    hash_prefix: str
    """That of one token."""
    username: str
    """All tokens of a user."""


class NewToken(TypedDict):
    """A token, once."""

    token: str
    """Its text: it is told now, and never again."""
    hash_prefix: str
    """By which it is listed and revoked."""
    expires_in_days: int


class NextToken(TypedDict):
    """A token in the place of another, once."""

    token: str
    """Its text: it is told now, and never again."""
    hash_prefix: str
    """By which it is listed and revoked."""
    expires_at: int | None
    """Seconds since the epoch, as all times here; null: never."""
    replaced: str
    """The `hash_prefix` of the token before."""


class ScopeShown(TypedDict):
    """What a token is limited to."""

    repository: str
    name: str
    actions: list[str]


class TokenShown(TypedDict):
    """A token, without its text."""

    hash_prefix: str
    created_at: int
    """Seconds since the epoch, as all times here."""
    expires_at: int | None
    last_used: int | None
    description: str
    role: Role
    scopes: list[ScopeShown]


class TokenOfUser(TokenShown):
    """A token of somebody, without its text."""

    user: str


class TokenList(TypedDict):
    """Tokens."""

    tokens: list[TokenShown]


class TokensOfUsers(TypedDict):
    """Tokens, by their `hash_prefix`."""

    tokens: list[TokenOfUser]


class RevokedToken(TypedDict):
    """Which token was revoked."""

    revoked: str


class RevokedTokens(TypedDict):
    """How many tokens were revoked."""

    revoked: int


class TokenApi:
    """The endpoints."""

    def __init__(self, authenticator: Authenticator, tokens: Tokens, scopes: ScopeRules) -> None:
        self._authenticator = authenticator
        self._tokens = tokens
        self._rules = TokenRules(tokens, scopes)

    def endpoints(self) -> Iterator[ServerEndpoint]:
        """Where whose token it is depends on the body, there is no action to be allowed before."""
        if not self._authenticator.enabled:
            for path in (_CREATE, _LIST, _ROTATE, _REVOKE, _OF_OTHERS, _ROTATE_OF_OTHERS, _REVOKE_OF_OTHERS):
                yield Endpoint("POST", path, None, is_off, told=OFF)
            yield Endpoint("GET HEAD", _OF_OTHERS, None, is_off, told=OFF)
            return
        yield json_endpoint(
            "POST", _CREATE, None, NewToken, self._create, body=OwnTokenWish, errors=(401, 403)
        )
        yield json_endpoint("POST", _LIST, None, TokenList, self._list, body=WithPassword, errors=(401,))
        yield json_endpoint(
            "POST", _ROTATE, None, NextToken, self._rotate, body=RotateOwnToken, errors=(401, 403, 404)
        )
        yield json_endpoint(
            "POST", _REVOKE, None, RevokedToken, self._revoke, body=RevokeOwnToken, errors=(401, 404)
        )
        yield json_endpoint(
            "POST", _OF_OTHERS, "admin", NewToken, self._create_for_others, body=TokenWishForUser
        )
        yield json_endpoint(
            "GET HEAD", _OF_OTHERS, "admin", TokensOfUsers, self._list_of_others, query=(_USER, *PAGING)
        )
        yield json_endpoint(
            "POST",
            _ROTATE_OF_OTHERS,
            "admin",
            NextToken,
            self._rotate_of_others,
            body=RotationWish,
            errors=(404,),
        )
        yield json_endpoint(
            "POST",
            _REVOKE_OF_OTHERS,
            "admin",
            RevokedTokens,
            self._revoke_of_others,
            body=RevokeTokens,
            errors=(404,),
        )

    async def _create(self, context: RequestContext) -> NewToken:
        """Make a token of one's own."""
        fields = await read_fields(context.request, OwnTokenWish)
        owner = await self._owner(context, fields)
        return await self._make(context, owner, owner.name, fields)

    async def _list(self, context: RequestContext) -> TokenList:
        """List one's own tokens."""
        fields = await read_fields(context.request, WithPassword)
        owner = await self._owner(context, fields)
        return {"tokens": [_shown(one) for one in await self._tokens.list(owner.name, "", MOST_LISTED)]}

    async def _rotate(self, context: RequestContext) -> NextToken:
        """Make the next token with the rights of one of one's own, which ends."""
        fields = await read_fields(context.request, RotateOwnToken)
        owner = await self._owner(context, fields)
        return await self._replace(context, owner, fields, owner.name)

    async def _revoke(self, context: RequestContext) -> RevokedToken:
        """Revoke a token of one's own."""
        fields = await read_fields(context.request, RevokeOwnToken)
        token_id = parse_token_id(text_of(fields, "hash_prefix"))
        owner = await self._owner(context, fields)
        await self._rules.revoke(context, token_id, owner.name)
        return {"revoked": token_id}

    async def _create_for_others(self, context: RequestContext) -> NewToken:
        """Make a token of a user."""
        fields = await read_fields(context.request, TokenWishForUser)
        user = parse_user(text_of(fields, "username"))
        return await self._make(context, context.principal, user, fields, "admin")

    async def _list_of_others(self, context: RequestContext) -> TokensOfUsers:
        """List the tokens of a user, or of all."""
        user, after = context.parameter("user"), context.parameter("after") or ""
        found = await self._tokens.list(user or None, after, read_limit(context, MOST_LISTED))
        return {"tokens": [{"user": one.user, **_shown(one)} for one in found]}

    async def _rotate_of_others(self, context: RequestContext) -> NextToken:
        """Make the next token with the rights of one of a user, which ends."""
        fields = await read_fields(context.request, RotationWish)
        return await self._replace(context, context.principal, fields, None)

    async def _revoke_of_others(self, context: RequestContext) -> RevokedTokens:
        """Revoke a token, or all tokens of a user."""
        fields = await read_fields(context.request, RevokeTokens)
        if len(fields) != 1:
            raise BadRequest("the body has hash_prefix or username, one of them")
        if "username" in fields:
            user = parse_user(text_of(fields, "username"))
            context.audit("admin", f"revoke all tokens of {user}")
            return {"revoked": await self._tokens.revoke_all(user)}
        token_id = parse_token_id(text_of(fields, "hash_prefix"))
        await self._rules.revoke(context, token_id)
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
    ) -> NewToken:
        """`needed`: what the maker must be for as long as the token lives; else what the token is."""
        days = check_days(fields.get("ttl_days", DEFAULT_TTL_DAYS))
        description = text_of(fields, "description") if "description" in fields else ""
        wish = Wish(_role(fields), _scopes(fields), days, description)
        text, token = await self._rules.create(context, maker, user, wish, needed)
        return {"token": text, "hash_prefix": token.id, "expires_in_days": days}

    async def _replace(
        self, context: RequestContext, maker: Principal, fields: Fields, user: str | None
    ) -> NextToken:
        """`user`: whose token it must be; None: anybody's."""
        token_id = parse_token_id(text_of(fields, "hash_prefix"))
        text, token = await self._rules.rotate(
            context,
            maker,
            token_id,
            user,
            days=check_days(fields["ttl_days"]) if "ttl_days" in fields else None,
            keep_hours=check_hours(fields.get("keep_hours", 0)),
        )
        expires_at = None if token.expires_at is None else int(token.expires_at)
        return {"token": text, "hash_prefix": token.id, "expires_at": expires_at, "replaced": token_id}


async def is_off(context: RequestContext) -> Response:
    """Tokens and users: authentication is off, and there are none."""
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


def _shown(token: Token) -> TokenShown:
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
