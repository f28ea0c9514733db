"""Tokens over HTTP: everybody manages their own, nobody makes themselves more than they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.auth.tokens import is_token
from tests.conftest import StartServer
from tests.support.access import make_token, write_users
from tests.support.command import run
from tests.support.server import Server, running

USERS = {"alice": "wonder", "bob": "builder", "root": "toor", "reader": "books"}


def body(user: str, **fields: object) -> dict[str, object]:
    return {"username": user, "password": USERS[user], **fields}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers that ask for credentials."""
    folder = tmp_path_factory.mktemp("guarded")
    env = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(write_users(folder / "users", **USERS)),
        "NORA_AUTH_ADMIN_USERS": "root",
        "NORA_AUTH_ROLES": "reader=read",
        "NORA_AUTH_PUBLIC_METRICS": "false",
        "NORA_RATE_LIMIT_ENABLED": "false",
    }
    with running(folder / "one", workers=2, env=env) as server:
        yield server


@pytest.fixture(scope="module")
def client(guarded: Server) -> Iterator[httpx.Client]:
    """Each request is a connection of its own, so that any of the workers may get it."""
    alone = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=guarded.url, timeout=30, trust_env=False, limits=alone) as client:
        yield client


def create(client: httpx.Client, user: str, **fields: object) -> dict[str, Any]:
    answer = client.post("/api/tokens", json=body(user, **fields))
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def listed(client: httpx.Client, user: str) -> dict[str, dict[str, Any]]:
    answer = client.post("/api/tokens/list", json=body(user))
    assert answer.status_code == 200, answer.text
    return {one["hash_prefix"]: one for one in answer.json()["tokens"]}


def test_a_token_is_made_listed_used_and_revoked(client: httpx.Client) -> None:
    made = create(client, "alice", description="laptop", role="write", ttl_days=7)
    assert is_token(made["token"])
    assert made["expires_in_days"] == 7
    assert client.get("/metrics", headers=bearer(made["token"])).status_code == 200
    shown = listed(client, "alice")[made["hash_prefix"]]
    assert (shown["description"], shown["role"], shown["scopes"]) == ("laptop", "write", [])
    assert shown["expires_at"] - shown["created_at"] == 7 * 24 * 3600
    assert made["token"] not in str(shown)
    revoke = body("alice", hash_prefix=made["hash_prefix"])
    assert client.post("/api/tokens/revoke", json=revoke).status_code == 200
    for _ in range(8):  # whichever worker answers
        with httpx.Client(base_url=client.base_url, trust_env=False) as other:
            assert other.get("/metrics", headers=bearer(made["token"])).status_code == 401
    assert client.post("/api/tokens/revoke", json=revoke).status_code == 404


def test_a_token_lives_for_90_days_and_reads_unless_told_otherwise(client: httpx.Client) -> None:
    made = create(client, "root")
    assert made["expires_in_days"] == 90
    assert listed(client, "root")[made["hash_prefix"]]["role"] == "read"


def test_scopes_are_kept(client: httpx.Client) -> None:
    scopes = [{"repository": "docker", "name": "team/*", "actions": ["read", "write"]}]
    made = create(client, "alice", role="write", scopes=scopes)
    assert listed(client, "alice")[made["hash_prefix"]]["scopes"] == scopes


# -- nobody becomes more than they are -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "fields"),
    [
        ("alice", {"role": "admin"}),
        ("reader", {"role": "write"}),
        ("reader", {"role": "admin"}),
        ("alice", {"role": "write", "scopes": [{"actions": ["delete"]}]}),
        ("alice", {"role": "write", "scopes": [{"actions": ["read"]}, {"actions": ["write", "delete"]}]}),
    ],
)
def test_nobody_makes_a_token_that_may_do_more(
    client: httpx.Client, user: str, fields: dict[str, object]
) -> None:
    before = listed(client, user)
    assert client.post("/api/tokens", json=body(user, **fields)).status_code == 403
    assert listed(client, user) == before


def test_an_administrator_makes_admin_tokens(client: httpx.Client) -> None:
    token = create(client, "root", role="admin")["token"]
    for headers in (bearer(token), {"authorization": token}):
        answer = client.post(
            "/api/v1/admin/tokens",
            json={"username": "robot", "role": "write", "ttl_days": 1},
            headers=headers,
        )
        assert answer.status_code == 200, answer.text
    answer = client.post("/api/v1/admin/tokens", json={"username": "robot"}, auth=("root", "toor"))
    assert answer.status_code == 200


