"""Files that a page names in a private network: of an index that was reached in one, and of no other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.in_process import application
from tests.support.pypi_index import PyPIIndex
from tests.support.resolver import resolving
from tests.support.upstream import Upstream, upstream
from tests.support.wheels import Built, Release

FILES = {"files.example": "10.0.0.6"}
INSIDE = FILES | {"index.example": "10.0.0.5"}
PUBLIC = FILES | {"index.example": "93.184.216.34"}
WHEEL = Release(project="demo", requires=["other"]).wheel()
SDIST = Release(project="demo").sdist()


@pytest.fixture
def up(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with upstream() as server:
        index = PyPIIndex(files_url=f"http://files.example:{server.port}")
        index.add(WHEEL, SDIST)
        index.mount(server)
        yield server


def env(up: Upstream, **more: str) -> dict[str, str]:
    return {"NORA_PYPI_PROXY": f"http://index.example:{up.port}/simple", **more}


def path_of(built: Built, end: str = "") -> str:
    return f"/simple/demo/{built.filename}{end}"


def test_everything_that_an_index_in_a_private_network_names_is_had(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, up: Upstream
) -> None:
    connected = resolving(monkeypatch, INSIDE)

    async def body() -> None:
        async with application(tmp_path, **env(up)) as http:
            assert (await http.get(path_of(WHEEL, ".metadata"))).status_code == 200
            assert (await http.get(path_of(WHEEL))).content == WHEEL.body

    asyncio.run(body())
    assert set(connected) == {"10.0.0.5", "10.0.0.6"}


def test_where_an_index_was_reached_is_remembered_with_its_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, up: Upstream
) -> None:
    """Another process has the page from the cache, and asks the index for nothing."""

    async def first() -> None:
        async with application(tmp_path, **env(up)) as http:
            assert (await http.get("/simple/demo/")).status_code == 200

    async def second() -> None:
        async with application(tmp_path, **env(up)) as http:
            assert (await http.get(path_of(SDIST))).content == SDIST.body

    resolving(monkeypatch, INSIDE)
    asyncio.run(first())
    resolving(monkeypatch, FILES)
    asyncio.run(second())
    assert up.log.count("GET", "/simple/demo/") == 1


@pytest.mark.parametrize("later", [PUBLIC, INSIDE], ids=["public still", "private by now"])
def test_what_a_page_from_the_internet_names_is_not_asked_for_in_a_private_network(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    up: Upstream,
    later: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever has the name of the index in their hands cannot make a page trusted that came before."""

    async def body() -> None:
        async with application(tmp_path, **env(up)) as http:
            assert (await http.get("/simple/demo/")).status_code == 200
            resolving(monkeypatch, later)
            refused = await http.get(path_of(SDIST))
            assert refused.status_code == 502
            assert 'allow_private = ["files.example"]' in refused.text
            assert (await http.get(path_of(WHEEL, ".metadata"))).status_code == 502

    resolving(monkeypatch, PUBLIC)
    asyncio.run(body())
    assert up.log.paths() == ["/simple/demo/"]
    assert 'allow_private = ["files.example"]' in caplog.text


def test_a_page_that_is_still_right_is_of_where_that_was_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, up: Upstream
) -> None:
    """As pages are that were stored before anybody looked where they came from."""

    async def body() -> None:
        async with application(tmp_path, **env(up, NORA_PYPI_METADATA_TTL="0")) as http:
            for table, status in ((PUBLIC, 502), (INSIDE, 200)):
                resolving(monkeypatch, table)
                up.stop()  # whoever is connected has to look again
                up.start()
                assert (await http.get("/simple/demo/")).status_code == 200
                assert (await http.get(path_of(SDIST))).status_code == status

    asyncio.run(body())


@pytest.mark.parametrize("setting", ["NORA_PROXY_ALLOW_PRIVATE", "NORA_PYPI_UPSTREAMS"])
def test_the_operator_may_allow_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, up: Upstream, setting: str
) -> None:
    own = f'[{{"url": "http://index.example:{up.port}/simple", "allow_private": ["files.example"]}}]'
    value = own if setting == "NORA_PYPI_UPSTREAMS" else "files.example"
    settings = {setting: value} if setting == "NORA_PYPI_UPSTREAMS" else env(up, **{setting: value})
    resolving(monkeypatch, PUBLIC)

    async def body() -> None:
        async with application(tmp_path, **settings) as http:
            assert (await http.get(path_of(SDIST))).content == SDIST.body

    asyncio.run(body())
