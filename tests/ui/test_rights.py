"""Who sees what: as the protocols of the formats decide it, and nothing beside."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.support.access import write_users
from tests.support.in_process import add_token, application
from tests.ui.content import everything

pytestmark = pytest.mark.anyio

PAGES = (
    "/ui/",
    "/ui/formats/docker",
    "/ui/formats/pypi?q=acme",
    "/ui/formats/raw",
    "/ui/packages/docker/team/app",
    "/ui/packages/pypi/acme-lib",
    "/ui/packages/pypi/absent",
    "/ui/packages/absent/absent",
    "/ui/files/raw/builds",
    "/ui/files/raw/readme.txt",
    "/ui/search?q=team",
    "/ui/absent",
)
NAMES = ("team/app", "team/web", "acme-lib", "@team/ui", "team-utils", "team_counts", "team-lib", "builds")
CONFIG = """
[repositories.secret-wheels]
format = "pypi"
kind = "hosted"
anonymous_read = false
"""


class Place(NamedTuple):
    folder: Path
    http: httpx.AsyncClient


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def closed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """Nobody gets anything without credentials."""
    folder = tmp_path_factory.mktemp("closed")
    async with filled(folder) as http:
        yield Place(folder, http)


@asynccontextmanager
async def filled(folder: Path, **environ: str) -> AsyncIterator[httpx.AsyncClient]:
    """A registry that asks who is asking, with something of everything."""
    users = write_users(folder / "users", alice="correct horse", admin="battery staple")
    (folder / "config.toml").write_text(CONFIG)
    said = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(users),
        "NORA_PROXY_MODE": "offline",
        **environ,
    }
    async with application(folder, **said) as http:
        token = await add_token(folder, "admin", user="filler")
        for sent in everything():
            headers = {**sent.said.get("headers", {}), "authorization": f"Bearer {token}"}
            answer = await http.request(sent.method, sent.path, **{**sent.said, "headers": headers})
            assert answer.status_code < 300, (sent.path, answer.text)
        http.cookies.clear()
        yield http


async def log_in(http: httpx.AsyncClient, user: str, secret: str, **more: str) -> httpx.Response:
    return await http.post("/ui/login", data={"username": user, "password": secret, **more})


async def session(http: httpx.AsyncClient, user: str, secret: str) -> dict[str, str]:
    """The headers of a browser that has logged in."""
    answer = await log_in(http, user, secret)
    assert answer.status_code == 303, answer.text
    http.cookies.clear()
    return {"cookie": answer.headers["set-cookie"].partition(";")[0]}


async def text_of(http: httpx.AsyncClient, path: str, headers: dict[str, str] | None = None) -> str:
    answer = await http.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_without_a_session_every_page_leads_to_the_login(closed: Place) -> None:
    for path in PAGES:
        answer = await closed.http.get(path)
        if path == "/ui/absent":
            assert answer.status_code == 404
            assert not [name for name in NAMES if name in answer.text]
            continue
        assert answer.status_code == 303, path
        assert re.match(r"(\./|(\.\./)+)login(\?next=|$)", answer.headers["location"]), path
        assert not answer.content
    login = await text_of(closed.http, "/ui/login?next=search?q=a")
    assert not [name for name in NAMES if name in login]
    assert "formats/" not in login


async def test_a_password_opens_a_session_that_the_pages_take_and_no_client_does(closed: Place) -> None:
    wrong = await log_in(closed.http, "alice", "wrong")
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers
    assert "the user or the password is wrong" in wrong.text
    right = await log_in(closed.http, "alice", "correct horse", next="search?q=team")
    assert (right.status_code, right.headers["location"]) == (303, "./search?q=team")
    cookie, _, attributes = right.headers["set-cookie"].partition("; ")
    assert attributes == "Max-Age=43200; HttpOnly; SameSite=Lax"
    closed.http.cookies.clear()
    page = await text_of(closed.http, "/ui/search?q=team", {"cookie": cookie})
    assert "team/app" in page
    assert "alice" in page
    for headers in ({"cookie": cookie}, {"authorization": f"Bearer {cookie.partition('=')[2]}"}):
        assert (await closed.http.get("/v2/_catalog", headers=headers)).status_code == 401
    elsewhere = await log_in(closed.http, "alice", "correct horse", next="//evil.example")
    assert elsewhere.headers["location"] == "./"
    closed.http.cookies.clear()


async def test_logging_out_ends_the_session_everywhere(closed: Place) -> None:
    headers = await session(closed.http, "alice", "correct horse")
    key = re.search(r'name="key" value="([0-9a-f]{32})"', await text_of(closed.http, "/ui/", headers))
    assert key is not None
    for wrong in ("", "0" * 32):
        refused = await closed.http.post("/ui/logout", data={"key": wrong}, headers=headers)
        assert refused.status_code == 403
    foreign = {**headers, "origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert (await closed.http.post("/ui/logout", data={"key": key[1]}, headers=foreign)).status_code == 403
    assert (await closed.http.get("/ui/", headers=headers)).status_code == 200
    ended = await closed.http.post("/ui/logout", data={"key": key[1]}, headers=headers)
    assert ended.status_code == 303
    assert "nora_session=; Max-Age=0" in ended.headers["set-cookie"]
    closed.http.cookies.clear()
    assert (await closed.http.get("/ui/", headers=headers)).status_code == 303


async def test_other_cookies_open_nothing(closed: Place) -> None:
    token = await add_token(closed.folder, "admin")
    granted = await closed.http.get("/v2/token?scope=registry:catalog:*", auth=("ci", token))
    for text in (token, granted.json()["token"], "x", "eyJ.e30.x", '"', "a" * 20000):
        answer = await closed.http.get("/ui/", headers={"cookie": f"nora_session={text}"})
        assert answer.status_code == 303, text[:40]


async def test_a_session_ends_with_the_token_that_opened_it(closed: Place) -> None:
    token = await add_token(closed.folder, "read", user="temp")
    headers = await session(closed.http, "anything", token)
    assert "temp" in await text_of(closed.http, "/ui/", headers)
    said = {"username": "temp"}
    admin = {"authorization": f"Bearer {await add_token(closed.folder, 'admin')}"}
    revoked = await closed.http.post("/api/v1/admin/tokens/revoke", json=said, headers=admin)
    assert revoked.status_code == 200, revoked.text
    assert (await closed.http.get("/ui/", headers=headers)).status_code == 303


async def test_who_has_a_scope_sees_no_more_than_it(closed: Place) -> None:
    token = await add_token(closed.folder, "read", "docker:team/web:read", "raw:builds/7/**:read")
    headers = await session(closed.http, "scoped", token)
    bearer = {"authorization": f"Bearer {token}"}
    shown = ""
    for path in PAGES[:4] + PAGES[10:11]:
        for who in (headers, bearer):
            shown += await text_of(closed.http, path, who)
    assert "team/web" in shown
    assert not [
        name
        for name in NAMES
        if name in shown.replace("team/app:1", "") and name not in ("team/web", "builds")
    ]
    overview = await text_of(closed.http, "/ui/", headers)
    for word in ("Stored", "Served", "Hit rate", "Upstreams"):
        assert word not in overview, word
    statuses = {
        "/ui/packages/docker/team/web": 200,
        "/ui/packages/docker/team/app": 403,
        "/ui/packages/docker/team/absent": 403,
        "/ui/packages/pypi/acme-lib": 404,
        "/ui/packages/absent/x": 404,
        "/ui/files/raw/builds/7/app.tar.gz": 200,
        "/ui/files/raw/builds/8/app.tar.gz": 403,
        "/ui/files/raw/readme.txt": 403,
    }
    for path, status in statuses.items():
        answer = await closed.http.get(path, headers=headers)
        assert answer.status_code == status, path
        if status == 403:
            assert "You may not see this" in answer.text


async def test_anonymous_visitors_see_what_anonymous_clients_read(tmp_path: Path) -> None:
    environ = {"NORA_PYPI_ANONYMOUS_READ": "true", "NORA_PROXY_MODE": "online"}
    async with filled(tmp_path, **environ) as http:
        overview = await text_of(http, "/ui/")
        assert "Log in" in overview
        for word in ("Stored", "Served", "Upstreams", "secret-wheels"):
            assert word not in overview, word
        assert "acme-lib" in await text_of(http, "/ui/formats/pypi")
        assert "acme-lib" in await text_of(http, "/ui/packages/pypi/acme-lib")
        assert "Nothing of this format is open to you" in await text_of(http, "/ui/formats/docker")
        found = await text_of(http, "/ui/search?q=e")
        assert "acme-lib" in found
        assert not [name for name in NAMES if name in found and name != "acme-lib"]
        for path in ("docker/team/app", "secret-wheels/x", "absent/x"):
            assert (await http.get(f"/ui/packages/{path}")).status_code == 303, path
        known = await session(http, "alice", "correct horse")
        assert "secret-wheels" in await text_of(http, "/ui/formats/pypi", known)
        assert "Upstreams" in await text_of(http, "/ui/", known)


async def test_open_pages_show_nothing_that_is_closed(tmp_path: Path) -> None:
    async with filled(tmp_path, NORA_AUTH_PUBLIC_WEB_UI="true") as http:
        for path in PAGES:
            answer = await http.get(path)
            assert answer.status_code in (200, 303, 404), path
            assert not re.search(r'href="[^"]*(packages|files)/', answer.text), path
            assert answer.status_code == 200 or not [name for name in NAMES if name in answer.text], path
        assert "http://localhost/simple/" in await text_of(http, "/ui/")
