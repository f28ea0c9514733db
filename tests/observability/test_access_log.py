"""A line for each request, when that is asked for."""

from __future__ import annotations

import logging
from pathlib import Path

import orjson
import pytest

from nora.observability.logs import JsonFormatter, TextFormatter, configure
from tests.support.in_process import application

pytestmark = pytest.mark.anyio


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[logging.LogRecord]:
    found: list[logging.LogRecord] = []
    log = logging.getLogger("nora.access")
    monkeypatch.setattr(log, "handle", found.append)
    monkeypatch.setattr(log, "level", logging.INFO)
    return found


async def test_each_request_has_a_line_also_one_that_is_answered_again(
    tmp_path: Path, lines: list[logging.LogRecord]
) -> None:
    async with application(tmp_path, NORA_LOG_ACCESS="true", NORA_PROXY_MODE="offline") as http:
        await http.put("/raw/a.txt", content=b"12345")
        for _ in range(3):
            await http.get("/raw/a.txt?token=secret", headers={"authorization": "Bearer secret"})
            await http.get("/raw/a.txt")
        await http.get("/v2/absent/manifests/1", headers={"x-request-id": "mine"})
    told = [orjson.loads(JsonFormatter().format(one)) for one in lines]
    assert [(one["method"], one["registry"], one["status"], one["bytes"]) for one in told] == [
        ("PUT", "raw", 201, told[0]["bytes"]),
        *[("GET", "raw", 200, 5)] * 6,
        ("GET", "docker", 404, told[-1]["bytes"]),
    ]
    assert {one["path"] for one in told} == {"/raw/a.txt", "/v2/absent/manifests/1"}
    assert all(one["milliseconds"] >= 0 and one["user"] == "-" and one["client"] for one in told)
    text = TextFormatter().format(lines[1])
    assert '127.0.0.1 - "GET /raw/a.txt" raw 200 5 B' in text
    assert "secret" not in text


async def test_there_are_none_by_default(tmp_path: Path, lines: list[logging.LogRecord]) -> None:
    async with application(tmp_path) as http:
        await http.get("/health")
    assert lines == []


def test_lines_come_at_any_level(tmp_path: Path) -> None:
    root, nora = logging.getLogger(), logging.getLogger("nora")
    before = root.handlers[:], root.level, nora.level, logging.getLogger("nora.access").level
    try:
        configure("error", "json", tmp_path / "log")
        assert logging.getLogger("nora.access").isEnabledFor(logging.INFO)
        assert not nora.isEnabledFor(logging.INFO)
    finally:
        for handler in root.handlers[:]:
            handler.close()
        root.handlers[:], root.level, nora.level = before[:3]
        logging.getLogger("nora.access").setLevel(before[3])
        logging.captureWarnings(capture=False)
