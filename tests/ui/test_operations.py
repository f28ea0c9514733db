"""What visitors do to what they look at: asked once, done as the protocol does it, told to the audit log."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.in_process import add_token
from tests.support.wheels import Release
from tests.ui.test_rights import Place, filled, session, text_of

pytestmark = pytest.mark.anyio
DELETIONS = (
    ("pypi&package=acme-lib&version=1.10", "/simple/acme-lib/acme_lib-1.10-py3-none-any.whl"),
    ("pypi&package=acme-tools", "/simple/acme-tools/acme_tools-0.1-py3-none-any.whl"),
    ("npm&package=%40team/ui&tag=next", "/npm/@team/ui/next"),
    ("npm&package=team-utils&version=0.3.0", "/npm/team-utils/0.3.0"),
    ("cargo&package=team_counts&version=0.9.0", "/cargo/api/v1/crates/team-counts/0.9.0"),
    ("maven&package=org.acme:team-lib&version=1.0", "/maven2/org/acme/team-lib/1.0/team-lib-1.0.jar"),
    ("docker&package=team/app&tag=1.0", "/v2/team/app/manifests/1.0"),
    ("raw&file=builds/7/app.tar.gz", "/raw/builds/7/app.tar.gz"),
    ("raw&file=builds/", "/raw/builds/8/app.tar.gz"),
)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A registry with something of everything."""
    folder = tmp_path_factory.mktemp("operations")
    async with filled(folder) as http:
        yield Place(folder, http)


def titles(page: str) -> list[str]:
    """What a page offers to do."""
    return re.findall(r'<a class="button[^"]*" href="[^"]*operation\?do=[^"]*">([^<]+)</a>', page)


def fields(page: str) -> dict[str, str]:
    """What the form of a page sends."""
    form = page[page.index('class="stack half"') :]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))


async def do(http: httpx.AsyncClient, query: str, who: dict[str, str], reason: str = "") -> str:
    """Follow an offer to its end; the page that comes after it."""
    asked = await http.get(f"/ui/operation?{query}", headers=who)
    assert asked.status_code == 200, asked.text
    sent = {**fields(asked.text), "reason": reason}
    done = await http.post("/ui/operation", data=sent, headers=who)
    assert done.status_code == 303, done.text
    cookies = f"{who['cookie']}; {done.headers['set-cookie'].partition(';')[0]}"
    http.cookies.clear()
    after = await http.get(f"/ui/{done.headers['location'].removeprefix('./')}", headers={"cookie": cookies})
    assert after.status_code == 200, after.text
    return after.text


async def test_what_is_done_is_what_the_protocol_does(place: Place) -> None:
    """yank, take back, delete: of a version, a file, a tag, an image, a directory."""
    http = place.http
    admin = await session(http, "admin", "battery staple")
    token = {"authorization": f"Bearer {await add_token(place.folder, 'admin')}"}
    page = await text_of(http, "/ui/packages/pypi/acme-lib", admin)
    assert titles(page)[:2] == ["Yank", "Delete"]
    after = await do(http, "do=yank&repository=pypi&package=acme-lib&version=1.10", admin, "it is broken")
    assert "acme-lib 1.10 is yanked." in after
    index = await http.get(
        "/simple/acme-lib/", headers={**token, "accept": "application/vnd.pypi.simple.v1+json"}
    )
    assert {one["filename"]: one.get("yanked", False) for one in index.json()["files"]} == {
        "acme_lib-1.10-py3-none-any.whl": "it is broken",
        "acme_lib-1.9-py3-none-any.whl": False,
    }
    page = await text_of(http, "/ui/packages/pypi/acme-lib?version=1.10", admin)
    assert "it is broken" in page
    assert "Take back the yank" in titles(page)
    assert "Yank" not in titles(page)
    await do(http, "do=unyank&repository=pypi&package=acme-lib&version=1.10", admin)
    await do(http, "do=archived&repository=pypi&package=acme-lib", admin)
    page = await text_of(http, "/ui/packages/pypi/acme-lib", admin)
    assert "Make active again" in titles(page)
    assert "archived" in page
    for query, gone in DELETIONS:
        assert (await http.get(gone, headers=token)).status_code == 200, gone
        after = await do(http, f"do=delete&repository={query}", admin)
        assert 'role="status"' in after, query
        assert (await http.get(gone, headers=token)).status_code in (403, 404), gone


