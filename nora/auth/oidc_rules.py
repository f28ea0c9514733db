"""What the claims of a workload's token are good for: pure decisions over the rules of its provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nora.config.identity import OidcProvider, RoleRule, narrowed
from nora.model import ROLES, Action, Scope
from nora.patterns import text_matcher

Claims = Mapping[str, object]


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


def _holds(rule: RoleRule, claims: Claims) -> bool:
    conditions = [*rule.claims, *([(("sub",), (rule.pattern,))] if rule.pattern is not None else [])]
    return all(_fits(_claim(claims, path), patterns) for path, patterns in conditions)


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
