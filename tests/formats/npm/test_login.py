"""From a password to a token, in a terminal and in a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.access import PASSWORD, USER, write_users
from tests.support.in_process import application
from tests.support.npm_registry import Built

pytestmark = pytest.mark.anyio
LOGIN = f"/npm/-/user/org.couchdb.user:{USER}"


@pytest.fixture
async def closed(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Nobody gets anything without credentials."""
    users = write_users(tmp_path / "users", **{USER: PASSWORD})
    env = {"NORA_AUTH_ENABLED": "true", "NORA_AUTH_HTPASSWD_FILE": str(users), "NORA_PROXY_MODE": "offline"}
    async with application(tmp_path, **env) as http:
        yield http


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def logged_in(http: httpx.AsyncClient) -> str:
    body = {"_id": f"org.couchdb.user:{USER}", "name": USER, "password": PASSWORD, "type": "user"}
    answer = await http.put(LOGIN, json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["ok"] is True
    token: str = answer.json()["token"]
    return token


async def test_a_password_gets_a_token(closed: httpx.AsyncClient) -> None:
    anonymous = await closed.get("/npm/-/whoami")
    assert (anonymous.status_code, "www-authenticate" in anonymous.headers) == (401, True)
    token = await logged_in(closed)
    assert (await closed.get("/npm/-/whoami", headers=bearer(token))).json() == {"username": USER}
    assert (await closed.get("/npm/-/npm/v1/user", headers=bearer(token))).json()["name"] == USER
    again = await closed.put(LOGIN, json={"name": USER, "password": token})
    assert again.json()["token"] == token
    published = await closed.put("/npm/mine", json=Built("mine").publication(), headers=bearer(token))
    document = (await closed.get("/npm/mine", headers=bearer(token))).json()
    assert (published.status_code, document["maintainers"]) == (201, [{"name": USER, "email": ""}])
    assert document["versions"]["1.0.0"]["_npmUser"]["name"] == USER
    out = await closed.delete(f"/npm/-/user/token/{token}", headers=bearer(token))
    assert out.status_code == 200
    assert (await closed.get("/npm/-/whoami", headers=bearer(token))).status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": USER, "password": "wrong"}, 401),
        ({"name": "other", "password": PASSWORD}, 400),
        ({"name": USER}, 400),
        ({"name": USER, "password": ""}, 400),
        ({"name": USER, "password": 1}, 400),
        ([], 400),
    ],
)
async def test_nobody_else_gets_one(closed: httpx.AsyncClient, body: object, status: int) -> None:
    assert (await closed.put(LOGIN, json=body)).status_code == status


async def test_tokens_are_made_listed_and_revoked(closed: httpx.AsyncClient) -> None:
    mine = bearer(await logged_in(closed))
    tokens = "/npm/-/npm/v1/tokens"
    made = await closed.post(tokens, headers=mine, json={"password": PASSWORD, "readonly": True})
    assert made.status_code == 200, made.text
    text, key = made.json()["token"], made.json()["key"]
    reader = bearer(text)
    assert (await closed.get("/npm/-/whoami", headers=reader)).json() == {"username": USER}
    denied = await closed.put("/npm/other", json=Built("other").publication(), headers=reader)
    assert denied.status_code == 403
    listed = (await closed.get(tokens, headers=mine)).json()
    assert {one["key"]: one["readonly"] for one in listed["objects"]}[key] is True
    assert text not in str(listed)
    assert (await closed.delete(f"{tokens}/token/{key}", headers=mine)).status_code == 200
    assert (await closed.get("/npm/-/whoami", headers=reader)).status_code == 401
    assert (await closed.delete(f"{tokens}/token/{key}", headers=mine)).status_code == 404
    for body in ({}, {"password": "wrong"}, {"password": PASSWORD, "cidr_whitelist": ["10.0.0.0/8"]},
                 {"password": PASSWORD, "expires": 0}):  # fmt: skip
        assert (await closed.post(tokens, headers=mine, json=body)).status_code in (400, 401)


