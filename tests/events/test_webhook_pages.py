"""Webhooks for administrators: the page, its forms, and the API."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import orjson
import pytest

from tests.support.access import write_users
from tests.support.in_process import add_token, application

pytestmark = pytest.mark.anyio

SECRET = "a secret of the two sides"
CONFIG = f"""
[[events.webhooks]]
name = "scanner"
url = "https://scanner.example.com/path-that-is-a-secret?key=too"
secret = "{SECRET}"
kinds = ["published", "deleted"]
repositories = ["raw"]
[[events.webhooks]]
name = "quiet"
url = "https://quiet.example.com/"
secret = "{SECRET}"
enabled = false
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(tmp_path, monkeypatch) as client:
        yield client


@asynccontextmanager
async def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """Nothing is delivered: nobody's turn comes."""
    monkeypatch.setattr("nora.events.service.TURN_SECONDS", 3600.0)
    (tmp_path / "config.toml").write_text(CONFIG)
    users = write_users(tmp_path / "users", admin="battery staple", alice="correct horse")
    env = {"NORA_AUTH_ENABLED": "true", "NORA_AUTH_HTPASSWD_FILE": str(users), "NORA_PROXY_MODE": "offline"}
    async with application(tmp_path, **env) as http:
        http.headers["authorization"] = f"Bearer {await add_token(tmp_path, 'admin')}"
        yield http


async def sent(http: httpx.AsyncClient, name: str = "scanner") -> httpx.Response:
    return await http.post("/api/v1/admin/webhooks/test", json={"webhook": name})


def key_of(page: str) -> str:
    found = re.search(r'name="key" value="([^"]+)"', page)
    assert found is not None
    return found[1]


async def test_the_api_tells_how_webhooks_are_and_nothing_that_is_secret(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/v1/admin/webhooks")
    first, second = answer.json()["webhooks"]
    assert (first["name"], first["site"], first["enabled"]) == (
        "scanner",
        "https://scanner.example.com",
        True,
    )
    assert (first["waiting"], first["delivered"], second["enabled"]) == (0, None, False)
    assert (await sent(http, "quiet")).status_code == 409
    assert (await sent(http, "absent")).status_code == 404
    for path in ("/api/v1/admin/webhooks/deliveries?webhook=absent", "/ui/webhooks?webhook=absent"):
        assert (await http.get(path)).status_code == 404
    for path in ("/api/v1/admin/webhooks/deliveries", "/ui/webhooks?webhook=scanner&before=x"):
        assert (await http.get(path)).status_code == 400
    for text in (answer.text, (await http.get("/ui/webhooks")).text):
        assert SECRET not in text
        assert "path-that-is-a-secret" not in text


async def test_a_test_waits_until_it_is_delivered(http: httpx.AsyncClient) -> None:
    uid = (await sent(http)).json()["delivery"]
    listed = (await http.get("/api/v1/admin/webhooks/deliveries?webhook=scanner&limit=1")).json()
    [one] = listed["deliveries"]
    assert (one["delivery"], one["kind"], one["state"], one["tries"]) == (uid, "test", "waiting", 0)
    assert listed["before"]
    retried = await http.post("/api/v1/admin/webhooks/retry", json={"delivery": uid})
    assert (retried.status_code, "that is over" in retried.text) == (404, True)


async def test_administrators_use_the_page_and_leave_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, monkeypatch) as http:
        del http.headers["authorization"]
        assert "login?next=webhooks" in (await http.get("/ui/webhooks")).headers["location"]
        await http.post("/ui/login", data={"username": "alice", "password": "correct horse"})
        assert (await http.get("/ui/webhooks")).status_code == 403
        assert "Webhooks" not in (await http.get("/ui/")).text
        http.cookies.clear()
        await http.post("/ui/login", data={"username": "admin", "password": "battery staple"})
        page = (await http.get("/ui/webhooks?lang=ru")).text
        assert "ещё ничего не отправлено" in page
        assert "выключен" in page
        for key, status in (("", 403), ("of-another", 403), (key_of(page), 303)):
            answer = await http.post("/ui/webhooks/test", data={"key": key, "webhook": "scanner"})
            assert answer.status_code == status, key
        assert answer.headers["location"].endswith("webhooks?webhook=scanner")
        page = (await http.get("/ui/webhooks")).text
        assert re.search(r"waits\s*</span>", page)
        answer = await http.post("/ui/webhooks/retry", data={"key": key_of(page), "delivery": "absent"})
        assert answer.status_code == 404
    lines = [orjson.loads(line) for line in (tmp_path / "storage/audit.jsonl").read_bytes().splitlines()]
    assert ("admin", "test the webhook scanner", "ok") in [
        (one["subject"], one["object"], one["outcome"]) for one in lines
    ]
