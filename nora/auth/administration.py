"""What administrators, and users for themselves, may change of who may do what, and look up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nora.auth.token_rules import TokenRules
from nora.auth.users import Users
from nora.observability.audit_reader import AuditReader

if TYPE_CHECKING:
    from nora.auth.htpasswd import Htpasswd
    from nora.auth.scopes import ScopeRules
    from nora.auth.tokens import Tokens
    from nora.config import Config, OidcSettings


@dataclass(frozen=True, slots=True)
class Administration:
    """Tokens, users, and the audit log of both."""

    tokens: TokenRules
    users: Users
    audit: AuditReader
    identity: OidcSettings
    """Who is let in by identity tokens."""
    audit_mode: str
    """Where lines of the audit log are written, as `audit.mode` says."""

    @classmethod
    def build(cls, config: Config, tokens: Tokens, accounts: Htpasswd, scopes: ScopeRules) -> Administration:
        """As the configuration has it."""
        users = Users(config.auth.htpasswd_file, accounts, tokens, config.auth.role_of)
        return cls(
            TokenRules(tokens, scopes), users, AuditReader.build(config), config.oidc, config.audit.mode
        )