async def test_a_browser_gets_the_token_for_npm(closed: httpx.AsyncClient) -> None:
    begun = (await closed.post("/npm/-/v1/login", json={})).json()
    login, done = begun["loginUrl"], begun["doneUrl"]
    waiting = await closed.get(done)
    assert (waiting.status_code, int(waiting.headers["retry-after"]) > 0) == (202, True)
    page = await closed.get(login)
    assert page.headers["content-type"].startswith("text/html")
    assert 'type="password"' in page.text
    wrong = await closed.post(login, data={"username": USER, "password": "<wrong>"})
    assert (wrong.status_code, "<wrong>" in wrong.text) == (401, False)
    assert (await closed.get(done)).status_code == 202
    right = await closed.post(login, data={"username": USER, "password": PASSWORD})
    assert (right.status_code, "logged in" in right.text) == (200, True)
    token = (await closed.get(done)).json()["token"]
    assert (await closed.get("/npm/-/whoami", headers=bearer(token))).json() == {"username": USER}
    assert token not in right.text
    assert token not in login + done
    twice = await closed.post(login, data={"username": USER, "password": PASSWORD})
    assert twice.status_code == 400


async def test_addresses_of_logins_are_made_here(closed: httpx.AsyncClient) -> None:
    begun = (await closed.post("/npm/-/v1/login", json={})).json()
    for url in (begun["loginUrl"], begun["doneUrl"]):
        signed = url.rpartition("=")[2]
        text, ends_at, signature = signed.split(".")
        for bad in ("", ".", "..", "x", text, f"{text}.{ends_at}", f"{text}.ffffffff.{signature}",
                    f"x{text}.{ends_at}.{signature}", f"{text}.zz.{signature}"):  # fmt: skip
            answer = await closed.get(url.replace(signed, bad))
            assert answer.status_code == 404, bad


async def test_a_login_that_takes_too_long_is_over(
    closed: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nora.formats.npm.web_login.LIFETIME_SECONDS", -1)
    begun = (await closed.post("/npm/-/v1/login", json={})).json()
    for url in begun.values():
        assert (await closed.get(url)).status_code == 404


async def test_without_authentication_any_token_will_do(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_PROXY_MODE="offline") as http:
        assert (
            await http.post("/npm/-/v1/login", json={})
        ).status_code == 404  # npm asks for a password then
        answer = await http.put(LOGIN, json={"name": USER, "password": "whatever"})
        assert (answer.status_code, bool(answer.json()["token"])) == (201, True)
        assert (await http.get("/npm/-/whoami", headers=bearer(answer.json()["token"]))).status_code == 200
        assert (await http.get("/npm/-/npm/v1/tokens")).status_code == 404


async def test_maintainers_keep_others_out(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users", alice="a", bob="b", carol="c")
    env = {"NORA_AUTH_ENABLED": "true", "NORA_AUTH_HTPASSWD_FILE": str(users), "NORA_PROXY_MODE": "offline"}
    async with application(tmp_path, **env) as http:
        for user, version, status in (("alice", "1.0.0", 201), ("bob", "1.1.0", 201)):
            answer = await http.put(
                "/npm/lib", json=Built("lib", version).publication(), auth=(user, user[0])
            )
            assert answer.status_code == status, answer.text
        body = {"_id": "lib", "maintainers": [{"name": "alice"}]}
        assert (await http.put("/npm/lib", json=body, auth=("alice", "a"))).status_code == 201
        answer = await http.put("/npm/lib", json=Built("lib", "2.0.0").publication(), auth=("bob", "b"))
        assert (answer.status_code, "npm owner add bob" in answer.json()["error"]) == (403, True)
        tag = await http.put("/npm/-/package/lib/dist-tags/next", json="1.0.0", auth=("bob", "b"))
        assert tag.status_code == 403
        for said, status in (
            ({"maintainers": [{"name": "bob"}]}, 403),
            ({"versions": {"1.0.0": {"deprecated": "x"}}}, 403),
            ({"users": {"bob": True}}, 201),  # npm star
        ):
            answer = await http.put("/npm/lib", json={"_id": "lib", **said}, auth=("bob", "b"))
            assert answer.status_code == status, said
        assert (await http.get("/npm/lib", auth=("bob", "b"))).json()["users"] == {"bob": True}
        assert (
            await http.put("/npm/lib", json=Built("lib", "2.0.0").publication(), auth=("alice", "a"))
        ).status_code == 201
