"""What a client and the log hear of upstreams that fail, and that they hear it in time."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from nora.observability.logs import TextFormatter
from tests.support.answers import NEVER, Answer
from tests.support.in_process import application
from tests.support.pypi_index import PyPIIndex
from tests.support.upstream import Upstream, upstream
from tests.support.wheels import Release

WHEEL = Release(project="demo").wheel()
FILE = f"/simple/demo/{WHEEL.filename}"


@pytest.fixture(autouse=True)
def _no_proxy_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def stocked(server: Upstream) -> None:
    index = PyPIIndex()
    index.add(WHEEL)
    index.mount(server)


@pytest.fixture
def up() -> Iterator[Upstream]:
    with upstream() as server:
        stocked(server)
        yield server


@pytest.fixture
def other() -> Iterator[Upstream]:
    with upstream() as server:
        stocked(server)
        yield server


@pytest.fixture
def log() -> Iterator[list[str]]:
    """Every line of `warn` and above, as it stands in the log."""
    lines: list[str] = []

    class Handler(logging.StreamHandler[io.StringIO]):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Handler(io.StringIO())
    handler.setLevel(logging.WARNING)
    handler.setFormatter(TextFormatter())
    logging.getLogger("nora").addHandler(handler)
    yield lines
    logging.getLogger("nora").removeHandler(handler)


def env(up: Upstream, **more: str) -> dict[str, str]:
    return {
        "NORA_PYPI_PROXY": f"{up.url}/simple",
        "NORA_PROXY_RETRIES": "0",
        **more,
    }


# -- the log ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        (Answer(status=500), 503, "answers 500"),
        (Answer(status=418), 502, "answers 418"),
        (Answer(status=401), 502, "wants credentials (401)"),
        (Answer(status=403), 502, "wants credentials (403)"),
        (None, 503, "cannot be reached: Connection refused"),
    ],
)
def test_an_upstream_that_fails_is_one_line(
    tmp_path: Path, up: Upstream, log: list[str], fault: Answer | None, status: int, reason: str
) -> None:
    if fault is None:
        up.stop()
    up.fault = fault

    async def body() -> None:
        async with application(tmp_path, **env(up)) as http:
            answer = await http.get("/simple/demo/", headers={"x-request-id": "outage-1"})
            assert (answer.status_code, reason in answer.text) == (status, True)

    asyncio.run(body())
    (line,) = log
    assert " WARN " in line
    assert f"{up.url}/simple: " in line
    assert reason in line
    assert line.endswith("[outage-1]")


@pytest.mark.parametrize(("status", "words"), [(401, "does not take"), (403, "does not let in")])
def test_wrong_credentials_are_told(
    tmp_path: Path, up: Upstream, log: list[str], status: int, words: str
) -> None:
    up.fault = Answer(status=status)

    async def body() -> None:
        async with application(tmp_path, **env(up, NORA_PYPI_PROXY_AUTH="me:wrong-one")) as http:
            answer = await http.get("/simple/demo/")
            assert answer.status_code == 502
            assert f"{words} the credentials of the upstream ({status})" in answer.text
            assert "wrong-one" not in answer.text

    asyncio.run(body())
    assert len(log) == 1
    assert "wrong-one" not in log[0]


def test_a_copy_that_stands_in_is_told_once(tmp_path: Path, up: Upstream, log: list[str]) -> None:
    async def body() -> None:
        async with application(tmp_path, **env(up, NORA_PYPI_METADATA_TTL="0")) as http:
            assert (await http.get("/simple/demo/")).status_code == 200
            up.fault = Answer(status=500)
            for _ in range(3):
                assert (await http.get("/simple/demo/")).headers["x-nora-stale"] == "true"

    asyncio.run(body())
    (line,) = log
    host = up.url.removeprefix("http://")
    assert f"{up.url}/simple/demo/: {host} answers 500; what is here of it is served" in line


def test_a_mirror_that_stands_in_is_told(
    tmp_path: Path, up: Upstream, other: Upstream, log: list[str]
) -> None:
    up.stop()
    sources = f'[{{"url": "{up.url}/simple", "mirrors": ["{other.url}/simple"]}}]'

    async def body() -> None:
        async with application(tmp_path, **env(up, NORA_PYPI_PROXY="", NORA_PYPI_UPSTREAMS=sources)) as http:
            assert (await http.get("/simple/demo/")).status_code == 200

    asyncio.run(body())
    (line,) = log
    assert f"{up.url}/simple: {up.url.removeprefix('http://')} cannot be reached" in line
    assert f"{other.url}/simple answers instead" in line


# -- the time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/simple/demo/", FILE, f"{FILE}.metadata"])
def test_a_silent_upstream_is_an_error_in_time(tmp_path: Path, up: Upstream, path: str) -> None:
    """What is asked goes on: who comes back has its answer, an absence here."""
    index = PyPIIndex()
    index.add(WHEEL)
    index.mount(up)
    silent = index.path_of(WHEEL.filename) if path == FILE else "/simple/demo/"
    up.guard = lambda asked: Answer(gate="later", status=404) if asked.path == silent else None

    async def body() -> None:
        async with application(tmp_path, **env(up, NORA_PROXY_ANSWER_TIMEOUT="1")) as http:
            answer = await http.get(path)
            assert answer.status_code == 503
            assert "proxy.answer_timeout" in answer.text
            assert int(answer.headers["retry-after"]) > 0
            assert up.log.count("GET", silent) == 1
            up.open("later")
            while (again := await http.get(path)).status_code == 503:
                pass  # the machine is busy
            assert again.status_code == 404
            assert up.log.count("GET", silent) == 1

    asyncio.run(body())


@pytest.mark.slow
def test_a_mirror_is_asked_while_there_is_time(tmp_path: Path, up: Upstream, other: Upstream) -> None:
    up.fault = Answer(delay=NEVER)
    sources = f'[{{"url": "{up.url}/simple", "mirrors": ["{other.url}/simple"]}}]'
    more = {"NORA_PYPI_PROXY": "", "NORA_PYPI_UPSTREAMS": sources, "NORA_PROXY_ANSWER_TIMEOUT": "10"}

    async def body() -> None:
        async with application(tmp_path, **env(up, **more)) as http:
            assert (await http.get("/simple/demo/")).status_code == 200

    asyncio.run(body())


@pytest.mark.slow
def test_the_source_of_a_name_is_asked_while_there_is_time(
    tmp_path: Path, up: Upstream, other: Upstream
) -> None:
    """One before it is silent, and known not to have had the name."""
    sources = f'[{{"url": "{up.url}/simple"}}, {{"url": "{other.url}/simple"}}]'
    more = {"NORA_PYPI_PROXY": "", "NORA_PYPI_UPSTREAMS": sources, "NORA_PROXY_ANSWER_TIMEOUT": "10"}
    more |= {"NORA_PYPI_METADATA_TTL": "0", "NORA_PROXY_ABSENT_TTL": "0"}
    up.fault = Answer(status=404)

    async def body() -> None:
        async with application(tmp_path, **env(up, **more)) as http:
            assert (await http.get("/simple/demo/")).status_code == 200
            up.fault = Answer(delay=NEVER)
            assert (await http.get("/simple/demo/")).status_code == 200

    asyncio.run(body())