async def test_nobody_is_shown_what_they_may_not_do(place: Place) -> None:
    http = place.http
    writer = await session(http, "writer", await add_token(place.folder, "write", user="writer"))
    reader = await session(http, "reader", await add_token(place.folder, "read", user="reader"))
    pages = (
        "packages/pypi/acme-lib",
        "packages/npm/@team/ui",
        "packages/docker/team/web?tag=latest",
        "files/raw/readme.txt",
    )
    for path in pages:
        assert titles(await text_of(http, f"/ui/{path}", reader)) == [], path
    shown = [titles(await text_of(http, f"/ui/{path}", writer)) for path in pages]
    assert [[one for one in found if one in ("Delete", "Block", "Quarantine")] for found in shown] == [
        [],
        [],
        [],
        [],
    ]
    assert "Deprecate" in shown[1]
    query = "do=delete&repository=pypi&package=acme-lib"
    assert (await http.get(f"/ui/operation?{query}", headers=writer)).status_code == 404
    key = fields(
        await text_of(
            http, "/ui/operation?do=deprecate&repository=npm&package=%40team/ui&version=1.0.0", writer
        )
    )["key"]
    sent = {"key": key, "do": "delete", "repository": "pypi", "package": "acme-lib"}
    assert (await http.post("/ui/operation", data=sent, headers=writer)).status_code == 403
    sent = {"key": key, "do": "block", "repository": "pypi", "package": "acme-lib", "reason": "x"}
    assert (await http.post("/ui/operation", data=sent, headers=writer)).status_code == 403
    assert (await http.get("/ui/operation?do=delete&repository=pypi&package=acme-lib")).status_code == 303


async def test_a_form_of_another_session_does_nothing(place: Place) -> None:
    http = place.http
    admin = await session(http, "admin", "battery staple")
    other = await session(http, "admin", "battery staple")
    asked = fields(
        await text_of(http, "/ui/operation?do=delete&repository=docker&package=team/web&tag=latest", other)
    )
    for key in (asked["key"], "", "0" * 32):
        refused = await http.post("/ui/operation", data={**asked, "key": key}, headers=admin)
        assert refused.status_code == 403
    foreign = {**other, "origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert (await http.post("/ui/operation", data=asked, headers=foreign)).status_code == 403
    assert "latest" in await text_of(http, "/ui/packages/docker/team/web", admin)


async def test_files_are_uploaded_from_pages(place: Place) -> None:
    """By who may publish, through the checks of the protocol, with the key of the session."""
    http = place.http
    writer = await session(http, "writer", await add_token(place.folder, "write", user="writer"))
    reader = await session(http, "reader", await add_token(place.folder, "read", user="reader"))
    token = {"authorization": f"Bearer {await add_token(place.folder, 'admin')}"}
    for path in ("formats/raw", "formats/pypi"):
        assert "Upload a file" in await text_of(http, f"/ui/{path}", writer)
        assert "Upload a file" not in await text_of(http, f"/ui/{path}", reader)
    assert "Upload a file" not in await text_of(http, "/ui/formats/docker", writer)
    assert (await http.get("/ui/upload/raw", headers=reader)).status_code == 403
    key = fields(await text_of(http, "/ui/upload/raw?directory=docs", writer))["key"]

    async def send(repository: str, name: str, body: bytes, **said: str) -> httpx.Response:
        files = {"content": (name, body, "application/octet-stream")}
        data = {"key": key, **said}
        return await http.post(f"/ui/upload/{repository}", data=data, files=files, headers=writer)

    answer = await send("raw", "C:\\notes\\<b>.txt", b"from a page", directory="docs/new")
    assert answer.headers["location"] == "../files/raw/docs/new/%3Cb%3E.txt", answer.text
    found = await http.get("/raw/docs/new/%3Cb%3E.txt", headers=token)
    assert (found.content, found.headers["content-type"]) == (b"from a page", "text/plain")
    again = await send("raw", "<b>.txt", b"other bytes", directory="docs/new")
    assert (again.status_code, "with other bytes" in again.text) == (409, True)
    assert (await send("raw", "a.txt", b"x", directory="../..")).status_code == 400
    assert (await send("raw", "a.txt", b"x", key="0" * 32)).status_code == 403
    built = Release(project="from-a-page", version="1.0").wheel()
    answer = await send("pypi", built.filename, built.body)
    assert answer.headers["location"] == "../packages/pypi/from-a-page", answer.text
    assert (await http.get(f"/simple/from-a-page/{built.filename}", headers=token)).content == built.body
    assert (await send("pypi", "nothing.txt", b"x")).status_code == 400
