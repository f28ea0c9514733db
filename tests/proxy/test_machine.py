"""Several processes on one data directory: one upstream request for all, whoever dies."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nora.blobs.layout import Layout
from nora.blobs.scratch import ScratchLayout
from tests.proxy.engine import digest_of
from tests.support.answers import document
from tests.support.catalogs import prepare_catalog
from tests.support.upstream import Upstream, upstream

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
DATA = os.urandom(4_000_000)


@pytest.fixture
def up() -> Iterator[Upstream]:
    with upstream() as server:
        yield server


@pytest.fixture
def data(tmp_path: Path) -> Path:
    layout = Layout(tmp_path / "data")
    layout.create()
    ScratchLayout(layout.root).create()
    prepare_catalog(layout.catalog)
    return tmp_path / "data"


class Process:
    """One worker that fetches one file."""

    def __init__(self, data: Path, url: str, digest: str, silence: str) -> None:
        self.process = subprocess.Popen(
            (sys.executable, "-m", "tests.proxy.engine", str(data), url, digest, silence),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._said = b""

    def line(self) -> str:
        """The next one; an AssertionError when none comes."""
        assert self.process.stdout is not None
        while b"\n" not in self._said:
            assert select.select((self.process.stdout,), (), (), 30)[0], "the worker says nothing"
            more = os.read(self.process.stdout.fileno(), 4096)
            assert more, f"the worker ended: {self._said!r}"
            self._said += more
        line, _, self._said = self._said.partition(b"\n")
        return line.decode()

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()


@contextlib.contextmanager
def processes(data: Path, url: str, digest: str, count: int, silence: str = "inf") -> Iterator[list[Process]]:
    """So many workers, ready; all of them are gone afterwards."""
    workers = [Process(data, url, digest, silence) for _ in range(count)]
    try:
        for worker in workers:
            assert worker.line() == "ready"
        yield workers
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.communicate()


def test_four_processes_ask_once(up: Upstream, data: Path) -> None:
    up.serve("/a", document(DATA, delay=0.3))
    with processes(data, f"{up.url}/a", digest_of(DATA), 4) as workers:
        for worker in workers:
            worker.go()
        for worker in workers:
            assert worker.line() == "first"
            assert worker.line() == f"done {digest_of(DATA)}"
    assert up.log.count("GET") == 1


def test_all_of_them_read_while_it_comes(up: Upstream, data: Path) -> None:
    up.serve("/a", document(DATA, hold=2_000_000, gate="rest"))
    with processes(data, f"{up.url}/a", "-", 3) as workers:
        for worker in workers:
            worker.go()
        for worker in workers:
            assert worker.line() == "first"
        up.open("rest")
        for worker in workers:
            assert worker.line() == f"done {digest_of(DATA)}"
    assert up.log.count("GET") == 1


@pytest.mark.parametrize("known", [True, False])
def test_when_the_leader_is_killed_another_goes_on(up: Upstream, data: Path, known: bool) -> None:
    """By the digest, or by the validator: one more request, of the rest."""
    up.serve("/a", document(DATA, hold=2_000_000, gate="rest"))
    with processes(data, f"{up.url}/a", digest_of(DATA) if known else "-", 4) as (leader, *others):
        leader.go()
        assert leader.line() == "first"
        for worker in others:
            worker.go()
        for worker in others:
            assert worker.line() == "first"
        up.serve("/a", document(DATA))
        leader.process.kill()
        for worker in others:
            assert worker.line() == f"done {digest_of(DATA)}"
    first, second = up.log.of("GET")
    assert "range" not in first.headers
    assert second.headers["range"].startswith("bytes=")
    assert second.headers.get("if-range") is not None


def test_when_nothing_can_be_resumed_those_who_have_read_are_cut_off(up: Upstream, data: Path) -> None:
    up.serve("/a", document(DATA, hold=2_000_000, gate="rest", etag=None))
    with processes(data, f"{up.url}/a", "-", 3) as (leader, *others):
        leader.go()
        assert leader.line() == "first"
        for worker in others:
            worker.go()
        for worker in others:
            assert worker.line() == "first"
        up.serve("/a", document(DATA, etag=None))
        leader.process.kill()
        for worker in others:
            assert worker.line().startswith("failed UpstreamFailed")
    assert "range" not in up.log.of("GET")[1].headers


def test_a_wrong_file_is_nobodys(up: Upstream, data: Path) -> None:
    up.serve("/a", document(DATA, delay=0.2))
    with processes(data, f"{up.url}/a", digest_of(b"other"), 3) as workers:
        for worker in workers:
            worker.go()
        for worker in workers:
            told = worker.line()  # nothing before the failure, to who comes late
            assert (worker.line() if told == "first" else told).startswith("failed UpstreamFailed")
    assert 1 <= up.log.count("GET") <= 3  # who comes after the failure asks anew
    assert [name for _, _, names in os.walk(data / "blobs") for name in names] == []


def test_a_killed_leader_leaves_what_is_swept(up: Upstream, data: Path) -> None:
    up.serve("/a", document(DATA, hold=2_000_000, gate="rest"))
    with processes(data, f"{up.url}/a", "-", 1) as (leader,):
        leader.go()
        assert leader.line() == "first"
        leader.process.kill()
        leader.process.wait()
        assert len(os.listdir(data / "downloads")) == 2
    ScratchLayout(data).empty()
    assert os.listdir(data / "downloads") == []


def test_followers_of_a_leader_that_is_stopped_give_up(up: Upstream, data: Path) -> None:
    """It is alive, and has the lock; once it is dead, whoever asks next goes on with what it has left."""
    up.serve("/a", document(DATA, hold=2_000_000, gate="rest"))
    digest = digest_of(DATA)
    with processes(data, f"{up.url}/a", digest, 3, silence="1") as (leader, follower, next_one):
        leader.go()
        assert leader.line() == "first"
        leader.process.send_signal(signal.SIGSTOP)
        follower.go()
        assert follower.line() == "first"
        told = follower.line()
        assert told.startswith("failed UpstreamTimeout"), told
        assert "proxy.read_timeout" in told
        up.serve("/a", document(DATA))
        next_one.go()
        assert next_one.line() == "first"
        leader.process.kill()
        assert next_one.line() == f"done {digest}"
    _, rest = up.log.of("GET")
    assert rest.headers["range"].startswith("bytes="), "it goes on with what is there"


def test_a_leader_whose_upstream_says_nothing_is_waited_for(up: Upstream, data: Path) -> None:
    up.serve("/a", document(DATA, hold=2_000_000, gate="rest"))
    with processes(data, f"{up.url}/a", digest_of(DATA), 2, silence="0.5") as (leader, follower):
        leader.go()
        assert leader.line() == "first"
        follower.go()
        assert follower.line() == "first"
        assert not select.select((follower.process.stdout,), (), (), 1.5)[0], "it has given up"
        up.open("rest")
        for worker in (leader, follower):
            assert worker.line() == f"done {digest_of(DATA)}"
