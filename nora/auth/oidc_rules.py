"""What the claims of a workload's token are good for: pure decisions over the rules of its provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from nora.config.identity import ClaimPatterns, OidcProvider, RoleRule, narrowed
from nora.model import ROLES, Action, Scope
from nora.patterns import text_matcher

Claims = Mapping[str, object]
LONGEST_SHOWN: Final = 300


class Miss(NamedTuple):
    """A condition that does not hold."""

    claim: str
    value: str | None
    """What the token says; None: nothing."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What a token has of a rule."""

    misses: tuple[Miss, ...]

    @property
    def holds(self) -> bool:
        """Whether the rule is for it."""
        return not self.misses


def matching_rule(provider: OidcProvider, claims: Claims) -> RoleRule | None:
    """The first rule all of whose conditions hold."""
    return next((rule for rule in provider.role_rules if _holds(rule, claims)), None)


def scopes_of(provider: OidcProvider, rule: RoleRule) -> tuple[Scope, ...]:
    """What a rule limits its role to: empty when it does not.

    Writes and deletes must lie in the scope of the provider and in that of the rule. Reads are limited only
    by explicit scopes. Where the provider only audits, a last scope allows what the others would not.
    """
    if not rule.scopes and all("**" in names for names in _namespaces(provider, rule)):
        return ()
    changes = ROLES[rule.role] - {"read", "admin"}
    if rule.scopes:
        stated = rule.scopes
    else:
        inner = rule.namespace_scope or ("**",)
        stated = (Scope(actions=frozenset({"read"})), *(Scope("**", name, changes) for name in inner))
    found = [part for scope in stated for part in _within_provider(scope, provider)]
    if provider.namespace_scope_enforcement == "audit":
        found.append(Scope(actions=changes | {"read"}, enforced=False))
    return tuple(found)


def _namespaces(provider: OidcProvider, rule: RoleRule) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return provider.namespace_scope, rule.namespace_scope or ("**",)


def _within_provider(scope: Scope, provider: OidcProvider) -> Iterator[Scope]:
    read: frozenset[Action] = scope.actions & {"read"}
    if read:
        yield Scope(scope.repository, scope.name, read)
    changes = scope.actions - {"read"}
    if changes:
        for name in narrowed(scope.name, provider.namespace_scope):
            yield Scope(scope.repository, name, changes)


def try_rule(rule: RoleRule, claims: Claims) -> Tried:
    """Which conditions of a rule do not hold, for somebody who wonders why."""
    return Tried(
        tuple(
            Miss(".".join(path), _written(_claim(claims, path)))
            for path, patterns in _conditions(rule)
            if not _fits(_claim(claims, path), patterns)
        )
    )


def refusal_of(provider: OidcProvider, claims: Claims) -> str:
    """Why a token is refused whatever the rules say, as far as it does not depend on the time; empty: it is
    not."""
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not any(one in provider.audience for one in audiences if isinstance(one, str)):
        return f"its audience (aud) is {_written(audience) or 'not there'}, none of the provider's"
    issued, expires = claims.get("iat"), claims.get("exp")
    if isinstance(issued, int) and isinstance(expires, int):
        lifetime = expires - issued
        if not 0 <= lifetime <= provider.max_token_lifetime_secs:
            return f"it lives for {lifetime} s (exp - iat), more than the provider's tokens may"
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        return "it has no subject (sub)"
    return ""


def _written(value: object) -> str | None:
    """A claim for people; None where there is none."""
    return None if value is None else str(value)[:LONGEST_SHOWN]


def _holds(rule: RoleRule, claims: Claims) -> bool:
    return all(_fits(_claim(claims, path), patterns) for path, patterns in _conditions(rule))


def _conditions(rule: RoleRule) -> ClaimPatterns:
    """Where which claims are, and what they may be."""
    return (*rule.claims, *([(("sub",), (rule.pattern,))] if rule.pattern is not None else []))


def _claim(claims: Claims, path: tuple[str, ...]) -> object:
    found: object = claims
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _fits(value: object, patterns: tuple[str, ...]) -> bool:
    """Whether a claim, or one item of it when it is a list, fits one of the patterns."""
    if isinstance(value, list):
        return any(_fits(item, patterns) for item in value if not isinstance(item, list))
    if isinstance(value, bool | int):
        value = str(value).lower()  # as JSON writes them
    return isinstance(value, str) and any(text_matcher(pattern).fullmatch(value) for pattern in patterns)
