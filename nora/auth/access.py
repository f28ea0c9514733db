"""The one decision: may this principal do this, there? Nothing else in NORA says yes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nora.auth.scopes import write_scope
from nora.errors import Denied, Unauthenticated
from nora.model import ANONYMOUS, REMOVALS, ROLES, Action, Principal, Repository, Scope
from nora.patterns import path_matcher

MOST_TOLD = 5
"""Scopes in a message."""


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What the configuration says about those who give no credentials."""

    enabled: bool
    """Whether credentials are asked for at all."""
    open_administration: bool
    """While they are not: whether anybody may delete and administrate (on the loopback, or when allowed)."""
    anonymous_read: frozenset[str] = frozenset()
    """Names of the repositories that anybody may read."""


class Access:
    """The decisions of one server."""

    def __init__(
        self,
        rules: AccessRules,
        observe: Callable[[str, str], None] | None = None,
        folds: Mapping[str, Callable[[str], str]] | None = None,
    ) -> None:
        """`observe` is told what scopes say to a workload that wants to change something: the name of its
        provider, and `allow`, `deny`, or `would_deny` where the provider only audits. `folds` say by format
        how names are spelled (see nora.formats.base.Format): a scope may be for all formats."""
        self._rules = rules
        self._observe = observe
        self._folds = folds or {}

    def decide(
        self, principal: Principal, action: Action, repository: Repository | None, name: str | None
    ) -> bool:
        """Whether `principal` may do `action` with the package `name` of `repository`.

        Without a name: with the repository as a whole (its listing). Without a repository: with the server.
        """
        rules = self._rules
        if not rules.enabled:
            return rules.open_administration or action in ROLES["write"]
        if action == "read" and repository is not None and repository.name in rules.anonymous_read:
            return True
        if principal.is_anonymous:
            return False
        if not principal.scopes:
            return action in ROLES[principal.role]
        allowing = [
            scope.enforced
            for scope in principal.scopes
            if self._allows(scope, principal, action, repository, name)
        ]
        if self._observe is not None and action != "read" and principal.parent.startswith("oidc:"):
            decision = "allow" if any(allowing) else "would_deny" if allowing else "deny"
            self._observe(principal.parent.removeprefix("oidc:"), decision)
        return bool(allowing)

    def _allows(
        self,
        scope: Scope,
        principal: Principal,
        action: Action,
        repository: Repository | None,
        name: str | None,
    ) -> bool:
        if action not in scope.actions and not (action == "untag" and "delete" in scope.actions):
            return False
        if action not in ROLES[principal.role] and not (action in REMOVALS and principal.role == "write"):
            return False
        if repository is None:
            return False  # what concerns the whole server is not for those who are limited to a part of it
        if not _matches(scope.repository, repository.name):
            return False
        if name is None or _has_name(scope.name, name):
            return True
        fold = self._folds.get(repository.format)
        return fold is not None and _has_name(fold(scope.name), name)

    def require(
        self, principal: Principal, action: Action, repository: Repository | None, name: str | None
    ) -> None:
        """Raises Unauthenticated (who has not said who they are might be let in) or Denied."""
        if self.decide(principal, action, repository, name):
            return
        if self._rules.enabled and principal.is_anonymous:
            raise Unauthenticated("authentication is required: a token, or a user with a password")
        if not self._rules.enabled:
            raise Denied(
                f"{action} is refused while authentication is off and the server is open to the network; "
                "see NORA_AUTH_ENABLED and NORA_AUTH_ALLOW_ANONYMOUS_ADMIN"
            )
        raise Denied(
            f"{principal.name} may not {action} {name or (repository and repository.name) or 'here'}"
            f"{_limits_of(principal)}"
        )

    def readable_by_all(self, repository: Repository) -> bool:
        """Whether no credentials are needed to read a repository."""
        return self.decide(ANONYMOUS, "read", repository, None)


def _limits_of(principal: Principal) -> str:
    """What its token is limited to, for who holds it."""
    if not principal.scopes:
        return f": its role is {principal.role}"
    places = dict.fromkeys(map(write_scope, principal.scopes))
    return f": it is limited to {' '.join([*places][:MOST_TOLD])}"


def _matches(pattern: str, text: str) -> bool:
    """A session's scopes are names, of which there may be more than patterns are remembered."""
    return pattern == text or path_matcher(pattern).fullmatch(text) is not None


def _has_name(pattern: str, name: str) -> bool:
    """`com.corp.**` has the artifacts of the group itself, `com.corp:lib`, as in `proxy.reserved`."""
    if _matches(pattern, name):
        return True
    group = pattern.removesuffix(".**")
    return group != pattern and _matches(f"{group}:**", name)
