"""Servers that deliver, of two workers, and what is left when they are killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest

from tests.support.answers import Answer
from tests.support.server import Server, running
from tests.support.upstream import Upstream, upstream

pytestmark = pytest.mark.slow

HOOK = "/hook"
CONFIG = """
[[events.webhooks]]
name = "hook"
url = "{url}/hook"
secret = "a secret of the two sides"
"""
FILES = 20


@pytest.fixture
def receiver() -> Iterator[Upstream]:
    with upstream() as up:
        up.serve(HOOK, Answer(status=204))
        yield up


@pytest.fixture
def server(tmp_path: Path, receiver: Upstream) -> Iterator[Server]:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/config.toml").write_text(CONFIG.format(url=receiver.url))
    with running(tmp_path, workers=2) as started:
        with httpx.Client(base_url=started.url, trust_env=False) as http:
            http.post("/api/v1/admin/webhooks/test", json={"webhook": "hook"})
        receiver.log.wait("POST", HOOK)  # from now on it is known
        receiver.log.clear()
        yield started


def publish(server: Server, folder: str) -> set[str]:
    """What was acknowledged."""
    paths = {f"{folder}/{number}" for number in range(FILES)}
    for path in sorted(paths):
        # A connection each: any worker may have it
        assert httpx.put(f"{server.url}/raw/{path}", content=b"x", trust_env=False).status_code == 201
    return paths


def delivered(receiver: Upstream) -> Counter[str]:
    bodies = [orjson.loads(asked.body)["event"] for asked in receiver.log.requests]
    return Counter(event["path"] for event in bodies if event["kind"] == "published")


def test_of_two_workers_one_delivers(server: Server, receiver: Upstream) -> None:
    paths = publish(server, "a")
    receiver.log.wait("POST", HOOK, FILES)
    assert delivered(receiver) == dict.fromkeys(paths, 1)
    metrics = httpx.get(f"{server.url}/metrics", trust_env=False).text
    assert 'nora_webhook_deliveries_total{outcome="delivered",webhook="hook"} 21.0' in metrics


def test_what_was_acknowledged_is_delivered_by_who_comes_after_a_killed_server(
    server: Server, receiver: Upstream
) -> None:
    receiver.fault = Answer(status=503)
    paths = publish(server, "tried")
    receiver.log.wait("POST", HOOK)
    paths |= publish(server, "perhaps-not-tried")
    server.kill()
    receiver.fault = None
    receiver.log.clear()
    server.start()
    receiver.log.wait("POST", HOOK, len(paths))
    assert {*delivered(receiver)} == paths
