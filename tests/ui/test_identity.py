"""The page of identity rules: which there are, and which of them a token fits."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import httpx
import orjson
import pytest

from tests.support.access import write_users
from tests.support.in_process import application
from tests.ui.test_tokens import Browser, log_in

pytestmark = pytest.mark.anyio

ISSUER = "https://ci.example.com"
CONFIG = f"""
[[auth.oidc.providers]]
name = "ci"
issuer = "{ISSUER}"
audience = "nora"
namespace_scope = ["acme/**"]
[[auth.oidc.providers.role_rules]]
claims = {{ repository = "acme/app", ref = ["refs/heads/main", "refs/tags/*"] }}
role = "write"
[[auth.oidc.providers.role_rules]]
pattern = "repo:acme/*"
role = "read"
"""
GOOD = {
    "iss": ISSUER,
    "aud": "nora",
    "sub": "repo:acme/app",
    "repository": "acme/app",
    "ref": "refs/heads/main",
    "iat": 1,
    "exp": 300,
}


class Place(NamedTuple):
    http: httpx.AsyncClient
    admin: Browser


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder: Path = tmp_path_factory.mktemp("identity")
    (folder / "config.toml").write_text(CONFIG)
    users = write_users(folder / "users", admin="admin pass", alice="correct horse")
    said = {"NORA_AUTH_HTPASSWD_FILE": str(users), "NORA_PROXY_MODE": "offline"}
    said |= {"NORA_AUTH_ENABLED": "true", "NORA_AUTH_OIDC_ENABLED": "true"}
    async with application(folder, **said) as http:
        yield Place(http, await log_in(http, "admin", "admin pass"))


async def tried(place: Place, claims: str, status: int = 200) -> str:
    answer = await place.admin.post("/ui/identity", claims=claims)
    assert answer.status_code == status, answer.text
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


async def test_the_rules_are_shown_to_administrators_alone(place: Place) -> None:
    page = await place.admin.get("/ui/identity")
    assert "repository is like acme/app ref is like refs/heads/main or refs/tags/*" in page
    assert "may write: all below acme/, in all repositories" in page
    alice = await log_in(place.http, "alice", "correct horse")
    await alice.get("/ui/identity", 403)
    assert (await alice.post("/ui/identity", claims="{}")).status_code == 403
    foreign = await place.http.post("/ui/identity", data={"claims": "{}"}, headers=place.admin.headers)
    assert foreign.status_code == 403


async def test_a_token_is_tried_against_each_rule_and_told_why_not(place: Place) -> None:
    rows = [
        (GOOD, "fits, and decides", "fits, after another one"),
        ({**GOOD, "ref": "refs/heads/x"}, "does not fit ref is refs/heads/x", "fits, and decides"),
        ({**GOOD, "ref": None, "sub": "x"}, "does not fit ref is not there", "No rule fits"),
        ({**GOOD, "iss": "https://other.example"}, "No provider has the issuer “https://other.example”", ""),
        ({**GOOD, "aud": ["a"]}, "Such a token is refused: its audience (aud) is ['a']", ""),
        ({**GOOD, "exp": 99_999}, "it lives for 99998 s", ""),
        ({}, "No provider has the issuer “”", ""),
    ]
    for claims, *words in rows:
        page = await tried(place, orjson.dumps(claims).decode())
        assert all(word in page for word in words), (claims, page)


async def test_a_whole_token_is_read_and_not_given_back(place: Place) -> None:
    parts = [
        base64.urlsafe_b64encode(one).rstrip(b"=").decode() for one in (b'{"alg":"x"}', orjson.dumps(GOOD))
    ]
    page = await tried(place, f"{parts[0]}.{parts[1]}.c2VjcmV0c2ln")
    assert "fits, and decides" in page
    assert "c2VjcmV0c2ln" not in page


async def test_what_is_no_claims_is_refused(place: Place) -> None:
    for wrong in ("", "x", "[]", "1", "eyJx.y.z", '{"a":' * 700 + "1" + "}" * 700, "{" + " " * 5000 + "}"):
        assert "That was refused" in await tried(place, wrong, 400), wrong[:20]
    hostile = orjson.dumps({**GOOD, "ref": "<script>alert(1)</script>"}).decode()
    answer = await place.admin.post("/ui/identity", claims=hostile)
    assert "<script>alert" not in answer.text
