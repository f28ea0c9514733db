"""`[auth.oidc.login]`: what is read, and what stops the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from nora.errors import ConfigError
from nora.formats import load_config
from nora.model import Scope
from tests.support.tables import each

GOOD = {
    "NORA_AUTH_ENABLED": "true",
    "NORA_PUBLIC_URL": "https://nora.example.com",
    "NORA_AUTH_OIDC_LOGIN_ISSUER": "https://sso.example.com/",
    "NORA_AUTH_OIDC_LOGIN_CLIENT_ID": "nora",
    "NORA_AUTH_OIDC_LOGIN_ROLES": "cn=admins,ou=x=admin",
}


def test_it_is_read_from_the_environment_and_from_the_file(tmp_path: Path) -> None:
    said = {
        **GOOD,
        "NORA_AUTH_OIDC_LOGIN_ROLES": '{"a=b, c": {"role": "write", "scopes": [{"name": "x/*"}]}}',
    }
    login = load_config(said, tmp_path).login
    assert login.issuer == "https://sso.example.com/"  # exactly
    [grant] = login.roles
    assert (grant.group, grant.role) == ("a=b, c", "write")
    assert grant.scopes == (Scope("**", "x/*", frozenset({"read", "write"})),)
    (tmp_path / "config.toml").write_text('[auth.oidc.login.roles]\n"*" = "admin"\nb = "read"\n')
    found = load_config({k: v for k, v in GOOD.items() if "ROLES" not in k}, tmp_path)
    assert [one.role for one in found.login.roles] == ["admin", "read"]
    assert [one for one in found.warnings if "whoever https://sso.example.com/ lets in administrates" in one]


@each(
    ("changes", "told"),
    [
        ({"AUTH_ENABLED": ""}, "set auth.enabled = true"),
        ({"PUBLIC_URL": ""}, "https://nora.example.com/ui/login/oidc/callback"),
        ({"AUTH_OIDC_LOGIN_CLIENT_ID": ""}, "set both"),
        ({"AUTH_OIDC_LOGIN_ISSUER": ""}, "set both"),
        ({"AUTH_OIDC_LOGIN_ISSUER": "http://sso.example.com"}, "expected https"),
        ({"AUTH_OIDC_LOGIN_SCOPES": "profile"}, "expected openid"),
        ({"AUTH_OIDC_LOGIN_ROLES": ""}, "nobody could log in"),
        ({"AUTH_OIDC_LOGIN_ROLES": "a=root"}, "a.role = 'root'"),
        ({"AUTH_OIDC_LOGIN_ROLES": '{"a": {"role": "admin", "scopes": [{}]}}'}, "of the whole server"),
        ({"AUTH_OIDC_LOGIN_ROLES": '{"a": {"role": "read", "scope": []}}'}, "expected a role"),
        ({"AUTH_OIDC_LOGIN_NAMESPACE": "A:b"}, "lower-case letters"),
        ({"AUTH_OIDC_LOGIN_ALGORITHMS": "HS256"}, "expected some of RS256"),
        ({"AUTH_OIDC_LOGIN_CLIENT_SECRET_FILE": "absent"}, "No such file"),
        ({"AUTH_OIDC_LOGIN_CLIENT_SECRET_FILE": "empty"}, "one line"),
    ],
)
def test_what_cannot_work_stops_the_start(tmp_path: Path, changes: dict[str, str], told: str) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError) as stopped:
        load_config({**GOOD, **{f"NORA_{name}": value for name, value in changes.items()}}, tmp_path)
    assert told in str(stopped.value)
