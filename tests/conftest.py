"""Fixtures for everybody: real servers, and a client of them.

Everything on the wire is tested through a real `nora serve` (tests/support/server.py says how it is run).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Protocol

import httpx
import pytest
from hypothesis import HealthCheck, settings

from nora.outbound import connections
from nora.proxy import policy
from tests.support.server import KEPT, STARTS, Server, running
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream
from tests.support.waiting import PATIENCE_SECONDS

# With how many inputs properties are tried: with some, and in CI with hundreds. No timing is ever asserted.
settings.register_profile(
    "nora",
    max_examples=int(os.environ.get("TEST_EXAMPLES", "50")),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("nora")


# Five seconds are not enough where a disk is slow.
for _what in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, _what, PATIENCE_SECONDS)


def pytest_configure() -> None:
    """A program that a test interrupts is to hear it, also where tests run in the background of a shell."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class StartServer(Protocol):
    """`nora_server(workers=4, env={"NORA_…": "…"})` starts one more server, which ends with the test."""

    def __call__(self, *, workers: int = 1, env: Mapping[str, str] | None = None) -> Server: ...


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the NORA_* settings of who runs it; those that choose what is tested stay."""
    for name in [name for name in os.environ if name.startswith("NORA_") and name not in KEPT]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def one_trust_store() -> Iterator[None]:
    """The authorities of the system are read once: that takes longer than most applications of tests live."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "trust_store", cache(connections.trust_store))
        yield


@pytest.fixture(scope="session", autouse=True)
def time_to_revalidate() -> Iterator[None]:
    """On a busy machine a good upstream takes longer than it is given before a stale copy is served."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policy, "MAX_WAIT_SECONDS", 60.0)
        yield


@pytest.fixture(scope="session")
def nora(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of the session: one worker, default settings, shared. Use names of your own in it."""
    with running(tmp_path_factory.mktemp("nora")) as server:
        yield server


@pytest.fixture
def nora_server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StartServer]:
    """A factory of servers for one test, each with its own data directory. It makes them `slow`."""
    numbers = itertools.count()
    with contextlib.ExitStack() as servers:

        def start(*, workers: int = 1, env: Mapping[str, str] | None = None) -> Server:
            folder = tmp_path / f"nora-{next(numbers)}"
            folder.mkdir()
            server = servers.enter_context(running(folder, workers=workers, env=env))
            request.node.stash.setdefault(STARTED, []).append(server)
            return server

        yield start


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """An upstream registry of the test's own, in a thread."""
    with running_upstream() as server:
        yield server


@pytest.fixture(scope="session")
def http(nora: Server) -> Iterator[httpx.Client]:
    """A client of the session's server: no redirects, no proxy of the environment, 30 s for each step."""
    with httpx.Client(base_url=nora.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Image names of this test only, for servers that tests share."""
    test = "".join(c if c.isalnum() else "-" for c in request.node.name.lower()).strip("-")
    parts = "-".join(filter(None, test.split("-")))[:80]
    return lambda name: f"{parts}/{name}"


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that starts a server of its own is slow: two of them take the time of a hundred others."""
    for item in items:
        if "nora_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`client(name, …)`: where a named program is missing, skip; with REQUIRE_CLIENTS=1, fail."""
    wanted = [name for marker in item.iter_markers("client") for name in marker.args]
    missing = sorted({name for name in wanted if shutil.which(name) is None})
    if missing and os.environ.get("REQUIRE_CLIENTS") == "1":
        pytest.fail(f"missing client: {', '.join(missing)}", pytrace=False)
    if missing:
        pytest.skip(f"missing client: {', '.join(missing)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """No quick test starts a server: that is for fixtures that many share."""
    before = len(STARTS)
    yield
    if len(STARTS) > before and not any(map(item.get_closest_marker, ("slow", "full", "client", "live"))):
        pytest.fail("it started a server of its own: mark it slow, or share one in the module", pytrace=False)


STARTED = pytest.StashKey[list[Server]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[pytest.TestReport]:
    """A failed test shows the end of the log of each server that it used."""
    report = yield
    if report.failed:
        values = getattr(item, "funcargs", {}).values()
        used = [one for value in values if isinstance(one := getattr(value, "server", value), Server)]
        for server in [*used, *item.stash.get(STARTED, [])]:
            report.sections.append((f"log of nora at {server.url}", server.log_tail()))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have recorded as "run": the seeds of what is random, above all."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties:
                if name == "run":
                    terminalreporter.write_line(f"{report.nodeid}: {value}")
