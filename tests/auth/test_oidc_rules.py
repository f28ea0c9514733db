"""Which rule is for which claims, and what it is good for."""

from __future__ import annotations

from typing import Any

from nora.auth.access import Access, AccessRules
from nora.auth.oidc_rules import matching_rule, scopes_of
from nora.config.identity import PROVIDERS, OidcProvider
from nora.model import Action, Principal, Repository
from tests.support.tables import each

HOSTED = Repository(1, "docker-hosted", "docker", "hosted")
CLAIMS: dict[str, Any] = {
    "sub": "repo:acme/app:ref:refs/heads/main",
    "repository": "acme/app",
    "groups": ["dev", "release", 7],
    "protected": True,
    "run": 5,
    "kubernetes.io": {"namespace": "ci", "pod": {"name": "x"}},
}


def provider(*rules: dict[str, Any], **changes: Any) -> OidcProvider:
    table = {
        "name": "ci",
        "issuer": "https://i.example.com",
        "audience": "nora",
        "role_rules": [*rules],
        **changes,
    }
    return PROVIDERS.read([table])[0]  # type: ignore[index, no-any-return]


@each(
    "condition",
    [
        {"pattern": "repo:acme/*"},
        {"pattern": "*:refs/heads/main"},
        {"pattern": "repo:acme/app:ref:refs/heads/main"},
        {"claims": {"repository": "acme/*"}},
        {"claims": {"repository": ["other/*", "acme/app"]}},
        {"claims": {"groups": "rel*"}},
        {"claims": {"groups": 7}},
        {"claims": {"protected": "true"}},
        {"claims": {"protected": True, "run": 5}},
        {"claims": {"kubernetes.io": {"namespace": "ci", "pod": {"name": "*"}}}},
        {"pattern": "*", "claims": {"repository": "acme/app"}},
    ],
)
def test_a_condition_that_holds(condition: dict[str, Any]) -> None:
    assert matching_rule(provider({"role": "read", **condition}), CLAIMS) is not None


@each(
    "condition",
    [
        {"pattern": "repo:acme"},
        {"pattern": "acme/app"},
        {"pattern": "repo:acme/app:ref:refs/heads/main?"},
        {"pattern": "repo.acme/*"},
        {"claims": {"repository": "ACME/app"}},
        {"claims": {"repository": "acme/app", "ref": "*"}},
        {"claims": {"groups": "de"}},
        {"claims": {"absent": "*"}},
        {"claims": {"protected": "1"}},
        {"claims": {"kubernetes.io": "*"}},
        {"claims": {"repository": {"inner": "*"}}},
        {"pattern": "*", "claims": {"repository": "acme/other"}},
    ],
)
def test_a_condition_that_does_not_hold(condition: dict[str, Any]) -> None:
    assert matching_rule(provider({"role": "read", **condition}), CLAIMS) is None


def allowed(provider: OidcProvider, observe: Any = None) -> Any:
    """What the first rule of a provider allows, asked of the one decision."""
    rule = provider.role_rules[0]
    principal = Principal("ci:x", "oidc", rule.role, scopes_of(provider, rule), "oidc:ci")
    access = Access(AccessRules(enabled=True, open_administration=False), observe)

    def decide(action: Action, name: str | None, repository: Repository | None = HOSTED) -> bool:
        return access.decide(principal, action, repository, name)

    return decide


def rule(role: str, **changes: Any) -> dict[str, Any]:
    return {"pattern": "x", "role": role, **changes}


def test_a_rule_without_scopes_is_limited_by_its_role_alone() -> None:
    decide = allowed(provider(rule("write")))
    assert decide("write", "a/b")
    assert not decide("delete", "a/b")
    assert allowed(provider(rule("admin")))("admin", None, None)


def test_a_namespace_limits_writes_and_not_reads() -> None:
    decide = allowed(provider(rule("write", namespace_scope=["acme/*", "deep/**", "team-*/ci"])))
    for name in ("acme/app", "deep/a", "deep/a/b/c", "team-a/ci"):
        assert decide("write", name), name
        assert not decide("delete", name)
    for name in ("acme", "acme/app/x", "other/app", "team-a/b/ci", "xdeep/a"):
        assert decide("read", name)
        assert not decide("write", name), name


def test_the_scope_of_the_provider_and_that_of_the_rule_must_both_allow() -> None:
    both = provider(rule("write", namespace_scope=["acme/app/*", "acme/**"]), namespace_scope=["acme/app/**"])
    assert allowed(both)("write", "acme/app/x/y")
    assert not allowed(both)("write", "acme/other")
    inherited = provider(rule("write"), namespace_scope=["acme/**"])
    assert allowed(inherited)("write", "acme/app")
    assert not allowed(inherited)("write", "other/app")


def test_a_reader_writes_nowhere() -> None:
    decide = allowed(provider(rule("read", namespace_scope=["acme/**"])))
    assert decide("read", "other")
    assert not decide("write", "acme/app")


def test_an_administrator_of_a_namespace_deletes_there_and_administrates_nothing() -> None:
    decide = allowed(provider(rule("admin", namespace_scope=["acme/**"])))
    assert decide("delete", "acme/app")
    assert not decide("delete", "other")
    assert not decide("admin", None, None)


def test_explicit_scopes_limit_reads_too_and_may_allow_deletes() -> None:
    scopes = [
        {"repository": "docker-*", "name": "acme/**", "actions": ["read", "write", "delete"]},
        {"name": "base/*", "actions": ["read"]},
    ]
    decide = allowed(provider(rule("write", scopes=scopes), namespace_scope=["acme/app/**"]))
    assert decide("delete", "acme/app/x")
    assert decide("read", "acme/other")
    assert not decide("write", "acme/other")
    assert decide("read", "base/a")
    assert not decide("write", "base/a")
    assert not decide("read", "other")
    assert not decide("read", "acme/app/x", Repository(2, "other", "docker", "hosted"))


def test_an_audit_allows_and_counts_what_would_be_denied() -> None:
    counted: list[tuple[str, str]] = []

    def observe(*seen: str) -> None:
        counted.append((seen[0], seen[1]))

    lenient = allowed(
        provider(rule("write", namespace_scope=["acme/**"]), namespace_scope_enforcement="audit"), observe
    )
    strict = allowed(provider(rule("write", namespace_scope=["acme/**"])), observe)
    assert lenient("read", "other")
    assert counted == []
    assert [lenient("write", "acme/app"), lenient("write", "other"), lenient("delete", "other")] == [
        True,
        True,
        False,
    ]
    assert [strict("write", "acme/app"), strict("write", "other")] == [True, False]
    assert counted == [("ci", one) for one in ("allow", "would_deny", "deny", "allow", "deny")]
