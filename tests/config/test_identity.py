"""`[[auth.oidc.providers]]`: what is taken, and what stops the start with a message that says where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nora.config.describe import render_toml
from nora.config.identity import PROVIDERS, OidcProvider, narrowed
from nora.errors import ConfigError
from nora.formats import load_config
from nora.model import Scope
from tests.support.tables import each

GITHUB = """
[auth]
enabled = true
[auth.oidc]
enabled = true
leeway_secs = 30
[[auth.oidc.providers]]
name = "github"
issuer = "https://token.actions.githubusercontent.com"
audience = "nora"
namespace_scope = ["acme/**"]
[[auth.oidc.providers.role_rules]]
pattern = "repo:acme/app:*"
role = "write"
[[auth.oidc.providers.role_rules]]
role = "write"
claims.repository = "acme/*"
claims.ref = ["refs/heads/main", "refs/tags/*"]
claims."kubernetes.io" = { namespace = "ci" }
scopes = [{ repository = "docker", name = "acme/team/*", actions = ["read", "write", "delete"] }]
"""


def configured(folder: Path, text: str) -> Any:
    (folder / "config.toml").write_text(text)
    return load_config({}, folder)


def provider(**changes: Any) -> dict[str, Any]:
    return {
        "name": "p",
        "issuer": "https://issuer.example.com/",
        "audience": ["nora"],
        "role_rules": [{"pattern": "x", "role": "read"}],
        **changes,
    }


def read(**changes: Any) -> OidcProvider:
    return PROVIDERS.read([provider(**changes)])[0]  # type: ignore[index, no-any-return]


def test_a_file_of_providers_is_read(tmp_path: Path) -> None:
    config = configured(tmp_path, GITHUB)
    (found,) = config.oidc.active
    assert (config.oidc.leeway_secs, config.oidc.jwks_cache_secs) == (30, 3600)
    assert (found.audience, found.algorithms) == (("nora",), ("RS256", "ES256"))
    assert (found.max_token_lifetime_secs, found.namespace_scope_enforcement) == (900, "enforce")
    first, second = found.role_rules
    assert (first.pattern, first.claims, first.scopes) == ("repo:acme/app:*", (), ())
    assert second.claims == (
        (("repository",), ("acme/*",)),
        (("ref",), ("refs/heads/main", "refs/tags/*")),
        (("kubernetes.io", "namespace"), ("ci",)),
    )
    assert second.scopes == (Scope("docker", "acme/team/*", frozenset({"read", "write", "delete"})),)


def test_what_is_in_force_is_a_file_that_means_the_same(tmp_path: Path) -> None:
    config = configured(tmp_path, GITHUB)
    assert configured(tmp_path, render_toml(config)).oidc == config.oidc


def test_providers_come_from_the_environment_in_json(tmp_path: Path) -> None:
    environ = {"NORA_AUTH_ENABLED": "true", "NORA_AUTH_OIDC_ENABLED": "true"}
    config = load_config({**environ, "NORA_AUTH_OIDC_PROVIDERS": json.dumps([provider()])}, tmp_path)
    assert config.oidc.providers == (read(),)


def test_an_issuer_stays_as_it_is_written() -> None:
    assert read().issuer == "https://issuer.example.com/"
    assert read(issuer="http://127.0.0.1:8080").issuer == "http://127.0.0.1:8080"


@each(
    ("changes", "words"),
    [
        ({"issuer": "http://issuer.example.com"}, "expected https"),
        ({"issuer": "issuer.example.com"}, "expected a URL"),
        ({"issuer": "https://user:password@issuer.example.com"}, "without user"),
        ({"jwks_uri": "http://issuer.example.com/keys"}, "expected https"),
        ({"audience": []}, "audience is missing"),
        ({"audience": ""}, "audience is missing"),
        ({"audience": [" "]}, "expected a text"),
        ({"audience": None}, "audience is missing"),
        ({"algorithms": ["HS256"]}, "expected one of RS256"),
        ({"algorithms": ["none"]}, "expected one of RS256"),
        ({"algorithms": []}, "expected a text"),
        ({"name": "Git Hub"}, "expected lower-case"),
        ({"namespace_scope_enforcement": "off"}, "expected one of enforce, audit"),
        ({"max_token_lifetime_secs": "long"}, "expected seconds"),
        ({"role_rules": []}, "role_rules is missing"),
        ({"role_rule": []}, "expected role_rules"),
        ({"role_rules": [{"role": "read"}]}, "without a condition it is for everybody"),
        ({"role_rules": [{"role": "root", "pattern": "x"}]}, "expected one of read, write, admin"),
        ({"role_rules": [{"pattern": "x"}]}, "role is missing"),
        ({"role_rules": [{"role": "read", "claims": {"groups": 1.5}}]}, "expected a text"),
        ({"role_rules": [{"role": "read", "claims": {"a": "b", "c": {}}}]}, "expected a table"),
        ({"role_rules": [{"role": "read", "claims": {"a": []}}]}, "expected a text"),
        (
            {"role_rules": [{"role": "read", "pattern": "x", "scopes": [{"actions": ["admin"]}]}]},
            "expected one of",
        ),
        (
            {"role_rules": [{"role": "read", "pattern": "x", "scopes": [{}], "namespace_scope": ["a"]}]},
            "no namespace_scope beside it",
        ),
        (
            {
                "namespace_scope": ["a/**"],
                "role_rules": [{"role": "write", "pattern": "x", "namespace_scope": ["b"]}],
            },
            "lies outside",
        ),
        ({"enabled": "yes"}, "expected true or false"),
    ],
)
def test_what_is_wrong_stops_the_start(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(**changes)


def test_names_and_issuers_are_there_once() -> None:
    for other in ({"name": "q"}, {"issuer": "https://other.example.com"}):
        with pytest.raises(ValueError, match="two providers"):
            PROVIDERS.read([provider(), provider(**other)])
    assert PROVIDERS.read([provider(), provider(name="q", enabled=False)])


def test_workload_identity_does_not_run_open(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set auth\.enabled = true as well"):
        configured(tmp_path, GITHUB.replace("enabled = true", "enabled = false", 1))
    with pytest.raises(ConfigError, match="there is no provider"):
        configured(tmp_path, "[auth]\nenabled = true\n[auth.oidc]\nenabled = true\n")


def test_a_rule_for_everybody_is_a_risk(tmp_path: Path) -> None:
    config = configured(tmp_path, GITHUB.replace("repo:acme/app:*", "*"))
    assert any("a rule for everybody" in warning for warning in config.warnings)


def test_an_authority_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tls\.ca_cert"):
        load_config({"NORA_TLS_CA_CERT": "absent.pem"}, tmp_path)
    (tmp_path / "empty.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match="no certificate in PEM"):
        load_config({"NORA_TLS_CA_CERT": "empty.pem"}, tmp_path)


@each(
    ("pattern", "outer", "both"),
    [
        ("a/x", ("a/*",), ("a/x",)),
        ("a/x/y", ("a/*",), ()),
        ("a/x/y", ("a/**",), ("a/x/y",)),
        ("a/*", ("a/**",), ("a/*",)),
        ("a/**", ("a/*",), ("a/*",)),
        ("**", ("a/*", "b/**"), ("a/*", "b/**")),
        ("a/*", ("a/*",), ("a/*",)),
        ("*", ("**",), ("*",)),
        ("team-*/ci", ("team-a/*",), ()),
        ("team-a/ci", ("team-*/ci", "team-a/*"), ("team-a/ci",)),
        ("b", ("a",), ()),
    ],
)
def test_a_scope_within_another(pattern: str, outer: tuple[str, ...], both: tuple[str, ...]) -> None:
    assert narrowed(pattern, outer) == both
