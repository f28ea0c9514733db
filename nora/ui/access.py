"""The pages about who may do what: which there are, and who may open them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nora.auth.token_rules import may_manage
from nora.http.router import Endpoint
from nora.ui.audit import AuditPages
from nora.ui.identity import IdentityPages
from nora.ui.server import Concern
from nora.ui.tokens import TokenPages
from nora.ui.users import UserPages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nora.auth.administration import Administration
    from nora.auth.authenticator import Authenticator
    from nora.auth.browser import BrowserSessions
    from nora.model import Principal
    from nora.ui.shelves import Shelves
    from nora.ui.visit import Visit


MOST_CONCERNS: Final = 5
"""Tokens that end soon, on the first page."""


class AccessPages:
    """Tokens, users, and what is known of both."""

    def __init__(
        self,
        shelves: Shelves,
        sessions: BrowserSessions,
        authenticator: Authenticator,
        managed: Administration,
    ) -> None:
        self._shelves = shelves
        self._enabled = enabled = authenticator.enabled
        self._rules = managed.tokens
        self._tokens = TokenPages(managed.tokens, shelves, sessions, enabled=enabled)
        self._users = UserPages(managed.users, shelves, sessions, authenticator, enabled=enabled)
        self._identity = IdentityPages(managed.identity, shelves, sessions)
        self._audit = AuditPages(managed.audit, shelves, managed.audit_mode)

    def open_to(self, principal: Principal) -> tuple[str, ...]:
        """The names of the pages that somebody may open."""
        found: list[str] = []
        if not (principal.is_anonymous and self._enabled):
            if self._shelves.may_administrate(principal):
                found += ["tokens", "users", "identity", "audit"]
            elif self._enabled:
                found += ["tokens"]
            if self._enabled:
                found += ["account"]
        return tuple(found)

    async def concerns(self, visit: Visit) -> list[Concern]:
        """Tokens that end soon: one's own, all of them for administrators."""
        principal = visit.principal
        if not self._enabled or not may_manage(principal):
            return []
        owner = None if self._shelves.may_administrate(principal) else principal.name
        found = await self._rules.tokens.ending(owner, MOST_CONCERNS)
        text = "The token {name} of {user} ends on {date}"
        return [
            Concern(
                text,
                {
                    "name": f"“{one.description}”" if one.description else one.id,
                    "user": one.user,
                    "date": visit.language.date(one.expires_at or 0.0),
                },
                "warn",
                f"tokens/{one.id}/rotate",
            )
            for one in found
        ]

    def endpoints(self) -> Iterator[Endpoint[Visit]]:
        """For those who are known; each page says who else."""
        tokens, users, audit = self._tokens, self._users, self._audit
        for methods, path, page in (
            ("GET HEAD", "/ui/tokens", tokens.page),
            ("POST", "/ui/tokens", tokens.create),
            ("GET HEAD", "/ui/tokens/{token}/rotate", tokens.ask_rotation),
            ("POST", "/ui/tokens/{token}/rotate", tokens.rotate),
            ("GET HEAD", "/ui/tokens/{token}/revoke", tokens.ask_revocation),
            ("POST", "/ui/tokens/{token}/revoke", tokens.revoke),
            ("GET HEAD", "/ui/users", users.page),
            ("POST", "/ui/users", users.add),
            ("GET HEAD", "/ui/users/password", users.ask_password),
            ("POST", "/ui/users/password", users.set_password),
            ("GET HEAD", "/ui/users/remove", users.ask_removal),
            ("POST", "/ui/users/remove", users.remove),
            ("GET HEAD", "/ui/identity", self._identity.page),
            ("POST", "/ui/identity", self._identity.try_claims),
            ("GET HEAD", "/ui/account", users.account),
            ("POST", "/ui/account", users.change),
            ("GET HEAD", "/ui/audit", audit.page),
            ("GET HEAD", "/ui/audit/export", audit.export),
        ):
            yield Endpoint(methods, path, "read", page)
