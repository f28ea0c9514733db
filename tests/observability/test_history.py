"""What is counted outlives the server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from nora.catalog.history import DAY, TEN_MINUTES
from nora.catalog.sqlite import SQLiteCatalog
from nora.observability import history
from nora.observability.history import Recorder, restore
from nora.observability.metrics import Metrics
from nora.observability.shared import SharedMemory
from tests.observability.test_metrics import parse, value
from tests.support.catalogs import prepare_catalog
from tests.support.in_process import application
from tests.support.server import running
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio


@pytest.fixture
def catalog(tmp_path: Path) -> SQLiteCatalog:
    prepare_catalog(tmp_path / "catalog")
    return SQLiteCatalog.open(tmp_path / "catalog")


def worker(memory: SharedMemory, number: int = 0) -> Metrics:
    return Metrics(memory, number, version="1", compiled=True)


async def no_disk() -> Mapping[str, float]:
    return {"nora_disk_free_bytes": 7.0}


def traffic(metrics: Metrics) -> None:
    mount = metrics.mount("toy")
    mount.observe("GET", 200, 0.1, "download")
    mount.served["here"].add(100)
    mount.served["upstream"].add(30)
    mount.received.add(5)
    metrics.count_cache("toy", "hit")
    metrics.mount("system").served["here"].add(9)


async def test_counters_go_on_where_the_server_before_stopped(catalog: SQLiteCatalog) -> None:
    wanted = {
        ("nora_downloads_total", (("registry", "toy"),)): 1,
        ("nora_served_bytes_total", (("registry", "toy"), ("origin", "here"))): 100,
        ("nora_served_bytes_total", (("registry", "toy"), ("origin", "upstream"))): 30,
        ("nora_received_bytes_total", (("registry", "toy"),)): 5,
        ("nora_cache_requests_total", (("registry", "toy"), ("result", "hit"))): 1,
    }
    for start in range(1, 4):
        memory = SharedMemory(2)
        ever = await catalog.total_history()
        restore(memory, ever.counts if ever else {})
        workers = worker(memory), worker(memory, 1)
        traffic(workers[start % 2])
        samples = parse(workers[0].render(0).decode())
        for (name, labels), number in wanted.items():
            assert value(samples, name, **dict(labels)) == number * start, name
        assert value(samples, "nora_served_bytes_total", registry="system", origin="here") == 9
        for one in workers:  # each at its end
            await Recorder(catalog, one, {1: "toy"}, no_disk).finish()
    await catalog.close()


async def test_series_that_are_no_more_are_left_out(catalog: SQLiteCatalog) -> None:
    memory = SharedMemory(1)
    restore(memory, {"gone toy": 3, "served toy": 3, "downloads toy": 2})
    assert value(parse(worker(memory).render(0).decode()), "nora_downloads_total", registry="toy") == 2


async def test_how_much_there_is_is_noted_with_what_was_counted(
    catalog: SQLiteCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(history.time, "time", lambda: now)
    memory = SharedMemory(2)
    one, other = worker(memory), worker(memory, 1)
    traffic(other)
    recorder = Recorder(catalog, one, {1: "toy"}, no_disk)
    await recorder.turn()
    (moment,) = await catalog.read_history(TEN_MINUTES, now - DAY, now + 1)
    assert moment.levels == {"artifacts": 0, "stored": 0, "artifacts toy": 0, "stored toy": 0}
    assert moment.counts == {
        "downloads toy": 1,
        "served toy here": 100,
        "served toy upstream": 30,
        "received toy": 5,
        "cache toy hit": 1,
    }
    samples = parse(other.render(0).decode())  # whichever worker is asked
    assert value(samples, "nora_disk_free_bytes") == 7
    assert ("nora_artifacts", frozenset({("registry", "toy")})) in samples
    await catalog.close()


async def test_bytes_are_counted_by_where_they_came_from(tmp_path: Path) -> None:
    async with application(tmp_path) as http:
        body = b"x" * 100_000
        assert (await http.put("/raw/a/file", content=body)).status_code == 201
        for _ in range(3):  # a stream, small ones
            assert (await http.get("/raw/a/file")).content == body
        assert (await http.head("/raw/a/file")).status_code == 200
        assert (await http.get("/raw/a/file", headers={"range": "bytes=0-9"})).status_code == 206
        samples = parse((await http.get("/metrics")).text)
    served = "nora_served_bytes_total"
    assert value(samples, "nora_received_bytes_total", registry="raw") == 100_000
    assert value(samples, served, registry="raw", origin="here") == 300_010
    assert value(samples, served, registry="raw", origin="upstream") == 0


@pytest.mark.slow
def test_a_restart_takes_nothing_from_the_counters(tmp_path: Path) -> None:
    for start in range(1, 3):
        with running(tmp_path, workers=2) as server, httpx.Client(base_url=server.url) as client:
            assert client.put(f"/raw/file-{start}", content=b"12345").status_code == 201
            assert client.get(f"/raw/file-{start}").content == b"12345"
            samples = parse(client.get("/metrics").text)
        assert value(samples, "nora_downloads_total", registry="raw") == start
        assert value(samples, "nora_uploads_total", registry="raw") == start
        assert value(samples, "nora_served_bytes_total", registry="raw", origin="here") >= 5 * start


@pytest.mark.slow
def test_a_kill_takes_what_was_not_noted_yet_and_no_more(tmp_path: Path) -> None:
    def noted() -> float:
        async def read() -> float:
            catalog = SQLiteCatalog.open(server.storage / "catalog.sqlite3")
            try:
                ever = await catalog.total_history()
            finally:
                await catalog.close()
            return 0 if ever is None else ever.counts.get("uploads raw", 0)

        return asyncio.run(read())

    with running(tmp_path, workers=2) as server:
        with httpx.Client(base_url=server.url) as client:
            for number in range(5):
                assert client.put(f"/raw/{number}", content=b"12345").status_code == 201
        wait_until(lambda: noted() == 5, "five notes", seen=noted)
        server.kill()
        server.restart()
        samples = parse(httpx.get(f"{server.url}/metrics").text)
        assert value(samples, "nora_uploads_total", registry="raw") == 5
