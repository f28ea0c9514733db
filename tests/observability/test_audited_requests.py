"""What requests leave in the audit log, with who and what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.support.access import write_users
from tests.support.in_process import application

INDEX = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
ALICE, ROOT = ("alice", "wonder"), ("root", "toor")
WISH = {"role": "write", "scopes": [{"repository": "docker", "name": "team/*", "actions": ["read", "write"]}]}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def work(http: httpx.AsyncClient) -> tuple[str, str, str]:
    """Mint, revoke, claim, open a session, push, remove a tag; the ids of two tokens, and a digest."""
    by_password = {"username": "alice", "password": "wonder"}
    own = (await http.post("/api/tokens", json={**by_password, **WISH})).json()["hash_prefix"]
    path = "/api/v1/admin/tokens"
    other = (await http.post(path, json={"username": "robot", **WISH}, auth=ROOT)).json()["hash_prefix"]
    await http.post("/api/tokens/revoke", json={**by_password, "hash_prefix": own})
    await http.post(f"{path}/revoke", json={"hash_prefix": other}, auth=ROOT)
    await http.post(f"{path}/revoke", json={"username": "robot"}, auth=ROOT)
    claimed = {"repository": "docker", "name": "claimed"}
    await http.post("/api/v1/admin/packages/claim", json=claimed, auth=ROOT)
    scope = "repository:team/app:pull,push"
    await http.get("/v2/token", params={"scope": scope, "offline_token": "true"}, auth=ALICE)
    form = {"grant_type": "password", "username": "alice", "password": "wonder", "scope": scope}
    await http.post("/v2/token", data=form)
    await http.get("/v2/token", params={"scope": scope})  # nobody: there is no session
    kind = {"content-type": "application/vnd.oci.image.index.v1+json"}
    pushed = await http.put("/v2/team/app/manifests/1", content=INDEX, headers=kind, auth=ROOT)
    removed = await http.delete("/v2/team/app/manifests/1", auth=ROOT)
    assert (pushed.status_code, removed.status_code) == (201, 202)
    return own, other, pushed.headers["docker-content-digest"]


@pytest.mark.anyio
async def test_what_changes_rights_is_told_with_who_and_what(tmp_path: Path) -> None:
    env = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(write_users(tmp_path / "users", alice="wonder", root="toor")),
        "NORA_AUTH_ADMIN_USERS": "root",
        "NORA_PROXY_MODE": "offline",
    }
    async with application(tmp_path, **env) as http:
        own, other, digest = await work(http)

    log = (tmp_path / "storage/audit.jsonl").read_text()
    records: list[dict[str, Any]] = [orjson.loads(line) for line in log.splitlines()]
    found = [
        (one["subject"], one["action"], one["object"].partition(", until")[0], one["digest"])
        for one in records
        if one["outcome"] == "ok"
    ]
    rights = "role write, docker:team/*:read,write"
    assert found == [
        ("alice", "admin", f"create token {own} of alice, {rights}", ""),
        ("root", "admin", f"create token {other} of robot, {rights}", ""),
        ("alice", "admin", f"revoke token {own}", ""),
        ("root", "admin", f"revoke token {other}", ""),
        ("root", "admin", "revoke all tokens of robot", ""),
        ("root", "claim", "claimed", ""),
        ("root", "admin", "claimed", ""),
        ("alice", "session", "repository:team/app:pull,push, with a refresh token", ""),
        ("alice", "session", "repository:team/app:pull,push", ""),
        ("root", "claim", "team/app", ""),
        ("root", "write", "team/app:1", digest),
        ("root", "untag", "team/app:1", digest),
    ]
    assert not any(secret in log for secret in ("wonder", "toor", "nra_"))
