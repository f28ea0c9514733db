"""Users, tokens and the audit log by the API: the same as by the pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import orjson
import pytest

from nora.auth import users as users_room
from tests.support.access import write_users
from tests.support.in_process import add_token, application
from tests.ui.test_audit import write

pytestmark = pytest.mark.anyio

USERS = "/api/v1/admin/users"
AUDIT = "/api/v1/admin/audit"
ROTATE, TOKENS = "/api/tokens/rotate", "/api/v1/admin/tokens"
PASSWORDS = {"alice": "correct horse", "bob": "battery staple", "admin": "admin pass"}


class Place(NamedTuple):
    folder: Path
    file: Path
    http: httpx.AsyncClient
    admin: dict[str, str]

    async def ask(self, method: str, path: str, status: int = 200, **body: object) -> Any:
        """By an administrator's token."""
        said = {"json": body} if body else {}
        answer = await self.http.request(method, path, headers=self.admin, **said)  # type: ignore[arg-type]
        assert answer.status_code == status, answer.text
        return answer.json()

    async def may_come_in(self, user: str, password: str) -> bool:
        answer = await self.http.get("/api/v1/me", auth=(user, password))
        return answer.status_code == 200


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """Where a changed file is seen at once, and hashes are cheap."""
    folder = tmp_path_factory.mktemp("administration")
    file = write_users(folder / "users", **PASSWORDS)
    said = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(file),
        "NORA_PROXY_MODE": "offline",
        "NORA_RATE_LIMIT_ENABLED": "false",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(users_room, "COST", 4)
        patch.setattr("nora.auth.htpasswd.LOOK_SECONDS", 0)
        async with application(folder, **said) as http:
            token = await add_token(folder, "admin", user="root")
            yield Place(folder, file, http, {"authorization": f"Bearer {token}"})


async def test_a_user_is_added_changed_and_removed(place: Place) -> None:
    said = await place.ask("POST", USERS, username="carol", password="first one")
    assert said == {"username": "carol"}
    assert await place.may_come_in("carol", "first one")
    await add_token(place.folder, "read", user="carol")
    users = {one["name"]: one for one in (await place.ask("GET", USERS))["users"]}
    assert users["carol"] == {
        "name": "carol",
        "has_password": True,
        "role": "write",
        "tokens": 1,
        "last_used": None,
    }
    assert users["admin"]["role"] == "admin"
    assert (users["root"]["has_password"], users["root"]["role"]) == (False, None)
    assert await place.ask("PATCH", f"{USERS}/carol", password="next one") == {"username": "carol"}
    assert [await place.may_come_in("carol", one) for one in ("first one", "next one")] == [False, True]
    assert await place.ask("DELETE", f"{USERS}/carol") == {"username": "carol", "revoked": 1}
    assert "carol" not in place.file.read_text()
    await place.ask("DELETE", f"{USERS}/carol", 404)


async def test_somebody_whose_name_has_slashes_is_named_by_a_path(place: Place) -> None:
    await add_token(place.folder, "read", user="repo/org/app")
    assert (await place.ask("DELETE", f"{USERS}/repo/org/app"))["revoked"] == 1


async def test_users_come_in_pages(place: Place) -> None:
    whole = await place.ask("GET", USERS)
    assert (whole["after"], whole["obstacle"]) == (None, None)
    names, after = [], ""
    while after is not None:
        page = await place.ask("GET", f"{USERS}?limit=1&after={after}")
        assert len(page["users"]) == 1
        names.append(page["users"][0]["name"])
        after = page["after"]
    assert names == sorted(one["name"] for one in whole["users"])
    for query in ("limit=0", "limit=1001", "limit=x", f"after={'a' * 1025}"):
        await place.ask("GET", f"{USERS}?{query}", 400)


async def test_what_cannot_be_is_refused_and_changes_nothing(place: Place) -> None:
    before = place.file.read_text()
    for body, status in (
        ({"username": "alice", "password": "x"}, 409),
        ({"username": "new", "password": ""}, 400),
        ({"username": "new", "password": "é" * 40}, 400),
        ({"username": "new", "password": 5}, 400),
        ({"username": "new", "password": "x" * 2000}, 400),
        ({"username": "new"}, 400),
        ({"username": "new", "password": "x", "role": "admin"}, 400),
        ({"username": "a:b", "password": "x"}, 400),
        ({"username": "#a", "password": "x"}, 400),
        ({"username": "a\nroot:$2y$x", "password": "x"}, 400),
    ):
        told = await place.ask("POST", USERS, status, **body)
        assert told.keys() == {"error", "request_id"}, body
    await place.ask("PATCH", f"{USERS}/nobody", 404, password="x")
    await place.ask("PATCH", f"{USERS}/alice", 400, password="")
    await place.ask("PATCH", f"{USERS}/{'a' * 300}", 400, password="x")
    own = await place.http.delete(f"{USERS}/admin", auth=("admin", PASSWORDS["admin"]))
    assert (own.status_code, "your own account" in own.text) == (409, True)
    form = {"username": "new", "password": "x"}
    assert (await place.http.post(USERS, headers=place.admin, data=form)).status_code == 400
    assert place.file.read_text() == before


