"""The composition root, through a real server where it takes one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from nora import __version__
from nora.auth.tokens import Tokens
from nora.blobs.leases import Leases
from nora.catalog.sqlite import SQLiteCatalog
from nora.errors import NoraError, StartError, StorageBusy, StorageFailed, StorageFull
from nora.formats import discover
from nora.observability.audit import Audit
from nora.proxy.uses import Uses
from tests.http.toy import install
from tests.support.in_process import application
from tests.support.server import Server, running
from tests.support.waiting import wait_until


def test_health_says_how_it_is(http: httpx.Client) -> None:
    body = http.get("/health").json()
    assert body["status"] == "healthy"
    assert body["version"] == __version__
    assert body["storage"] == {"backend": "local", "reachable": True}
    assert body["registries"] == {one.name: "ok" for one in discover()}
    assert body["uptime_seconds"] >= 0


def test_ready_has_no_body(http: httpx.Client) -> None:
    answer = http.get("/ready")
    assert (answer.status_code, answer.content) == (200, b"")


def test_the_front_page_names_the_formats(http: httpx.Client) -> None:
    answer = http.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert "Docker / OCI" in answer.text


@pytest.fixture(scope="module")
def debugged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("debug")
    env = install(folder) | {"NORA_LOG_LEVEL": "debug", "NORA_BODY_LIMIT": "100000"}
    with running(folder / "one", env=env) as server:
        yield server


def test_debug_logs_each_request_without_its_secrets(debugged: Server) -> None:
    headers = {"X-Request-ID": "trace-me", "Authorization": "Basic c2VjcmV0"}
    httpx.get(f"{debugged.url}/toy/get?token=hush", headers=headers, trust_env=False)
    lines = [orjson.loads(line) for line in debugged.log.read_text().splitlines() if line.startswith("{")]
    (line,) = [one for one in lines if one.get("request_id") == "trace-me" and one["logger"] == "nora.access"]
    assert line["message"].startswith("GET /toy/get 200 ")
    assert "hush" not in debugged.log.read_text()
    assert "c2VjcmV0" not in debugged.log.read_text()


def test_info_logs_no_request(nora: Server, http: httpx.Client) -> None:
    http.get("/health", headers={"X-Request-ID": "not-logged"})
    assert "not-logged" not in nora.log.read_text()


def test_no_body_is_larger_than_the_limit_of_the_server(debugged: Server) -> None:
    with httpx.Client(base_url=debugged.url, trust_env=False) as client:
        for path in ("/toy/blob", "/toy/echo", "/toy/read"):
            assert client.put(path, content=bytes(100_001)).status_code == 413
            assert client.put(path, content=iter([bytes(60_000)] * 2)).status_code == 413
        assert client.put("/toy/echo", content=bytes(100_000)).text == "100000"


@pytest.mark.slow
def test_a_storage_that_takes_no_writes_is_not_ready(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        folder = server.storage / "tmp"
        folder.rename(server.storage / "tmp.gone")
        wait_until(lambda: server.status("/ready") == 503, "/ready to say 503")
        health = httpx.get(f"{server.url}/health", trust_env=False)
        assert health.status_code == 200
        assert health.json()["status"] == "degraded"
        (server.storage / "tmp.gone").rename(folder)
        server.wait_ready()


def test_formats_are_found_in_folders_and_entry_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [one.name for one in discover()]
    assert {"docker", "pypi"} <= {*folders}
    install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    discover.cache_clear()
    try:
        assert [one.name for one in discover()] == [*folders, "toy"]
    finally:
        discover.cache_clear()


@pytest.mark.parametrize(
    ("entry", "problem"),
    [("bad = nora_nowhere:FORMAT", "bad"), ("copy = nora.formats.docker:FORMAT", "docker")],
)
def test_a_format_that_does_not_fit_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str, problem: str
) -> None:
    install(tmp_path)
    (tmp_path / "nora_toy-1.0.dist-info" / "entry_points.txt").write_text(f"[nora.formats]\n{entry}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    discover.cache_clear()
    try:
        with pytest.raises(StartError, match=problem):
            discover()
    finally:
        discover.cache_clear()


@pytest.mark.anyio
@pytest.mark.parametrize("error", [StorageFull("no room"), StorageFailed("it fails"), StorageBusy("later")])
async def test_what_cannot_be_noted_at_a_stop_keeps_nothing_else_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: NoraError, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk, say: the catalog and the audit log still finish what is queued."""

    async def refuse(_: object) -> None:
        raise error

    closed = []
    for kind in (Leases, Tokens, Uses):
        monkeypatch.setattr(kind, "flush", refuse)
    for owner in (SQLiteCatalog, Audit):
        close = owner.close

        def spy(one: Any, close: Any = close) -> Any:
            closed.append(type(one).__name__)
            return close(one)

        monkeypatch.setattr(owner, "close", spy)
    async with application(tmp_path) as http:
        assert (await http.get("/health")).status_code == 200
    assert closed == ["SQLiteCatalog", "Audit"]
    assert str(error) in caplog.text
