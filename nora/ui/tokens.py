"""API tokens: who has which, new ones, the next of one, the end of one.

The secret of a token is on the page that makes it, and nowhere else.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from nora.auth.token_rules import LONGEST_OVERLAP_HOURS, LONGEST_TTL_DAYS, MOST_SCOPES, Wish, may_manage
from nora.auth.tokens import DEFAULT_TTL_DAYS, LONGEST_DESCRIPTION, WARNED_SECONDS, parse_user
from nora.errors import BadRequest, Denied, Unauthenticated
from nora.model import ROLES
from nora.patterns import path_matcher
from nora.ui.forms import read_own_form

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from blacksheep import Response

    from nora.auth.browser import BrowserSessions
    from nora.auth.token_rules import TokenRules
    from nora.catalog.records import Token
    from nora.formats.browsing import Snippet
    from nora.model import Action, Principal, Repository, Role
    from nora.ui.forms import Form
    from nora.ui.shelves import Shelf, Shelves
    from nora.ui.visit import Visit

PAGE: Final = 200
KEPT_HOURS: Final = (0, 1, 24, 168)
"""How long the one before may go on, as the form offers it."""
_DAY: Final = 24 * 3600.0
_plain = re.compile(r"[A-Za-z0-9._-]+").fullmatch

Rights = tuple["Role", tuple["Action", ...]]
RIGHTS: Final[Mapping[str, Rights]] = {
    "read": ("read", ("read",)),
    "write": ("write", ("read", "write")),
    "delete": ("write", ("read", "write", "untag", "delete")),
    "admin": ("admin", ("read", "write", "untag", "delete")),
}
"""What the form offers: a role, and what a scope of it says."""


@dataclass(frozen=True, slots=True)
class ShownToken:
    """A row of the table."""

    token: Token
    days_left: int | None
    """None: it has no end."""
    ends_soon: bool
    is_over: bool
    """Its time is."""
    is_void: bool
    """What it rests on has ended."""


class TokenPages:
    """The pages."""

    def __init__(
        self, rules: TokenRules, shelves: Shelves, sessions: BrowserSessions, *, enabled: bool
    ) -> None:
        """`enabled`: whether anybody is asked who they are."""
        self._rules = rules
        self._shelves = shelves
        self._sessions = sessions
        self._enabled = enabled

    async def page(self, visit: Visit) -> Response:
        """The tokens that a visitor may see, and a form for a new one."""
        return await self._page(visit)

    async def create(self, visit: Visit) -> Response:
        """Make one, and show its secret."""
        form = await self._form(visit)
        principal = visit.principal
        user = form.text("user") if self._sees_all(principal) else ""
        try:
            user = parse_user(user) if user else principal.name
            wish = self._wish(form)
            needed: Role | None = None if user == principal.name else "admin"
            text, token = await self._rules.create(visit, principal, user, wish, needed)
        except (BadRequest, Denied) as error:
            return await self._page(visit, form=form, problem=str(error), status=error.status)
        return self._made(visit, text, token)

    async def ask_rotation(self, visit: Visit) -> Response:
        """What a rotation will do."""
        token = await self._own(visit)
        return visit.page("token_rotate.html", shown=await self._shown(token), kept_hours=KEPT_HOURS)

    async def rotate(self, visit: Visit) -> Response:
        """Make the next one, and show its secret."""
        form = await self._form(visit)
        token = await self._own(visit)
        days = form.text("days").strip()
        text, made = await self._rules.rotate(
            visit,
            visit.principal,
            token.id,
            self._owner(visit),
            days=_whole(days, "the days that it lives", LONGEST_TTL_DAYS) if days else None,
            keep_hours=_whole(form.text("keep") or "0", "the hours", LONGEST_OVERLAP_HOURS),
        )
        return self._made(visit, text, made)

    async def ask_revocation(self, visit: Visit) -> Response:
        """What a revocation will do."""
        return visit.page("token_revoke.html", shown=await self._shown(await self._own(visit)))

    async def revoke(self, visit: Visit) -> Response:
        """End one."""
        await self._form(visit)
        await self._rules.revoke(visit, visit.value("token"), self._owner(visit))
        return visit.redirect("tokens", revoked=visit.value("token"))

    # -- who may -------------------------------------------------------------------------------------

    def _sees_all(self, principal: Principal) -> bool:
        return self._enabled and self._shelves.may_administrate(principal)

    def _owner(self, visit: Visit) -> str | None:
        """Whose tokens a visitor may end; None: everybody's."""
        return None if self._sees_all(visit.principal) else visit.principal.name

    def _require_manager(self, visit: Visit) -> None:
        if visit.principal.is_anonymous:
            raise Unauthenticated("log in to see this page")
        if not may_manage(visit.principal):
            raise Denied("a token makes, rotates and ends no tokens: log in with a password")

    async def _form(self, visit: Visit) -> Form:
        if not self._enabled:
            raise Denied("authentication is off; see NORA_AUTH_ENABLED")
        self._require_manager(visit)
        return await read_own_form(visit, self._sessions)

    async def _own(self, visit: Visit) -> Token:
        """The one of the path. Raises NotFound for those of others."""
        self._require_manager(visit)
        return await self._rules.find(visit.value("token"), self._owner(visit))

    # -- pages ---------------------------------------------------------------------------------------

    async def _page(
        self, visit: Visit, *, form: Form | None = None, problem: str = "", status: int = 200
    ) -> Response:
        principal = visit.principal
        if self._enabled and principal.is_anonymous:
            raise Unauthenticated("log in to see this page")
        sees_all = self._sees_all(principal)
        user = visit.text("user") if sees_all else principal.name
        may_make = self._enabled and may_manage(principal)
        longest_days = self._rules.longest_days(principal)
        found: list[Token] = []
        if may_make:
            found = await self._rules.tokens.list(user or None, visit.text("after", 16), PAGE + 1)
        newest = sorted(found[:PAGE], key=lambda one: -one.created_at)
        return visit.page(
            "tokens.html",
            status=status,
            is_on=self._enabled,
            may_make=may_make,
            sees_all=sees_all,
            tokens=[await self._shown(one) for one in newest],
            owner=user,
            after=visit.text("after", 16),
            next_after=found[PAGE - 1].id if len(found) > PAGE else None,
            revoked=visit.text("revoked", 16),
            problem=problem,
            form=form,
            rights=[name for name, (role, _) in RIGHTS.items() if self._offers(principal, name, role)],
            places=[*self._places(principal)],
            default_days=min(DEFAULT_TTL_DAYS, longest_days),
            longest_days=longest_days,
            longest_description=LONGEST_DESCRIPTION,
        )

    def _offers(self, principal: Principal, name: str, role: Role) -> bool:
        own = ROLES[principal.role]
        deletes = "delete" in own or any("delete" in one.actions for one in principal.scopes)
        return ROLES[role] <= own and (name != "delete" or deletes)

    def _places(self, principal: Principal) -> Iterator[tuple[Shelf, Sequence[Repository]]]:
        for shelf in self._shelves.all():
            if listed := self._shelves.listed(principal, shelf):
                yield shelf, listed

    async def _shown(self, token: Token) -> ShownToken:
        left = None if token.expires_at is None else token.expires_at - time.time()
        is_over = left is not None and left <= 0
        return ShownToken(
            token,
            None if left is None else max(0, round(left / _DAY)),
            left is not None and left <= WARNED_SECONDS,
            is_over,
            not is_over and not await self._rules.tokens.is_valid(token.id),
        )

    def _wish(self, form: Form) -> Wish:
        """Raises BadRequest."""
        rights = form.text("rights") or "read"
        if rights not in RIGHTS:
            raise BadRequest(f"what it may do is one of {', '.join(RIGHTS)}")
        role, actions = RIGHTS[rights]
        place, name = form.text("place"), form.text("name").strip()
        texts = form.text("parts").split()
        if place or name or (rights == "delete" and not texts):
            texts.insert(0, f"{place}:{name}:{','.join(actions)}")
        if len(texts) > MOST_SCOPES:
            raise BadRequest(f"a token is limited to at most {MOST_SCOPES} parts")
        days = _whole(form.text("days") or str(DEFAULT_TTL_DAYS), "the days that it lives", LONGEST_TTL_DAYS)
        scopes = tuple(self._rules.scopes.parse(one, role) for one in texts)
        return Wish(role, scopes, days, form.text("description").strip())

    def _made(self, visit: Visit, text: str, token: Token) -> Response:
        user = token.user if _plain(token.user) else "token"  # any name will do, in any file and shell
        return visit.page(
            "token_made.html",
            secret=text,
            token=token,
            uses=[*self._uses(visit, token, user, text)],
        )

    def _uses(
        self, visit: Visit, token: Token, user: str, text: str
    ) -> Iterator[tuple[Shelf, Sequence[Snippet]]]:
        """The lines for the clients of each format that the token is for."""
        for shelf in self._shelves.all():
            make = shelf.format.browse.credentials
            reached = [one for one in shelf.repositories if _reaches(token, one)]
            if make is None or not reached:
                continue
            site = replace(self._shelves.site(visit, shelf, reached[0]), needs_login=True)
            yield shelf, make(site, user, text)


def _reaches(token: Token, repository: Repository) -> bool:
    if not token.scopes:
        return True
    return any(path_matcher(one.repository).fullmatch(repository.name) for one in token.scopes)


def _whole(text: str, what: str, most: int) -> int:
    """A whole number of a form. Raises BadRequest."""
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise BadRequest(f"{what} are a whole number, at most {most}")
    return int(text)