async def test_only_administrators_come_here(place: Place) -> None:
    before = place.file.read_text()
    tokens = [await add_token(place.folder, "read"), await add_token(place.folder, "write")]
    tokens.append(await add_token(place.folder, "admin", "docker:**:read,write,delete"))
    callers: list[tuple[dict[str, Any], int]] = [({}, 401), ({"auth": ("alice", PASSWORDS["alice"])}, 403)]
    callers += [({"headers": {"authorization": f"Bearer {one}"}}, 403) for one in tokens]
    for said, status in callers:
        for method, path, body in (
            ("GET", USERS, None),
            ("HEAD", USERS, None),
            ("POST", USERS, {"username": "new", "password": "x"}),
            ("PATCH", f"{USERS}/alice", {"password": "x"}),
            ("DELETE", f"{USERS}/alice", None),
            ("DELETE", f"{USERS}/nobody", None),
            ("GET", AUDIT, None),
            ("HEAD", AUDIT, None),
        ):
            answer = await place.http.request(method, path, json=body, **said)
            assert answer.status_code == status, (said, method, path)
    assert place.file.read_text() == before


async def test_no_answer_and_no_line_has_a_password(place: Place) -> None:
    secrets = ("so secret", "even more")
    texts = [await place.ask("POST", USERS, username="dora", password=secrets[0])]
    texts.append(await place.ask("POST", USERS, 409, username="dora", password=secrets[0]))
    texts.append(await place.ask("PATCH", f"{USERS}/dora", password=secrets[1]))
    texts.append(await place.ask("GET", USERS))
    texts.append(await place.ask("DELETE", f"{USERS}/dora"))
    lines: list[dict[str, Any]] = []
    while len(lines) < 4:  # which a thread writes
        lines = (await place.ask("GET", f"{AUDIT}?who=root&where=dora"))["lines"]
    assert [(one["object"], one["outcome"], one["status"]) for one in lines] == [
        ("remove user dora", "ok", 200),
        ("change the password of dora", "ok", 200),
        ("add user dora", "failed", 409),
        ("add user dora", "ok", 200),
    ]
    hashed = [line.partition(":")[2] for line in place.file.read_text().splitlines()]
    for text in (str(texts), str(lines), (place.folder / "storage" / "audit.jsonl").read_text()):
        assert not [one for one in (*secrets, *hashed) if one in text]


# -- tokens --------------------------------------------------------------------------------------------------


async def test_a_token_is_rotated_by_who_has_the_password(place: Place) -> None:
    own = {"username": "bob", "password": PASSWORDS["bob"]}
    scopes = [{"repository": "docker", "name": "team/*", "actions": ["read"]}]
    made = await place.ask("POST", "/api/tokens", **own, scopes=scopes, ttl_days=7, description="laptop")
    old = {**own, "hash_prefix": made["hash_prefix"]}
    for wrong in (
        {"ttl_days": 0},
        {"ttl_days": None},
        {"keep_hours": 721},
        {"keep_hours": True},
        {"role": "admin"},
    ):
        await place.ask("POST", ROTATE, 400, **old, **wrong)
    await place.ask("POST", ROTATE, 401, **{**old, "password": "guessed"})
    await place.ask("POST", ROTATE, 401, **{**old, "password": made["token"]})
    alice = {"username": "alice", "password": PASSWORDS["alice"]}
    await place.ask("POST", ROTATE, 404, **{**old, **alice})
    assert await place.may_come_in("bob", made["token"])
    after = await place.ask("POST", ROTATE, **old, keep_hours=1)
    assert after.keys() == {"token", "hash_prefix", "expires_at", "replaced"}
    assert after["replaced"] == made["hash_prefix"]
    for text in (made["token"], after["token"]):
        assert await place.may_come_in("bob", text)
    last = await place.ask("POST", ROTATE, **own, hash_prefix=after["hash_prefix"], ttl_days=1)
    assert [await place.may_come_in("bob", one["token"]) for one in (after, last)] == [False, True]
    listed = {
        one["hash_prefix"]: one for one in (await place.ask("POST", "/api/tokens/list", **own))["tokens"]
    }
    shown = listed[last["hash_prefix"]]
    assert (shown["scopes"], shown["description"], shown["role"]) == (scopes, "laptop", "read")
    assert shown["expires_at"] == last["expires_at"]
    assert shown["expires_at"] - shown["created_at"] == 24 * 3600
    assert after["hash_prefix"] not in listed
    assert last["token"] not in str(listed)
    await place.ask("POST", ROTATE, 404, **own, hash_prefix=after["hash_prefix"])


