"""The page of tokens: who makes, rotates and ends which, with what, and that its secret is nowhere else."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.support.access import write_users
from tests.support.in_process import add_token, application
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

HOSTILE = "<script>alert(1)</script>\"'{{7*7}}\u202egnp"


class Place(NamedTuple):
    folder: Path
    http: httpx.AsyncClient


class Browser:
    """Somebody who has logged in."""

    def __init__(self, http: httpx.AsyncClient, cookie: str, key: str) -> None:
        self.http = http
        self.headers = {"cookie": cookie}
        self.key = key

    async def get(self, path: str, status: int = 200) -> str:
        answer = await self.http.get(path, headers=self.headers)
        assert answer.status_code == status, answer.text
        assert status >= 300 or answer.headers["cache-control"] == "no-store"
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())

    async def post(self, path: str, **fields: str) -> httpx.Response:
        return await self.http.post(path, data={"key": self.key, **fields}, headers=self.headers)

    async def make(self, **fields: str) -> str:
        """The secret of a new token."""
        answer = await self.post("/ui/tokens", **fields)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        found = re.search(r'id="secret">(nra_\w{49})<', answer.text)
        assert found, answer.text
        return found[1]


async def log_in(http: httpx.AsyncClient, user: str, secret: str) -> Browser:
    answer = await http.post("/ui/login", data={"username": user, "password": secret})
    assert answer.status_code == 303, answer.text
    cookie = answer.headers["set-cookie"].partition(";")[0]
    http.cookies.clear()
    page = await http.get("/ui/tokens", headers={"cookie": cookie})
    key = re.search(r'name="key" value="([0-9a-f]{32})"', page.text)
    assert key is not None
    return Browser(http, cookie, key[1])


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("tokens")
    users = write_users(folder / "users", alice="correct horse", bob="battery staple", admin="admin pass")
    said = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(users),
        "NORA_PROXY_MODE": "offline",
        "NORA_PUBLIC_URL": "https://x.example",
    }
    async with application(folder, **said) as http:
        yield Place(folder, http)


@pytest.fixture(scope="module")
async def alice(place: Place) -> Browser:
    return await log_in(place.http, "alice", "correct horse")


@pytest.fixture(scope="module")
async def admin(place: Place) -> Browser:
    return await log_in(place.http, "admin", "admin pass")


async def put(place: Place, path: str, secret: str) -> int:
    headers = {"authorization": f"Bearer {secret}"}
    return (await place.http.put(f"/raw/{path}", content=b"x", headers=headers)).status_code


async def test_a_token_is_made_shown_once_used_and_revoked(place: Place, alice: Browser) -> None:
    made = await alice.post(
        "/ui/tokens", description="for CI", rights="write", place="raw", name="team/**", days="7"
    )
    text = html.unescape(made.text)
    secret = re.search(r"nra_\w{49}", text)[0]  # type: ignore[index]
    assert "may read, write: all below team/, in the repository raw" in " ".join(text.split())
    assert f"machine x.example\nlogin alice\npassword {secret}" in text
    assert "docker login" not in text
    assert await put(place, "team/a.txt", secret) == 201
    assert await put(place, "other/a.txt", secret) == 403
    page = await alice.get("/ui/tokens")
    assert secret not in page
    assert "for CI" in page
    assert "7 days left" in page
    token_id = re.search(r"for CI ([0-9a-f]{16})", page)[1]  # type: ignore[index]
    asked = await alice.get(f"/ui/tokens/{token_id}/revoke")
    assert "This cannot be undone" in asked
    assert await put(place, "team/b.txt", secret) == 201
    ended = await alice.post(f"/ui/tokens/{token_id}/revoke")
    assert (ended.status_code, ended.headers["location"]) == (303, f"../../tokens?revoked={token_id}")
    assert await put(place, "team/c.txt", secret) == 401
    assert f"The token {token_id} is revoked" in await alice.get(f"/ui/tokens?revoked={token_id}")
    await alice.get(f"/ui/tokens/{token_id}/revoke", 404)


async def test_a_rotation_ends_the_old_one_and_says_before_what_it_does(place: Place, alice: Browser) -> None:
    old = await alice.make(description="turns", rights="write", name="turn/**", place="raw")
    token_id = re.search(r"turns ([0-9a-f]{16})", await alice.get("/ui/tokens"))[1]  # type: ignore[index]
    assert "The old one ends" in await alice.get(f"/ui/tokens/{token_id}/rotate")
    for wrong in ({"days": "0"}, {"days": "x"}, {"keep": "9999999"}, {"keep": "-1"}):
        assert (await alice.post(f"/ui/tokens/{token_id}/rotate", **wrong)).status_code == 400, wrong
    made = await alice.post(f"/ui/tokens/{token_id}/rotate", keep="0", days="")
    new = re.search(r"nra_\w{49}", made.text)[0]  # type: ignore[index]
    assert [await put(place, "turn/a.txt", one) for one in (old, new)] == [401, 201]


async def test_nobody_makes_more_than_they_may(place: Place, alice: Browser, admin: Browser) -> None:
    """By the rules of the API, each said on the page with what was entered."""
    refused = [
        ({"rights": "admin"}, 403, "alice may not make a token of the role admin"),
        ({"rights": "delete"}, 403, "alice may not make a token that deletes"),
        ({"parts": "raw:x/**:delete", "rights": "write"}, 403, "may not make a token that deletes"),
        ({"rights": "root"}, 400, "what it may do is one of"),
        ({"place": "pypi", "name": "Team_Lib"}, 400, "is spelled"),
        ({"place": "nowhere"}, 400, "there is no repository"),
        ({"parts": "raw:x:wriet"}, 400, "did you mean raw:x:write?"),
        ({"parts": "raw:x:read " * 33}, 400, "at most 32 parts"),
        ({"days": "0"}, 400, "ttl_days is a whole number from 1 to 3650"),
        ({"days": "1e9"}, 400, "are a whole number"),
        ({"description": "a" * 300}, 400, "a description has at most 256"),
    ]
    before = (await alice.get("/ui/tokens")).count("Rotate")
    for fields, status, words in refused:
        answer = await alice.post("/ui/tokens", **{"description": "kept", **fields})
        assert answer.status_code == status, (fields, answer.text)
        assert words in html.unescape(answer.text), fields
        assert "nra_" not in answer.text
    assert (await alice.get("/ui/tokens")).count("Rotate") == before
    # whose it is, is no matter of what a form says: but for administrators
    theirs = await alice.make(user="bob", description="for whom")
    who = await place.http.get("/ui/", headers={"authorization": f"Bearer {theirs}"})
    assert 'title="alice"' in who.text
    await admin.make(user="robot", rights="delete", place="raw", name="x/**")
    assert "robot" in await admin.get("/ui/tokens?user=robot")


async def test_only_administrators_see_and_end_those_of_others(
    place: Place, alice: Browser, admin: Browser
) -> None:
    await alice.make(description="only of alice")
    page = await admin.get("/ui/tokens")
    token_id = re.search(r"only of alice ([0-9a-f]{16})", page)[1]  # type: ignore[index]
    bob = await log_in(place.http, "bob", "battery staple")
    assert "only of alice" not in await bob.get("/ui/tokens?user=alice")
    for action in ("revoke", "rotate"):
        await bob.get(f"/ui/tokens/{token_id}/{action}", 404)
        assert (await bob.post(f"/ui/tokens/{token_id}/{action}")).status_code == 404
    assert "only of alice" in await alice.get("/ui/tokens")
    assert (await admin.post(f"/ui/tokens/{token_id}/revoke")).status_code == 303
    assert "only of alice" not in await alice.get("/ui/tokens")


async def test_a_form_of_another_session_changes_nothing(place: Place, alice: Browser) -> None:
    await alice.make(description="stays")
    token_id = re.search(r"stays ([0-9a-f]{16})", await alice.get("/ui/tokens"))[1]  # type: ignore[index]
    bob = await log_in(place.http, "bob", "battery staple")
    for path in ("tokens", f"tokens/{token_id}/rotate", f"tokens/{token_id}/revoke"):
        for key in ("", "0" * 32, bob.key):
            answer = await place.http.post(f"/ui/{path}", data={"key": key}, headers=alice.headers)
            assert answer.status_code == 403, (path, key)
        foreign = {**alice.headers, "origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        answer = await place.http.post(f"/ui/{path}", data={"key": alice.key}, headers=foreign)
        assert answer.status_code == 403, path
        unknown = await place.http.post(f"/ui/{path}", data={"key": alice.key})
        assert unknown.status_code == 303, path
        assert "login" in unknown.headers["location"]
    assert "stays" in await alice.get("/ui/tokens")


async def test_a_token_makes_none_but_one_of_an_administrator(place: Place) -> None:
    writer = await log_in(place.http, "x", await add_token(place.folder, "write", user="alice"))
    page = await writer.get("/ui/tokens")
    assert "makes, rotates and ends no tokens" in page
    assert "New token" not in page
    assert (await writer.post("/ui/tokens", rights="read")).status_code == 403
    root = await log_in(place.http, "x", await add_token(place.folder, "admin", user="root"))
    await root.make(user="robot2", description="of a token")
    part = await log_in(place.http, "x", await add_token(place.folder, "admin", "raw:x:read", user="root"))
    assert (await part.post("/ui/tokens", rights="read")).status_code == 403


async def test_what_others_wrote_is_text(place: Place, admin: Browser) -> None:
    await admin.make(user=f"<b>{HOSTILE[:20]}".replace(":", ""), description=HOSTILE.replace("\u202e", ""))
    answer = await place.http.get("/ui/tokens", headers=admin.headers)
    assert "<script>alert" not in answer.text
    assert "<b>" not in answer.text
    assert "{{7*7}}" in html.unescape(answer.text)


async def test_no_secret_is_in_the_log_or_in_an_address(place: Place, alice: Browser) -> None:
    secret = await alice.make(description="quiet")
    audit = place.folder / "storage" / "audit.jsonl"
    await until(lambda: audit.exists() and "create token" in audit.read_text(), "the line of the token")
    text = audit.read_text()
    assert secret not in text
    assert "nra_" not in text


async def test_tokens_that_end_soon_are_on_the_first_page(place: Place, admin: Browser) -> None:
    bob = await log_in(place.http, "bob", "battery staple")
    await bob.make(description="soon over", days="3")
    await bob.make(description="long life", days="90")
    for who in (bob, admin):
        page = await who.get("/ui/")
        assert "The token “soon over” of bob ends on" in page
        assert "long life" not in page
    alice = await log_in(place.http, "alice", "correct horse")
    assert "soon over" not in await alice.get("/ui/")


async def test_both_languages_have_the_page(place: Place, alice: Browser) -> None:
    answer = await place.http.get("/ui/tokens?lang=ru", headers=alice.headers)
    assert "Новый токен" in answer.text


async def test_without_authentication_the_page_says_so(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_PROXY_MODE="offline") as http:
        page = await http.get("/ui/tokens")
        assert "authentication is off" in page.text
        assert (await http.post("/ui/tokens", data={"rights": "admin"})).status_code == 403
