"""Rules of workload identity: who is let in with which token of whom, and a box to try the claims of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from nora.auth.oidc_rules import Claims, Tried, refusal_of, scopes_of, try_rule
from nora.auth.signed_tokens import parse_token
from nora.errors import BadRequest, Unauthenticated
from nora.ui.forms import read_own_form

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blacksheep import Response

    from nora.auth.browser import BrowserSessions
    from nora.config import OidcSettings
    from nora.config.identity import OidcProvider, RoleRule
    from nora.model import Scope
    from nora.ui.shelves import Shelves
    from nora.ui.visit import Visit

LONGEST_CLAIMS: Final = 4096
"""Characters, as a field of a form has them; those of CI systems have some 1,500."""


@dataclass(frozen=True, slots=True)
class ShownRule:
    """A rule, what it gives, and what a tried token has of it."""

    number: int
    rule: RoleRule
    scopes: Sequence[Scope]
    tried: Tried | None
    is_chosen: bool
    """Whether it is the one that decides."""


@dataclass(frozen=True, slots=True)
class ShownProvider:
    """An issuer."""

    provider: OidcProvider
    rules: Sequence[ShownRule]
    is_meant: bool
    """Whether the tried token is of it."""
    refusal: str
    """Why its tokens of this kind are refused before any rule is looked at; empty: they are not."""


class IdentityPages:
    """The pages."""

    def __init__(self, settings: OidcSettings, shelves: Shelves, sessions: BrowserSessions) -> None:
        self._settings = settings
        self._shelves = shelves
        self._sessions = sessions

    async def page(self, visit: Visit) -> Response:
        """The rules."""
        self._shelves.require_administrator(visit.principal)
        return self._page(visit)

    async def try_claims(self, visit: Visit) -> Response:
        """The rules, and which of them a token would fit: nothing is changed, nothing is believed."""
        self._shelves.require_administrator(visit.principal)
        form = await read_own_form(visit, self._sessions)
        text = form.text("claims").strip()
        try:
            claims = parse_claims(text)
        except BadRequest as error:
            return self._page(visit, entered=text, problem=str(error), status=400)
        shown = orjson.dumps(claims, option=orjson.OPT_INDENT_2).decode()
        return self._page(visit, claims=claims, entered=shown)  # of a whole token nothing else comes back

    def _page(
        self,
        visit: Visit,
        *,
        claims: Claims | None = None,
        entered: str = "",
        problem: str = "",
        status: int = 200,
    ) -> Response:
        providers = [_shown(one, claims) for one in self._settings.active] if self._settings.enabled else []
        return visit.page(
            "identity.html",
            status=status,
            is_on=self._settings.enabled,
            providers=providers,
            is_tried=claims is not None,
            is_known=any(one.is_meant for one in providers),
            issuer=str((claims or {}).get("iss", ""))[:300],
            entered=entered,
            problem=problem,
            longest=LONGEST_CLAIMS,
        )


def parse_claims(text: str) -> Claims:
    """Of JSON, or of a whole token, whose signature is not looked at. Raises BadRequest."""
    if len(text) >= LONGEST_CLAIMS:
        raise BadRequest(f"the claims are at most {LONGEST_CLAIMS - 1} characters")
    try:
        if text.startswith("eyJ"):
            _, claims = parse_token(text)
            return claims
        found = orjson.loads(text)
    except (orjson.JSONDecodeError, Unauthenticated) as error:
        raise BadRequest("these are no claims: paste a JSON object, or a token") from error
    if not isinstance(found, dict):
        raise BadRequest("the claims are a JSON object")
    return found


def _shown(provider: OidcProvider, claims: Claims | None) -> ShownProvider:
    is_meant = claims is not None and claims.get("iss") == provider.issuer
    rules, is_decided = [], False
    for number, rule in enumerate(provider.role_rules, 1):
        tried = try_rule(rule, claims) if is_meant and claims is not None else None
        is_chosen = tried is not None and tried.holds and not is_decided
        is_decided = is_decided or is_chosen
        rules.append(ShownRule(number, rule, scopes_of(provider, rule), tried, is_chosen))
    refusal = refusal_of(provider, claims) if is_meant and claims is not None else ""
    return ShownProvider(provider, rules, is_meant, refusal)
