"""A job of a CI system publishes with its identity token, as far as its rule goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.in_process import application
from tests.support.issuer import running_issuer
from tests.support.npm_registry import Built

pytestmark = pytest.mark.anyio


async def test_an_identity_token_publishes_what_its_rule_allows(tmp_path: Path) -> None:
    rule = {"claims": {"repository": "acme/app"}, "role": "write", "namespace_scope": ["@acme/*"]}
    with running_issuer() as issuer:
        provider = {"name": "ci", "issuer": issuer.url, "audience": ["nora"], "role_rules": [rule]}
        env = {
            "NORA_AUTH_ENABLED": "true",
            "NORA_AUTH_OIDC_ENABLED": "true",
            "NORA_AUTH_OIDC_PROVIDERS": json.dumps([provider]),
            "NORA_NPM_PROXIES": "[]",
        }
        async with application(tmp_path, **env) as http:
            who = {"authorization": f"Bearer {issuer.token()}"}
            for name, status in (("@acme/lib", 201), ("@other/lib", 403)):
                body = Built(name).publication()
                assert (await http.put(f"/npm/{name}", json=body, headers=who)).status_code == status, name
                assert (await http.put(f"/npm/{name}", json=body)).status_code == 401
