"""Who may do what: tokens as cargo sends them, scopes, owners."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from nora.model import Role
from tests.formats.cargo.wire import API, publication_of
from tests.support.in_process import add_token, application
from tests.support.waiting import until

pytestmark = pytest.mark.anyio
CONFIG = "/cargo/index/config.json"
DELETING = "cargo:*:read,write,delete"
ENV = {"NORA_AUTH_ENABLED": "true", "NORA_PUBLIC_URL": "https://crates.example"}


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with application(tmp_path, **ENV) as client:
        yield client


async def token(folder: Path, role: Role, *scopes: str, user: str = "ci") -> dict[str, str]:
    """The header field that cargo sends: nothing but the token."""
    return {"authorization": await add_token(folder, role, *scopes, user=user)}


async def publish(http: httpx.AsyncClient, who: dict[str, str], name: str, version: str) -> httpx.Response:
    return await http.put(f"{API}/new", content=publication_of(name, version), headers=who)


async def test_cargo_is_told_where_to_log_in(http: httpx.AsyncClient, tmp_path: Path) -> None:
    for path in (CONFIG, "/cargo/index/so/me/some", "/cargo/dl/some/1.0.0/x.crate", f"{API}/some/owners"):
        answer = await http.get(path)
        assert answer.status_code == 401
        told = answer.headers["www-authenticate"]
        assert told == 'Cargo login_url="https://crates.example/cargo/me"'
    page = await http.get("/cargo/me")
    assert page.status_code == 200
    assert "sparse+https://crates.example/cargo/index/" in page.text
    assert "--scope 'cargo:*:read,write'" in page.text
    answer = await http.get(CONFIG, headers=await token(tmp_path, "read"))
    assert answer.json() == {
        "dl": "https://crates.example/cargo/dl/{crate}/{version}/{sha256-checksum}.crate",
        "api": "https://crates.example/cargo",
        "auth-required": True,
    }


async def test_a_token_is_taken_alone_and_with_a_scheme(http: httpx.AsyncClient, tmp_path: Path) -> None:
    text = (await token(tmp_path, "read"))["authorization"]
    for header in (text, f"Bearer {text}", f"bearer {text}"):
        assert (await http.get(CONFIG, headers={"authorization": header})).status_code == 200
    assert (await http.get(CONFIG, auth=("anybody", text))).status_code == 200
    assert (await http.get(CONFIG, headers={"authorization": f"{text}x"})).status_code == 401


async def test_who_may_only_read_is_told_so_in_the_words_that_cargo_shows(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    answer = await publish(http, await token(tmp_path, "read"), "some", "1.0.0")
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["detail"]


async def test_a_token_for_some_names_publishes_and_reads_those(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    limited = await token(tmp_path, "write", "cargo:corp_*:read,write")
    everywhere = await token(tmp_path, "write")
    assert (await http.get(CONFIG, headers=limited)).status_code == 200
    for name, status in (("corp-lib", 200), ("Corp_other", 200), ("elsewhere", 403)):
        assert (await publish(http, limited, name, "1.0.0")).status_code == status, name
    assert (await publish(http, everywhere, "elsewhere", "1.0.0")).status_code == 200
    for path, status in (
        ("/cargo/index/co/rp/corp-lib", 200),
        (f"{API}/corp-lib/1.0.0/download", 200),
        ("/cargo/index/el/se/elsewhere", 403),
        (f"{API}/elsewhere/1.0.0/download", 403),
    ):
        assert (await http.get(path, headers=limited)).status_code == status, path
    found = (await http.get(API, params={"q": ""}, headers=limited)).json()
    assert [one["name"] for one in found["crates"]] == ["corp-lib", "Corp_other"]
    assert found["meta"]["total"] == 2


async def test_a_scope_for_all_formats_is_spelled_in_any_way(http: httpx.AsyncClient, tmp_path: Path) -> None:
    """As the rules of a CI system have it: images, projects and crates in one pattern."""
    limited = await token(tmp_path, "write", "*:Acme-*:read,write")
    for name, status in (("acme-lib", 200), ("acme_other", 200), ("acmelib", 403), ("x-acme-lib", 403)):
        assert (await publish(http, limited, name, "1.0.0")).status_code == status, name


async def test_what_is_done_is_counted_and_in_the_audit_log(http: httpx.AsyncClient, tmp_path: Path) -> None:
    admin = await token(tmp_path, "admin", user="root")
    assert (await publish(http, admin, "Watched", "1.0.0")).status_code == 200
    assert (await publish(http, await token(tmp_path, "read"), "Watched", "2.0.0")).status_code == 403
    assert (await http.get(f"{API}/Watched/1.0.0/download", headers=admin)).status_code == 200
    for method, path, body in (
        ("DELETE", "Watched/1.0.0/yank", None),
        ("PUT", "Watched/1.0.0/unyank", None),
        ("PUT", "Watched/owners", {"users": ["alice"]}),
        ("DELETE", "Watched/owners", {"users": ["alice"]}),
        ("DELETE", "Watched/1.0.0", None),
    ):
        answer = await http.request(method, f"{API}/{path}", json=body, headers=admin)
        assert answer.status_code == 200, answer.text
    numbers = (await http.get("/metrics", headers=admin)).text
    for counted in ("uploads", "downloads"):
        assert f'nora_{counted}_total{{registry="cargo"}} 1.0' in numbers
    await asyncio.sleep(0)

    def audited() -> list[dict[str, str]]:
        path = tmp_path / "storage" / "audit.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    await until(
        lambda: any("1.0.0" in one["object"] and one["action"] == "delete" for one in audited()),
        "the line of the deletion",
        seen=audited,
    )
    lines = audited()
    told = [(one["subject"], one["action"], one["object"]) for one in lines if one["subject"] == "root"]
    for wanted in (
        ("write", "Watched 1.0.0"),
        ("write", "Watched 1.0.0 yank"),
        ("write", "Watched 1.0.0 unyank"),
        ("write", "Watched owner --add alice"),
        ("write", "Watched owner --remove alice"),
    ):
        assert ("root", *wanted) in told


async def test_a_crate_with_owners_is_theirs(http: httpx.AsyncClient, tmp_path: Path) -> None:
    alice, bob, admin = [
        await token(tmp_path, role, *scopes, user=user)
        for user, role, scopes in (
            ("alice", "write", [DELETING]),
            ("bob", "write", [DELETING]),
            ("root", "admin", []),
        )
    ]
    assert (await publish(http, alice, "owned", "1.0.0")).status_code == 200
    assert (await publish(http, bob, "owned", "1.1.0")).status_code == 200  # nobody owns it yet
    owners = f"{API}/owned/owners"
    answer = await http.put(owners, json={"users": ["carol"]}, headers=alice)
    assert answer.json()["ok"] is True
    assert answer.json()["msg"]
    listed = (await http.get(owners, headers=bob)).json()["users"]
    assert [one["login"] for one in listed] == ["alice", "carol"]
    assert all(isinstance(one["id"], int) and one["id"] < 2**32 for one in listed)
    answer = await publish(http, bob, "owned", "2.0.0")
    assert answer.status_code == 403
    assert "alice" in answer.json()["errors"][0]["detail"]
    for request in (
        http.build_request("DELETE", f"{API}/owned/1.0.0/yank", headers=bob),
        http.build_request("POST", f"{API}/owned/1.0.0/yank", json={}, headers=bob),
        http.build_request("PUT", owners, json={"users": ["bob"]}, headers=bob),
        http.build_request("DELETE", owners, json={"users": ["alice"]}, headers=bob),
        http.build_request("DELETE", f"{API}/owned/1.0.0", headers=bob),
        http.build_request("DELETE", f"{API}/owned", headers=bob),
    ):
        assert (await http.send(request)).status_code == 403, request.url
    assert (await publish(http, admin, "owned", "2.0.0")).status_code == 200
    assert (await publish(http, alice, "owned", "3.0.0")).status_code == 200
    assert (await publish(http, alice, "free", "1.0.0")).status_code == 200
    for path, who in (("owned/1.0.0", alice), ("owned/1.1.0", admin), ("free/1.0.0", bob)):
        assert (await http.delete(f"{API}/{path}", headers=who)).status_code == 200, path
