"""The page of the audit log, its export and its JSON API."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import orjson
import pytest

from tests.support.in_process import application

pytestmark = pytest.mark.anyio

LINES = [
    ("2026-01-31T12:00:00.000Z", "ci", "write", "internal", "team/app:1", "ok"),
    ("2026-01-31T12:01:00.000Z", "alice", "delete", "internal", "team/app:1", "denied"),
    ("2026-02-01T09:00:00.000Z", "<script>alert(1)</script>", "admin", "", "\u202e{{7*7}}", "failed"),
]


def write(folder: Path) -> None:
    names = ("ts", "subject", "action", "repository", "object", "outcome")
    more = {"registry": "docker", "client": "192.0.2.7", "status": 200, "request_id": "r1", "digest": ""}
    lines = [orjson.dumps({**dict(zip(names, one, strict=True)), **more}) for one in LINES]
    lines += [b"{}", b"no json", orjson.dumps({"ts": "2026-02-01T10:00:00.000Z"}), b'{"ts": "half']
    storage = folder / "storage"
    storage.mkdir(exist_ok=True)
    (storage / "audit.jsonl").write_bytes(b"\n".join(lines))


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def http(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("audit")
    write(folder)
    async with application(folder, NORA_PROXY_MODE="offline", NORA_AUDIT_LOG="off") as client:
        yield client


async def test_the_page_shows_lines_and_says_where_they_go(http: httpx.AsyncClient) -> None:
    answer = await http.get("/ui/audit")
    assert answer.status_code == 200, answer.text
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())
    assert "NORA_AUDIT_LOG is off" in text
    assert text.index("2026-02-01 09:00:00 UTC") < text.index("2026-01-31 12:00:00 UTC")
    assert "alice 192.0.2.7 delete internal team/app:1 denied" in text
    assert "<script>alert" not in answer.text
    assert "\u202e" not in answer.text
    found = await http.get("/ui/audit?who=ALICE&lang=ru")
    assert "alice" in found.text
    assert ">ci<" not in found.text
    for query in ("outcome=x", "since=x", "after=x", f"who={'a' * 300}&until=x"):
        wrong = await http.get(f"/ui/audit?{query}")
        assert wrong.status_code == 400, query
        assert "That was refused" in wrong.text
    nothing = await http.get("/ui/audit?who=nobody")
    assert "No line is like that" in nothing.text


async def test_the_export_is_the_lines_that_are_asked_for(http: httpx.AsyncClient) -> None:
    for path in ("/ui/audit/export",):
        answer = await http.get(f"{path}?where=app&until=2026-01-31")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/jsonl"
        assert "attachment" in answer.headers["content-disposition"]
        subjects = [orjson.loads(one)["subject"] for one in answer.content.splitlines()]
        assert subjects == ["alice", "ci"], path
        assert (await http.get(f"{path}?outcome=x")).status_code == 400


async def test_without_a_file_the_page_says_so(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_PROXY_MODE="offline", NORA_AUDIT_LOG="stdout") as http:
        page = await http.get("/ui/audit")
        assert "NORA_AUDIT_LOG is stdout" in page.text
        assert "There is no file of them here yet" in page.text
