"""Who may make, rotate and end which tokens: one place for the JSON API and the web pages.

Nobody makes a token that may do more than they may themselves, and a token makes no tokens, but one of an
administrator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nora.auth.grounds import covers, of_maker
from nora.auth.scopes import describe_token, write_scope
from nora.auth.tokens import DEFAULT_TTL_DAYS, needed_role, parse_token_id
from nora.config.identity import narrowed
from nora.errors import BadRequest, Denied, NotFound
from nora.model import REMOVALS, ROLES, Principal, Role, Scope

if TYPE_CHECKING:
    from nora.auth.scopes import ScopeRules
    from nora.auth.tokens import Tokens
    from nora.catalog.records import Token
    from nora.http.context import RequestContext

LONGEST_TTL_DAYS: Final = 3650
MOST_SCOPES: Final = 32
MOST_TOLD: Final = 5
"""Scopes in a message."""
LONGEST_OVERLAP_HOURS: Final = 24 * 30
"""How long the one before may go on after a rotation."""
_DAY: Final = 24 * 3600.0
_HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Wish:
    """A token that somebody would like to have."""

    role: Role = "read"
    scopes: tuple[Scope, ...] = ()
    days: int = DEFAULT_TTL_DAYS
    description: str = ""


def check_days(days: object) -> int:
    """How long a token lives. Raises BadRequest."""
    if type(days) is not int or not 1 <= days <= LONGEST_TTL_DAYS:
        raise BadRequest(f"ttl_days is a whole number from 1 to {LONGEST_TTL_DAYS}")
    return days


def check_hours(hours: object) -> int:
    """How long the token before goes on. Raises BadRequest."""
    if type(hours) is not int or not 0 <= hours <= LONGEST_OVERLAP_HOURS:
        raise BadRequest(f"keep_hours is a whole number from 0 to {LONGEST_OVERLAP_HOURS}")
    return hours


class TokenRules:
    """Makes, rotates and ends tokens for those who may, and tells the audit log."""

    def __init__(self, tokens: Tokens, scopes: ScopeRules) -> None:
        self.tokens = tokens
        self.scopes = scopes

    def longest_days(self, maker: Principal) -> int:
        """How long a token of a maker lives at most."""
        longest = self.tokens.longest_seconds(of_maker(maker, maker.role))
        return LONGEST_TTL_DAYS if longest is None else max(1, int(longest // _DAY))

    async def create(
        self, context: RequestContext, maker: Principal, user: str, wish: Wish, needed: Role | None = None
    ) -> tuple[str, Token]:
        """The text of a new token of `user`, and what is known of it. `needed`: what the maker must be for as
        long as it lives; else what the token is. Raises BadRequest, Denied."""
        self.scopes.check(wish.scopes, wish.role)
        days = check_days(wish.days)
        _check_rights(maker, wish.role, wish.scopes)
        context.audit("admin", f"create a token of {user}, role {wish.role}")  # if that fails
        text, token = await self.tokens.create(
            user,
            wish.role,
            scopes=wish.scopes,
            description=wish.description,
            ttl_seconds=days * _DAY,
            grounds=of_maker(maker, needed or needed_role(wish.role, wish.scopes)),
        )
        context.audit("admin", f"create {describe_token(token)}")
        return text, token

    async def rotate(
        self,
        context: RequestContext,
        maker: Principal,
        token_id: str,
        user: str | None = None,
        *,
        days: int | None = None,
        keep_hours: int = 0,
    ) -> tuple[str, Token]:
        """The text of the next token with the rights of one, of `user` when one is given, which ends after
        `keep_hours`. It lives for `days`; None: for as long as the one before was made for. Raises
        BadRequest, Denied, NotFound."""
        old = await self.find(token_id, user)
        context.audit("admin", f"rotate token {old.id} of {old.user}")
        _check_rights(maker, old.role, old.scopes)
        needed: Role = needed_role(old.role, old.scopes) if maker.name == old.user else "admin"
        grounds = of_maker(maker, needed)
        text, token = await self.tokens.rotate(
            old.id,
            ttl_seconds=None if days is None else check_days(days) * _DAY,
            keep_seconds=check_hours(keep_hours) * _HOUR,
            grounds=tuple(one for one in grounds if one != f"token:{old.id}"),  # which ends
        )
        context.audit("admin", f"rotate token {old.id}: {describe_token(token)}")
        return text, token

    async def revoke(self, context: RequestContext, token_id: str, user: str | None = None) -> None:
        """End a token, of `user` when one is given, at once. Raises BadRequest, NotFound."""
        token_id = parse_token_id(token_id)
        context.audit("admin", f"revoke token {token_id}")
        if not await self.tokens.revoke(token_id, user):
            raise _absent(user)

    async def find(self, token_id: str, user: str | None = None) -> Token:
        """A token by its public id, of `user` when one is given. Raises BadRequest, NotFound."""
        found = await self.tokens.by_id(token_id)
        if found is None or user not in (None, found.user):
            raise _absent(user)
        return found


def may_manage(principal: Principal) -> bool:
    """Whether somebody may make tokens at all: a token makes none, but one of an administrator."""
    if principal.role == "admin" and not principal.scopes:
        return not principal.is_anonymous
    return principal.method in ("password", "login")


def _absent(user: str | None) -> NotFound:
    return NotFound("there is no such token" if user is None else "you have no such token")


def _check_rights(maker: Principal, role: Role, scopes: tuple[Scope, ...]) -> None:
    if not covers(maker.role, role):
        raise Denied(f"{maker.name} may not make a token of the role {role}")
    if maker.scopes:
        if not scopes or not all(_lies_within(one, maker.scopes) for one in scopes):
            own = " ".join(map(write_scope, maker.scopes[:MOST_TOLD]))
            raise Denied(f"{maker.name} may not make a token beyond {own}: limit it to a part of that")
    elif any(one.actions & REMOVALS for one in scopes) and "delete" not in ROLES[maker.role]:
        raise Denied(f"{maker.name} may not make a token that deletes")


def _lies_within(scope: Scope, limits: tuple[Scope, ...]) -> bool:
    """Whether one of the limits allows all that a scope does."""
    return any(
        scope.actions <= one.actions
        and narrowed(scope.repository, (one.repository,)) == (scope.repository,)
        and narrowed(scope.name, (one.name,)) == (scope.name,)
        for one in limits
    )
