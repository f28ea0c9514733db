"""The pages of users and of one's own account, and their JSON API: who may, what changes, what is refused."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import httpx
import pytest

from nora.auth import users as users_room
from tests.support.access import write_users
from tests.support.in_process import add_token, application
from tests.ui.test_tokens import Browser, log_in

pytestmark = pytest.mark.anyio

HOSTILE = "<script>alert(1)</script>{{7*7}}"
PASSWORDS = {"alice": "correct horse", "bob": "battery staple", "eve": "old one", "admin": "admin pass"}


class Place(NamedTuple):
    folder: Path
    file: Path
    http: httpx.AsyncClient


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """Where a changed file is seen at once, and hashes are cheap."""
    folder = tmp_path_factory.mktemp("users")
    file = write_users(folder / "users", **PASSWORDS)
    said = {"NORA_AUTH_ENABLED": "true", "NORA_AUTH_HTPASSWD_FILE": str(file), "NORA_PROXY_MODE": "offline"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(users_room, "COST", 4)
        patch.setattr("nora.auth.htpasswd.LOOK_SECONDS", 0)
        async with application(folder, **said) as http:
            yield Place(folder, file, http)


async def may_log_in(place: Place, user: str, password: str) -> bool:
    answer = await place.http.post("/ui/login", data={"username": user, "password": password})
    place.http.cookies.clear()
    return answer.status_code == 303


async def test_an_administrator_adds_changes_and_removes(place: Place) -> None:
    admin = await log_in(place.http, "admin", PASSWORDS["admin"])
    added = await admin.post("/ui/users", name="carol", password="first one", again="first one")
    assert (added.status_code, added.headers["location"]) == (303, "./users?did=added&name=carol")
    assert "carol may log in from now on" in await admin.get("/ui/users?did=added&name=carol")
    assert await may_log_in(place, "carol", "first one")
    carol = await log_in(place.http, "carol", "first one")
    await carol.make(description="of carol")
    assert "carol yes reads and writes 1 never" in await admin.get("/ui/users")
    assert "Sessions that were opened with the old password end" in await admin.get(
        "/ui/users/password?name=carol"
    )
    changed = await admin.post("/ui/users/password?name=carol", password="next one", again="next one")
    assert changed.status_code == 303
    assert (await place.http.get("/ui/", headers=carol.headers)).status_code == 303
    assert [await may_log_in(place, "carol", one) for one in ("first one", "next one")] == [False, True]
    assert "1 token of this user ends at once" in await admin.get("/ui/users/remove?name=carol")
    assert (await admin.post("/ui/users/remove?name=carol")).status_code == 303
    assert "carol" not in place.file.read_text()
    assert "carol yes" not in await admin.get("/ui/users")
    await admin.get("/ui/users/remove?name=carol", 404)


async def test_what_cannot_be_is_refused_and_changes_nothing(place: Place) -> None:
    admin = await log_in(place.http, "admin", PASSWORDS["admin"])
    before = place.file.read_text()
    for fields, status in (
        ({"name": "alice", "password": "x", "again": "x"}, 409),
        ({"name": "new", "password": "x", "again": "y"}, 400),
        ({"name": "new", "password": "", "again": ""}, 400),
        ({"name": "new", "password": "é" * 40, "again": "é" * 40}, 400),
        ({"name": "a:b", "password": "x", "again": "x"}, 400),
        ({"name": "#a", "password": "x", "again": "x"}, 400),
        ({"name": "a\nroot:$2y$x", "password": "x", "again": "x"}, 400),
        ({"name": "", "password": "x", "again": "x"}, 400),
    ):
        answer = await admin.post("/ui/users", **fields)
        assert answer.status_code == status, fields
        assert "That was refused" in answer.text
    own = await admin.post("/ui/users/remove?name=admin")
    assert (own.status_code, "this is your own account" in own.text) == (409, True)
    for path in ("/ui/users", "/ui/users/password?name=alice", "/ui/users/remove?name=alice"):
        for key in ("", "0" * 32):
            answer = await place.http.post(path, data={"key": key}, headers=admin.headers)
            assert answer.status_code == 403, path
    assert place.file.read_text() == before


async def test_only_administrators_come_here(place: Place) -> None:
    alice = await log_in(place.http, "alice", PASSWORDS["alice"])
    reader = {"authorization": f"Bearer {await add_token(place.folder, 'write')}"}
    before = place.file.read_text()
    for path in ("/ui/users", "/ui/users/password?name=bob", "/ui/users/remove?name=bob", "/ui/audit"):
        await alice.get(path, 403)
        assert (await place.http.get(path)).status_code == 303, path
        if path != "/ui/audit":
            assert (await alice.post(path, password="x", again="x", name="x")).status_code == 403, path
            assert (await place.http.post(path, headers=reader, data={"name": "x"})).status_code == 403
    overview = html.unescape((await place.http.get("/ui/tokens", headers=alice.headers)).text)
    assert 'href="./users"' not in overview
    assert 'href="./audit"' not in overview
    assert 'href="./account"' in overview
    assert place.file.read_text() == before


async def test_whoever_knows_their_password_changes_it(place: Place) -> None:
    eve = await log_in(place.http, "eve", PASSWORDS["eve"])
    other = await log_in(place.http, "eve", PASSWORDS["eve"])
    assert "eve" in await eve.get("/ui/account")
    wrong = await eve.post("/ui/account", current="guessed", password="new one", again="new one")
    assert wrong.status_code == 401
    token = await eve.make(description="no password")
    with_token = await eve.post("/ui/account", current=token, password="new one", again="new one")
    assert with_token.status_code == 400
    unlike = await eve.post("/ui/account", current=PASSWORDS["eve"], password="new one", again="another")
    assert unlike.status_code == 400
    changed = await eve.post("/ui/account", current=PASSWORDS["eve"], password="new one", again="new one")
    assert changed.status_code == 200, changed.text
    assert "nora_session=; Max-Age=0" in changed.headers["set-cookie"]
    for one in (eve, other):
        assert (await place.http.get("/ui/account", headers=one.headers)).status_code == 303
    assert [await may_log_in(place, "eve", one) for one in (PASSWORDS["eve"], "new one")] == [False, True]
    assert (await place.http.get("/v2/", headers={"authorization": f"Bearer {token}"})).status_code == 200
    by_token = await log_in(place.http, "x", await add_token(place.folder, "admin", user="root"))
    assert (await by_token.post("/ui/account", current="x", password="y", again="y")).status_code == 403


async def test_a_file_of_somebody_else_is_shown_and_not_changed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users_room.os, "access", lambda path, mode: False)
    admin = await log_in(place.http, "admin", PASSWORDS["admin"])
    page = await admin.get("/ui/users")
    assert "Passwords cannot be changed here: the server may not write in" in page
    assert "New user" in page
    assert "Change the password" not in page
    assert "Ask your administrator" in await admin.get("/ui/account")


@pytest.mark.parametrize("language", ["en", "ru"])
async def test_hostile_names_are_text(place: Place, language: str) -> None:
    await add_token(place.folder, "read", user=HOSTILE)
    admin: Browser = await log_in(place.http, "admin", PASSWORDS["admin"])
    for path in ("/ui/users", f"/ui/users/remove?name={quote(HOSTILE)}"):
        answer = await place.http.get(
            f"{path}{'&' if '?' in path else '?'}lang={language}", headers=admin.headers
        )
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert HOSTILE in html.unescape(answer.text)