def test_only_administrators_make_tokens_for_others(client: httpx.Client, guarded: Server) -> None:
    request = {"username": "alice", "role": "read"}
    scoped = make_token(guarded, "--role", "admin", "--scope", "docker::read,write,delete")
    for headers, status in (
        ({}, 401),
        (bearer(create(client, "alice", role="write")["token"]), 403),
        (bearer(create(client, "reader")["token"]), 403),
        (scoped.bearer, 403),
        (bearer("nra_" + "0" * 49), 401),
    ):
        answer = client.post("/api/v1/admin/tokens", json=request, headers=headers)
        assert answer.status_code == status, (headers, answer.text)
        assert ("www-authenticate" in answer.headers) is (status == 401)
    assert client.post("/api/v1/admin/tokens", json=request, auth=("alice", "wonder")).status_code == 403


def test_the_owner_is_who_has_the_password(client: httpx.Client) -> None:
    """Neither a token as the password, nor a user that the body names beside, makes a token of another."""
    token = create(client, "alice", role="write")["token"]
    for user in ("bob", "root", "alice"):
        claim = {"username": user, "password": token}
        for path in ("/api/tokens", "/api/tokens/list"):
            assert client.post(path, json=claim).status_code == 401
    assert client.post("/api/tokens", json=body("alice") | {"user": "root"}).status_code == 400
    assert client.post("/api/tokens", json=body("alice") | {"owner": "root"}).status_code == 400
    answer = client.post("/api/tokens", json={"username": "alice"}, auth=("root", "toor"))
    assert answer.status_code == 400


def test_tokens_of_others_are_neither_seen_nor_revoked(client: httpx.Client) -> None:
    made = create(client, "alice")
    assert made["hash_prefix"] not in listed(client, "bob")
    assert made["hash_prefix"] not in listed(client, "root")
    for user in ("bob", "root"):
        foreign = body(user, hash_prefix=made["hash_prefix"])
        assert client.post("/api/tokens/revoke", json=foreign).status_code == 404
    assert made["hash_prefix"] in listed(client, "alice")


def test_administrators_list_and_revoke_the_tokens_of_all(client: httpx.Client) -> None:
    made = {user: create(client, user)["hash_prefix"] for user in ("alice", "bob")}
    extra = create(client, "bob", description="second")["hash_prefix"]
    path, root = "/api/v1/admin/tokens", ("root", "toor")
    rows: dict[str, dict[str, Any]] = {}
    after = ""
    for _ in range(100):  # pages
        page = client.get(path, params={"limit": "2", "after": after}, auth=root).json()["tokens"]
        rows |= {one["hash_prefix"]: one for one in page}
        if not page:
            break
        after = page[-1]["hash_prefix"]
    assert rows[made["alice"]]["user"] == "alice"
    assert rows[extra]["description"] == "second"
    of_bob = client.get(path, params={"user": "bob"}, auth=root).json()["tokens"]
    assert {one["user"] for one in of_bob} == {"bob"}
    assert {made["bob"], extra} <= {one["hash_prefix"] for one in of_bob}

    revoke = f"{path}/revoke"
    answer = client.post(revoke, json={"hash_prefix": made["alice"]}, auth=root)
    assert (answer.status_code, answer.json()) == (200, {"revoked": 1})
    assert client.post(revoke, json={"hash_prefix": made["alice"]}, auth=root).status_code == 404
    assert client.post(revoke, json={"username": "bob"}, auth=root).json()["revoked"] == len(of_bob)
    assert client.get(path, params={"user": "bob"}, auth=root).json() == {"tokens": []}


def test_only_administrators_see_and_revoke_the_tokens_of_others(client: httpx.Client) -> None:
    made = create(client, "alice")["hash_prefix"]
    writer = bearer(create(client, "alice", role="write")["token"])
    for headers, status in (({}, 401), (writer, 403)):
        assert client.get("/api/v1/admin/tokens", headers=headers).status_code == status
        revoke = {"hash_prefix": made}
        answer = client.post("/api/v1/admin/tokens/revoke", json=revoke, headers=headers)
        assert answer.status_code == status
    assert made in listed(client, "alice")


@pytest.mark.parametrize(
    "fields", [{}, {"hash_prefix": "x"}, {"username": "a", "hash_prefix": "0" * 16}, {"user": "bob"}]
)
def test_what_is_to_be_revoked_is_said_once(client: httpx.Client, fields: dict[str, str]) -> None:
    answer = client.post("/api/v1/admin/tokens/revoke", json=fields, auth=("root", "toor"))
    assert answer.status_code == 400
    for query in ("limit=0", "limit=x", "limit=1001"):
        assert client.get(f"/api/v1/admin/tokens?{query}", auth=("root", "toor")).status_code == 400


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ({"repository": "docker-hosted", "actions": ["read"]}, "docker:**:read"),
        ({"repository": "dokcer"}, "did you mean docker"),
        ({"actions": ["read", "write"]}, "needs the role write"),
    ],
)
def test_a_scope_that_can_never_fit_is_refused(
    client: httpx.Client, scope: dict[str, object], told: str
) -> None:
    answer = client.post("/api/tokens", json=body("alice", scopes=[scope]))
    assert answer.status_code == 400
    assert told in answer.text


