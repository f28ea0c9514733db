"""The feed: who may know what has happened, by page and by API."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.access import write_users
from tests.support.in_process import add_token, application
from tests.ui.content import images, put, wheels

pytestmark = pytest.mark.anyio

CONFIG = """
[repositories.secret]
format = "raw"
anonymous_read = false
"""
PACKAGES = {"team/app", "team/web"}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("feed")


@pytest.fixture(scope="module")
async def http(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Anybody may read all but one repository; images, wheels and files have come, and gone."""
    (folder / "config.toml").write_text(CONFIG)
    env = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_ANONYMOUS_READ": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(write_users(folder / "users", admin="battery staple")),
        "NORA_PROXY_MODE": "offline",
    }
    async with application(folder, **env) as http:
        bearer = {"authorization": f"Bearer {await add_token(folder, 'admin', user='filler')}"}
        for sent in (*images(), *wheels(), put("/raw/a", b"a"), put("/r/secret/raw/unseen.txt", b"h")):
            said = {**sent.said, "headers": {**sent.said.get("headers", {}), **bearer}}
            answer = await http.request(sent.method, sent.path, **said)
            assert answer.status_code < 300, answer.text
        block = {"repository": "pypi", "name": "evil", "reason": "<script>alert(1)</script>"}
        for said in (block, {"digest": f"sha256:{'0' * 64}", "reason": "x"}):
            assert (await http.post("/api/v1/admin/blocks", json=said, headers=bearer)).status_code == 200
        await http.delete("/raw/a", headers=bearer)
        yield http


async def listed(http: httpx.AsyncClient, query: str = "", token: str = "") -> list[dict[str, Any]]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    answer = await http.get(f"/api/v1/events?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    events: list[dict[str, Any]] = answer.json()["events"]
    return events


async def test_an_event_is_told_to_who_may_read_what_it_is_about(
    http: httpx.AsyncClient, folder: Path
) -> None:
    admin = await listed(http, token=await add_token(folder, "admin"))
    assert {one["kind"] for one in admin} == {"published", "tagged", "deleted", "blocked"}
    assert {one["user"] for one in admin} == {"filler"}
    assert {"secret", "docker-hosted"} <= {one["repository"] for one in admin}
    assert None in {one["repository"] for one in admin}, "a digest is blocked everywhere"
    anybody = await listed(http)
    assert anybody
    assert {one["user"] for one in anybody} | {one["request_id"] for one in anybody} == {None}
    assert {"secret", None}.isdisjoint({one["repository"] for one in anybody})
    assert {one["package"] for one in anybody} >= PACKAGES


async def test_a_token_of_a_part_tells_of_that_part(tmp_path: Path) -> None:
    env = {"NORA_AUTH_ENABLED": "true", "NORA_AUTH_HTPASSWD_FILE": str(write_users(tmp_path / "u", a="b"))}
    async with application(tmp_path, **env) as http:
        all_of_it = await add_token(tmp_path, "write")
        for path in ("team/a", "other/b"):
            bearer = {"authorization": f"Bearer {all_of_it}"}
            assert (await http.put(f"/raw/{path}", content=b"x", headers=bearer)).status_code == 201
        part = await add_token(tmp_path, "read", "raw:team/*:read")
        assert [one["path"] for one in await listed(http, token=part)] == ["team/a"]
        assert [one["path"] for one in await listed(http, token=all_of_it)] == ["other/b", "team/a"]
        assert (await http.get("/api/v1/events")).status_code == 401
        assert (await http.get("/ui/activity")).headers["location"].endswith("login?next=activity")


async def test_events_are_read_in_pages_and_followed(http: httpx.AsyncClient) -> None:
    everything = (await http.get("/api/v1/events")).json()
    ids = [one["id"] for one in everything["events"]]
    assert ids == sorted(ids, reverse=True)
    assert everything["before"] is None
    first = (await http.get("/api/v1/events?limit=2")).json()
    assert [one["id"] for one in first["events"]] == ids[:2]
    rest = await listed(http, f"before={first['before']}")
    assert [one["id"] for one in rest] == ids[2:]
    followed, after = [], 0
    while batch := (await http.get(f"/api/v1/events?after={after}&limit=3")).json():
        if not batch["events"]:
            break
        followed += [one["id"] for one in batch["events"]]
        after = batch["after"]
    assert followed == ids[::-1]
    assert batch["after"] >= ids[0], "what may not be known is passed, too"


async def test_events_are_found_by_what_is_asked_for(http: httpx.AsyncClient, folder: Path) -> None:
    token = await add_token(folder, "read")
    rows = {
        "kind=deleted": {("raw", "deleted")},
        "kind=deleted&kind=blocked": {("raw", "deleted"), ("pypi", "blocked")},
        "format=docker&kind=published": {("docker", "published")},
        "repository=raw": {("raw", "published"), ("raw", "deleted")},
        "repository=raw&format=docker": set(),
        "repository=absent": set(),
        "user=filler&format=pypi": {("pypi", "published"), ("pypi", "blocked")},
        "user=nobody": set(),
    }
    for query, expected in rows.items():
        assert {(one["format"], one["kind"]) for one in await listed(http, query, token)} == expected, query
    assert await listed(http, "user=filler") == [], "who is not known may not find out who did what"
    for query in ("before=x", "after=1&before=2", "limit=0", f"after={2**64}"):
        assert (await http.get(f"/api/v1/events?{query}")).status_code == 400, query


async def test_the_pages_show_what_may_be_known(http: httpx.AsyncClient) -> None:
    page = (await http.get("/ui/activity")).text
    assert 'href="./packages/docker/team/app"' in page
    assert "filler" not in page
    assert "unseen.txt" not in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert "Who</th>" not in page
    await http.post("/ui/login", data={"username": "admin", "password": "battery staple"})
    try:
        page = (await http.get("/ui/activity?kind=deleted&lang=ru")).text
        assert re.search(r"удалено\s*</span>", page)
        assert "filler" in page
        assert 'value="deleted" selected' in page
        assert "team/app" not in page
        assert "Ничего такого" in (await http.get("/ui/activity?kind=yanked&lang=ru")).text
        assert "Activity</h2>" in (await http.get("/ui/")).text
        assert (await http.get("/ui/activity?before=x")).status_code == 400
    finally:
        http.cookies.clear()
