"""Workloads at a real server: trusted publishing, and identity tokens as they are."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from nora.auth.signed_tokens import MAX_TOKEN
from tests.support.crates import Built
from tests.support.issuer import Issuer, make_key, running_issuer, signed
from tests.support.server import Server, ServerFailed, running
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

RULES = [
    {"claims": {"repository": "acme/app"}, "role": "write", "namespace_scope": ["acme/**", "acme-*"]},
    {"claims": {"repository": "acme/reader"}, "role": "read"},
    {"claims": {"repository": "acme/admin"}, "role": "admin"},
]


@dataclass(frozen=True, slots=True)
class Place:
    http: httpx.Client
    issuer: Issuer
    audit: Path

    def mint(self, token: object) -> httpx.Response:
        return self.http.post("/_/oidc/mint-token", json={"token": token})

    def upload(self, name: str, secret: str, basic: bool = True) -> httpx.Response:
        path = f"/v2/{name}/blobs/uploads/"
        if basic:  # as twine and uv send it
            return self.http.post(path, auth=("__token__", secret))
        return self.http.post(path, headers={"authorization": f"Bearer {secret}"})


def provider(**changes: Any) -> dict[str, Any]:
    return {"name": "ci", "audience": ["nora"], "role_rules": RULES, **changes}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A registry that knows two issuers: one of the test's, and one where nobody is."""
    with running_issuer() as issuer:
        nobody = provider(name="gone", issuer="http://127.0.0.1:9", audience=["other", "nora"])
        env = {
            "NORA_AUTH_ENABLED": "true",
            "NORA_AUTH_OIDC_ENABLED": "true",
            "NO_PROXY": "127.0.0.1",
            "NORA_AUTH_OIDC_PROVIDERS": json.dumps([provider(issuer=issuer.url), nobody]),
            **{f"NORA_RATE_LIMIT_{name}": "0" for name in ("AUTH_RPS", "GENERAL_RPS", "UPLOAD_RPS")},
        }
        with (
            running(tmp_path_factory.mktemp("oidc"), env=env) as server,
            httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client,
        ):
            yield Place(client, issuer, server.storage / "audit.jsonl")


def test_the_audience_is_told(place: Place) -> None:
    answer = place.http.get("/_/oidc/audience")
    assert (answer.status_code, answer.json()) == (200, {"audience": "nora"})


def test_an_identity_token_becomes_a_credential_that_uploads(place: Place) -> None:
    answer = place.mint(place.issuer.token())
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    minted = answer.json()
    assert minted["success"] is True
    assert place.upload("acme/app", minted["token"]).status_code == 202
    assert place.upload("other/app", minted["token"]).status_code == 403
    assert place.mint(minted["token"]).status_code == 401


def test_cargo_sends_what_was_minted_alone(place: Place) -> None:
    minted = place.mint(place.issuer.token()).json()["token"]
    for secret, name, status in (
        (minted, "acme-minted", 200),
        (minted, "other-minted", 403),
        (place.issuer.token(), "acme-identity", 200),
    ):
        answer = place.http.put(
            "/cargo/api/v1/crates/new",
            content=Built(name).publication(),
            headers={"authorization": secret},
        )
        assert answer.status_code == status, answer.text


def test_an_identity_token_is_exchanged_once(place: Place) -> None:
    token = place.issuer.token()
    assert place.upload("acme/app", token).status_code == 202
    assert place.mint(token).status_code == 200
    again = place.mint(token)
    assert (again.status_code, again.json()["errors"][0]["code"]) == (401, "invalid-token")
    assert "once" in again.json()["errors"][0]["description"]
    assert place.upload("acme/app", token).status_code == 401
    assert place.mint(place.issuer.token()).status_code == 200


def test_the_audit_log_has_whose_session_was_opened_for_what(place: Place) -> None:
    assert place.mint(place.issuer.token()).status_code == 200

    def told() -> bool:
        lines = map(json.loads, place.audit.read_text().splitlines()) if place.audit.exists() else ()
        return any(
            line["subject"].startswith("ci:") and line["action"] == "session" and "acme/**" in line["object"]
            for line in lines
        )

    wait_until(told, "the line of the audit")