@pytest.mark.parametrize(
    "prefix",
    ["", "../../users", "..%2f..%2fusers", "%", "*", "_" * 16, "ABCDEF0123456789", "0" * 64, 7, None],
)
def test_what_is_revoked_is_named_by_hexadecimal_digits(client: httpx.Client, prefix: object) -> None:
    assert client.post("/api/tokens/revoke", json=body("alice", hash_prefix=prefix)).status_code == 400


def test_a_wrong_password_is_refused_with_a_challenge(client: httpx.Client) -> None:
    for user, password in (("alice", "x"), ("nobody", "x"), ("", ""), ("alice", "x" * 1000)):
        answer = client.post("/api/tokens", json={"username": user, "password": password})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Basic realm="NORA"'


# -- what may be sent ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"role": "root"},
        {"role": None},
        {"role": ["read"]},
        {"ttl_days": 0},
        {"ttl_days": -1},
        {"ttl_days": 3651},
        {"ttl_days": 1.5},
        {"ttl_days": True},
        {"ttl_days": "7"},
        {"ttl_days": 10**400},
        {"description": 7},
        {"description": "x" * 257},
        {"description": "a\nb"},
        {"scopes": {}},
        {"scopes": ["docker"]},
        {"scopes": [{"actions": []}]},
        {"scopes": [{"actions": ["admin"]}]},
        {"scopes": [{"actions": "read"}]},
        {"scopes": [{"actions": [["read"]]}]},
        {"scopes": [{"name": ""}]},
        {"scopes": [{"name": 7}]},
        {"scopes": [{"names": "x"}]},
        {"scopes": [{}] * 33},
        {"unknown": 1},
    ],
)
def test_invalid_token_request_is_rejected(client: httpx.Client, fields: dict[str, object]) -> None:
    before = listed(client, "bob")
    assert client.post("/api/tokens", json=body("bob", **fields)).status_code == 400
    assert listed(client, "bob") == before


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"username":"alice"}', b"\xff", b"[" * 5000]
)
def test_a_body_that_is_no_object_is_refused(client: httpx.Client, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    for path in ("/api/tokens", "/api/tokens/list", "/api/tokens/revoke"):
        assert client.post(path, content=content, headers=headers).status_code == 400


def test_a_form_of_another_site_and_a_large_body_are_refused(client: httpx.Client) -> None:
    content = b'{"username":"alice","password":"wonder"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = client.post("/api/tokens", content=content, headers={"content-type": kind})
        assert answer.status_code == 400
    assert client.post("/api/tokens", json=body("alice", description="x" * 20_000)).status_code == 413


def test_only_post_is_answered(client: httpx.Client) -> None:
    answer = client.get("/api/tokens")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["username", "password", "role", "scopes", "ttl_days"]), anything))
def test_no_body_is_a_fault_of_the_server(client: httpx.Client, fields: dict[str, object]) -> None:
    for path in ("/api/tokens", "/api/v1/admin/tokens"):
        assert client.post(path, json=fields).status_code in {400, 401}


# -- beside --------------------------------------------------------------------------------------------------


def test_metrics_may_be_closed_and_probes_never_are(client: httpx.Client) -> None:
    answer = client.get("/metrics")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Basic realm="NORA"')
    assert client.get("/metrics", auth=("reader", "books")).status_code == 200
    assert client.get("/metrics", auth=("reader", "wrong")).status_code == 401
    for path in ("/", "/health", "/ready"):
        assert client.get(path).status_code == 200
        assert client.get(path, headers={"authorization": "Basic ?"}).status_code == 200


def test_last_use_survives_the_end_of_the_server(nora_server: StartServer, tmp_path: Path) -> None:
    users = write_users(tmp_path / "users", **USERS)
    env = {"NORA_AUTH_ENABLED": "true", "NORA_AUTH_HTPASSWD_FILE": str(users)}
    server = nora_server(env=env | {"NORA_AUTH_PUBLIC_METRICS": "false"})
    token = make_token(server, "--role", "read")
    assert httpx.get(f"{server.url}/metrics", headers=token.bearer, trust_env=False).status_code == 200
    server.stop()
    output = run(sys.executable, "-m", "nora", "token", "list", "--json", env=server.environment())
    assert orjson.loads(output)[0]["last_used"].endswith("Z")


def test_there_are_no_tokens_while_authentication_is_off(http: httpx.Client) -> None:
    rotate, others = "/api/tokens/rotate", "/api/v1/admin/tokens"
    for path in ("/api/tokens", "/api/tokens/list", rotate, "/api/tokens/revoke", others, f"{others}/rotate"):
        answer = http.post(path, json={})
        assert answer.status_code == 503
        assert "NORA_AUTH_ENABLED" in answer.json()["error"]