async def test_administrators_rotate_tokens_of_others(place: Place) -> None:
    made = await place.ask("POST", "/api/v1/admin/tokens", username="robot", role="write")
    body = {"hash_prefix": made["hash_prefix"]}
    for caller, status in ((None, 401), (("alice", PASSWORDS["alice"]), 403)):
        answer = await place.http.post(f"{TOKENS}/rotate", json=body, auth=caller)
        assert answer.status_code == status
    writer = {"authorization": f"Bearer {made['token']}"}
    assert (await place.http.post(f"{TOKENS}/rotate", json=body, headers=writer)).status_code == 403
    after = await place.ask("POST", f"{TOKENS}/rotate", **body)
    assert [await place.may_come_in("robot", one["token"]) for one in (made, after)] == [False, True]
    await place.ask("POST", f"{TOKENS}/rotate", 404, **body)
    await place.ask("POST", f"{TOKENS}/rotate", 400, hash_prefix="none")
    lines: list[dict[str, Any]] = []
    while not lines:  # which a thread writes
        lines = (await place.ask("GET", f"{AUDIT}?outcome=ok&where=rotate%20token%20{made['hash_prefix']}"))[
            "lines"
        ]
    assert "robot" in lines[0]["object"]
    assert after["token"] not in str(lines)


# -- the audit log -------------------------------------------------------------------------------------------


async def test_the_audit_log_is_filtered_and_comes_in_pages(tmp_path: Path) -> None:
    write(tmp_path)
    async with application(tmp_path, NORA_PROXY_MODE="offline", NORA_AUDIT_LOG="off") as http:
        whole = (await http.get(AUDIT)).json()
        assert (whole["mode"], whole["after"], whole["reached"]) == ("off", None, "2026-01-31T12:00:00.000Z")
        assert [one["subject"] for one in whole["lines"]] == ["", "<script>alert(1)</script>", "alice", "ci"]
        assert whole["lines"][2] == {
            "ts": "2026-01-31T12:01:00.000Z",
            "request_id": "r1",
            "client": "192.0.2.7",
            "subject": "alice",
            "method": "",
            "action": "delete",
            "registry": "docker",
            "repository": "internal",
            "object": "team/app:1",
            "digest": "",
            "outcome": "denied",
            "status": 200,
        }
        assert whole["lines"][0]["status"] is None
        found, after = [], ""
        while after is not None:
            page = (await http.get(f"{AUDIT}?limit=1&after={after}")).json()
            assert len(page["lines"]) <= 1
            found += page["lines"]
            after = page["after"]
        assert found == whole["lines"]
        for query, subjects in (
            ("who=ALICE", ["alice"]),
            ("action=write", ["ci"]),
            ("where=app&until=2026-01-31", ["alice", "ci"]),
            ("outcome=failed", ["<script>alert(1)</script>"]),
            ("since=2026-02-01T10:00:00Z", [""]),
            ("who=nobody", []),
        ):
            answer = await http.get(f"{AUDIT}?{query}")
            assert [one["subject"] for one in answer.json()["lines"]] == subjects, query
        for query in ("outcome=x", "since=x", "after=x", f"who={'a' * 300}", "limit=0", "limit=1001"):
            answer = await http.get(f"{AUDIT}?{query}")
            assert (answer.status_code, answer.json().keys()) == (400, {"error", "request_id"}), query


async def test_without_a_file_there_are_no_lines(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_PROXY_MODE="offline", NORA_AUDIT_LOG="stdout") as http:
        answer = await http.get(AUDIT)
        assert orjson.loads(answer.content) == {"lines": [], "after": None, "reached": None, "mode": "stdout"}


async def test_there_are_no_users_while_authentication_is_off(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_PROXY_MODE="offline") as http:
        for method, path in (
            ("GET", USERS),
            ("POST", USERS),
            ("PATCH", f"{USERS}/a"),
            ("DELETE", f"{USERS}/a"),
        ):
            answer = await http.request(method, path)
            assert (answer.status_code, "NORA_AUTH_ENABLED" in answer.text) == (503, True), method
