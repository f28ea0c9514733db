"""Metrics, in process and over four workers of a real server."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from nora.observability.metrics import CONTENT_TYPE, Metrics
from nora.observability.shared import SharedMemory
from tests.http.toy import install
from tests.support.oci import Repository
from tests.support.server import running
from tests.support.waiting import wait_until

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse(page: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


def requests(samples: Samples, registry: str, method: str, status: int) -> float:
    return value(samples, "nora_http_requests_total", registry=registry, method=method, status=str(status))


def two_workers() -> tuple[Metrics, Metrics]:
    memory = SharedMemory(2)
    return tuple(Metrics(memory, number, version="1.2", compiled=True) for number in (0, 1))  # type: ignore[return-value]


def test_counters_and_histograms_are_summed() -> None:
    one, two = two_workers()
    one.mount("toy").observe("GET", 200, 0.0001, "download")
    two.mount("toy").observe("GET", 200, 0.3, "download")
    two.mount("toy").observe("PUT", 201, 99.0, "upload")
    two.count_storage("put", "ok")
    samples = parse(one.render(0).decode())
    assert requests(samples, "toy", "GET", 200) == 2
    assert value(samples, "nora_downloads_total", registry="toy") == 2
    assert value(samples, "nora_uploads_total", registry="toy") == 1
    assert value(samples, "nora_storage_operations_total", operation="put", status="ok") == 1
    name, labels = "nora_http_request_duration_seconds", {"registry": "toy", "method": "GET"}
    assert value(samples, f"{name}_count", **labels) == 2
    assert value(samples, f"{name}_sum", **labels) == 0.3001
    assert value(samples, f"{name}_bucket", **labels, le="0.001") == 1
    assert value(samples, f"{name}_bucket", **labels, le="0.25") == 1
    assert value(samples, f"{name}_bucket", **labels, le="0.5") == 2
    assert value(samples, f"{name}_bucket", **labels, le="+Inf") == 2
    assert value(samples, f"{name}_bucket", registry="toy", method="PUT", le="10.0") == 0
    assert value(samples, f"{name}_bucket", registry="toy", method="PUT", le="+Inf") == 1


def test_gauges_are_those_of_the_worker_that_is_asked() -> None:
    one, two = two_workers()
    one.upload_sessions.set(5)
    two.upload_sessions.set(2)
    assert value(parse(two.render(0).decode()), "nora_upload_sessions") == 2


def test_the_build_is_told() -> None:
    samples = parse(two_workers()[0].render(0).decode())
    assert value(samples, "nora_build_info", version="1.2", speedups="compiled") == 1
    assert value(samples, "nora_uptime_seconds") > 0


def test_only_what_succeeds_is_traffic() -> None:
    one, _ = two_workers()
    mount = one.mount("toy")
    mount.observe("GET", 404, 0.1, "download")
    mount.observe("HEAD", 200, 0.1, "download")
    mount.observe("GET", 304, 0.1, "download")
    assert value(parse(one.render(0).decode()), "nora_downloads_total", registry="toy") == 1


def test_methods_that_a_client_makes_up_share_a_label() -> None:
    one, _ = two_workers()
    for number in range(50):
        one.mount("toy").observe(f"M{number}", 405, 0.1, None)
    assert requests(parse(one.render(0).decode()), "toy", "other", 405) == 50


@pytest.mark.slow
def test_any_worker_shows_exactly_what_all_have_done(tmp_path: Path) -> None:
    """A format that was only discovered, four workers, three of which are killed on the way."""
    with running(tmp_path / "four", workers=4, env=install(tmp_path)) as server:
        for turn in range(4):
            with httpx.Client(base_url=server.url, trust_env=False) as client:
                for _ in range(100):
                    assert client.get("/toy/get").status_code == 200
                for _ in range(5):
                    assert client.put("/toy/put", content=b"x").status_code == 201
                for _ in range(3):
                    assert client.put("/toy/refuse").status_code == 409
                worker = int(client.get("/toy/pid").text)
            if turn < 3:
                os.kill(worker, signal.SIGKILL)
                wait_until(lambda: len({*server.children()} - {worker}) == 4, "another worker")  # noqa: B023
                server.wait_ready()
        pages = []
        for _ in range(8):  # a new connection each: most workers are asked
            answer = httpx.get(f"{server.url}/metrics", trust_env=False)
            assert answer.headers["content-type"].encode() == CONTENT_TYPE
            pages.append(parse(answer.text))
    for number, samples in enumerate(pages):
        assert requests(samples, "toy", "GET", 200) == 400 + 4
        assert requests(samples, "toy", "PUT", 201) == 20
        assert requests(samples, "toy", "PUT", 409) == 12
        assert value(samples, "nora_downloads_total", registry="toy") == 400
        assert value(samples, "nora_uploads_total", registry="toy") == 20
        assert requests(samples, "system", "GET", 200) >= number
        assert value(samples, "nora_uploads_total", registry="docker") == 0


@pytest.mark.slow
def test_images_are_counted_by_every_worker_alike(tmp_path: Path) -> None:
    """1,000 pulls, 10 pushes and 5 refusals over four workers; blobs are parts of them and no pulls."""
    with running(tmp_path, workers=4) as server:
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            image = Repository(client, "team/app").push_image("0")
        for turn in range(10):
            with httpx.Client(base_url=server.url, trust_env=False) as client:  # perhaps another worker
                repo = Repository(client, "team/app")
                if turn:
                    repo.push_manifest(str(turn), image.manifest)
                for _ in range(100):
                    assert repo.get_manifest("0").status_code == 200
                if turn % 2:
                    assert repo.put_manifest("bad", b"{}").status_code == 400
        pages = [parse(httpx.get(f"{server.url}/metrics", trust_env=False).text) for _ in range(8)]
    for samples in pages:
        assert requests(samples, "docker", "GET", 200) == 1000
        assert requests(samples, "docker", "PUT", 400) == 5
        assert requests(samples, "docker", "PUT", 201) == 10 + len((image.config, *image.layers))
        assert value(samples, "nora_downloads_total", registry="docker") == 1000
        assert value(samples, "nora_uploads_total", registry="docker") == 10


def test_of_some_numbers_the_worst_counts() -> None:
    one, two = two_workers()
    one.gauge("nora_circuit_breaker_state", ("host", "x")).set(2)
    two.gauge("nora_circuit_breaker_state", ("host", "x")).set(1)
    name = "nora_circuit_breaker_state"
    assert value(parse(one.render(0).decode()), name, host="x") == 2
    assert value(parse(two.render(0).decode()), name, host="x") == 2


def test_a_worker_that_died_leaves_nothing_bad_behind() -> None:
    memory = SharedMemory(1)
    dead = Metrics(memory, 0, version="1.2", compiled=True)
    dead.gauge("nora_circuit_breaker_state", ("host", "x")).set(2)
    dead.counter("nora_upstream_retries", ("host", "x")).add()
    samples = parse(Metrics(memory, 0, version="1.2", compiled=True).render(0).decode())
    assert value(samples, "nora_circuit_breaker_state", host="x") == 0
    assert value(samples, "nora_upstream_retries_total", host="x") == 1


def test_of_others_what_was_set_last(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = two_workers()
    name, now = "nora_upstream_ratelimit_remaining", iter(range(1, 99))
    monkeypatch.setattr("nora.observability.metrics.time.monotonic", lambda: float(next(now)))
    for metrics, number in ((one, 76), (two, 75), (one, 90)):
        metrics.latest(name, ("host", "x"))(number)
    two.latest(name, ("host", "y"))(3)
    samples = parse(two.render(0).decode())
    assert value(samples, name, host="x") == 90
    assert value(samples, name, host="y") == 3
    assert {key for key, _ in samples if key.startswith(name)} == {name}


def test_what_the_cache_does_is_counted() -> None:
    one, two = two_workers()
    for metrics in (one, one, two):
        metrics.count_cache("pypi", "hit")
    two.count_cache("docker", "miss")
    samples = parse(one.render(0).decode())
    assert value(samples, "nora_cache_requests_total", registry="pypi", result="hit") == 3
    assert value(samples, "nora_cache_requests_total", registry="docker", result="miss") == 1