def test_an_identity_token_is_taken_as_it_is(place: Place) -> None:
    for basic in (True, False):
        assert place.upload("acme/app", place.issuer.token(), basic).status_code == 202
        assert place.upload("other/app", place.issuer.token(), basic).status_code == 403
        reader = place.issuer.token(repository="acme/reader")
        assert place.upload("acme/app", reader, basic).status_code == 403
        wrong = place.issuer.token(aud="other")
        assert place.upload("acme/app", wrong, basic).status_code == 401
        ruleless = place.upload("acme/app", place.issuer.token(repository="acme/unknown"), basic)
        assert (ruleless.status_code, ruleless.json()["errors"][0]["code"]) == (403, "DENIED")
    counted = [
        line for line in place.http.get("/metrics").text.splitlines() if "namespace_scope_total{" in line
    ]
    assert {line.rpartition(" ")[0] for line in counted} == {
        f'nora_auth_namespace_scope_total{{decision="{decision}",provider="ci"}}'
        for decision in ("allow", "deny")
    }


def test_an_administrator_may_delete_with_what_is_minted(place: Place) -> None:
    token = place.mint(place.issuer.token(repository="acme/admin")).json()["token"]
    answer = place.http.delete(f"/v2/acme/x/blobs/sha256:{'0' * 64}", auth=("__token__", token))
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"aud": "other"}, 401, "invalid-token"),
        ({"exp": 1}, 401, "invalid-token"),
        ({"iat": None}, 401, "invalid-token"),
        ({"exp": int(time.time()) + 10_000}, 401, "invalid-token"),
        ({"iss": "https://unknown.example.com"}, 401, "invalid-token"),
        ({"repository": "acme/unknown"}, 403, "invalid-publisher"),
        ({"iss": "http://127.0.0.1:9"}, 503, "unavailable"),
    ],
    ids=["audience", "expired", "iat", "life", "issuer", "rule", "down"],
)
def test_a_refusal_is_told_as_clients_show_it(
    place: Place, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = place.mint(place.issuer.token(**changes))
    shown = answer.json()
    assert (answer.status_code, shown["errors"][0]["code"]) == (status, code)
    assert shown["message"]
    assert shown["errors"][0]["description"]
    assert "token" not in shown
    assert ("retry-after" in answer.headers) == (status == 503)


def test_a_forged_token_is_refused(place: Place) -> None:
    forged = signed(make_key(place.issuer.key.kid, number=9), place.issuer.claims())
    assert place.mint(forged).json()["errors"][0]["code"] == "invalid-token"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b'{"token": 5}', b'{"token": ""}', b'{"tok": "x"}'])
def test_a_body_that_is_none_is_refused(place: Place, body: bytes) -> None:
    answer = place.http.post("/_/oidc/mint-token", content=body)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "invalid-payload")


def test_a_body_is_bounded(place: Place) -> None:
    assert place.mint("x" * (MAX_TOKEN + 1)).status_code == 401
    assert place.mint("x" * 2 * MAX_TOKEN).status_code == 413


def test_methods_and_paths_that_are_not_there(place: Place) -> None:
    assert place.http.get("/_/oidc/mint-token").headers["allow"] == "POST"
    assert place.http.post("/_/oidc/audience").status_code == 405
    assert place.http.get("/_/oidc/other").status_code == 404


def test_a_workload_gets_no_token_that_outlives_its_own(place: Place) -> None:
    """A refresh token lasts until somebody revokes what it was made from, which nobody can here."""
    answer = place.http.get(
        "/v2/token?scope=repository:acme/app:pull,push&offline_token=true",
        auth=("x", place.issuer.token()),
    )
    assert answer.status_code == 200
    assert "refresh_token" not in answer.json()
    assert place.upload("acme/app", answer.json()["token"], basic=False).status_code == 202


def test_it_is_not_offered_without_workload_identity(http: httpx.Client) -> None:
    assert http.get("/_/oidc/audience").status_code == 404
    assert http.post("/_/oidc/mint-token", json={"token": "x"}).status_code == 404


def test_the_authority_file_is_checked_at_the_start(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", tmp_path / "nora.log", env={"NORA_TLS_CA_CERT": "absent.pem"})
    try:
        with pytest.raises(ServerFailed, match=r"tls\.ca_cert"):
            server.start()
    finally:
        server.kill()
