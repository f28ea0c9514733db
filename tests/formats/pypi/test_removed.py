"""What an upstream removes or quarantines is not served from its exact address, either."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from nora.blobs.layout import Layout
from nora.catalog.sqlite.engine import connect_writer
from nora.formats.pypi import upstream as pages
from tests.support.answers import Answer
from tests.support.in_process import application
from tests.support.pypi_index import PyPIIndex
from tests.support.upstream import Upstream, upstream
from tests.support.waiting import until
from tests.support.wheels import Release

FIRST, SECOND = (Release(project="demo", version=version).wheel() for version in ("1.0", "2.0"))
FILE = f"/simple/demo/{FIRST.filename}"
BOTH = (FILE, f"{FILE}.metadata")


@pytest.fixture
def index() -> PyPIIndex:
    found = PyPIIndex()
    found.add(FIRST, SECOND)
    return found


@pytest.fixture
def up(index: PyPIIndex) -> Iterator[Upstream]:
    with upstream() as server:
        index.mount(server)
        yield server


@pytest.fixture(autouse=True)
def _nothing_was_seen_just_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "JUST_NOW", 0.0)


def env(up: Upstream, **more: str) -> dict[str, str]:
    return {
        "NORA_PYPI_PROXY": f"{up.url}/simple",
        "NORA_PROXY_RETRIES": "0",
        "NORA_PYPI_METADATA_TTL": "0",
        "NORA_PROXY_ABSENT_TTL": "0",
        **more,
    }


async def fetch(http: httpx.AsyncClient, folder: Path) -> None:
    """Have the wheel and its core metadata here."""
    for path, body in zip(BOTH, (FIRST.body, FIRST.metadata), strict=True):
        assert (await http.get(path)).content == body
    with closing(connect_writer(catalog_in(folder))) as db:

        def paths() -> list[str]:
            return [path for (path,) in db.execute("SELECT path FROM file WHERE path LIKE 'demo/demo-1.0%'")]

        await until(lambda: len(paths()) == len(BOTH), "the rows of both", seen=paths)


def catalog_in(folder: Path) -> Path:
    return Layout(folder / "storage").catalog


async def statuses(http: httpx.AsyncClient) -> set[int]:
    return {(await http.request(method, path)).status_code for path in BOTH for method in ("GET", "HEAD")}


@pytest.mark.parametrize("asks", [True, False])
def test_a_file_that_its_page_lists_no_more_is_not_served(
    tmp_path: Path, up: Upstream, index: PyPIIndex, asks: bool
) -> None:
    """Whether somebody asks for the page or not: who has a lock file does not."""

    async def body() -> None:
        async with application(tmp_path, **env(up)) as http:
            await fetch(http, tmp_path)
            removed = index.projects["demo"].files.pop(0)
            if asks:
                assert (await http.get("/simple/demo/")).status_code == 200
            assert await statuses(http) == {404}
            assert "was removed at the upstream" in (await http.get(FILE)).text
            up.stop()
            assert await statuses(http) == {404}, "that is what is known"
            up.start()
            index.projects["demo"].files.append(removed)
            assert await statuses(http) == {200}

    asyncio.run(body())


def test_a_project_that_is_quarantined_is_refused_by_who_never_asks_for_its_page(
    tmp_path: Path, up: Upstream, index: PyPIIndex
) -> None:
    async def body() -> None:
        async with application(tmp_path, **env(up)) as http:
            await fetch(http, tmp_path)
            index.projects["demo"].status = "quarantined"
            assert await statuses(http) == {403}
            index.projects["demo"].status = "active"
            assert await statuses(http) == {200}

    asyncio.run(body())


def test_a_project_that_is_gone_takes_its_files_along(tmp_path: Path, up: Upstream, index: PyPIIndex) -> None:
    async def body() -> None:
        async with application(tmp_path, **env(up)) as http:
            await fetch(http, tmp_path)
            gone = index.projects.pop("demo")
            for _ in range(2):
                assert await statuses(http) == {404}
            index.projects["demo"] = gone
            assert await statuses(http) == {200}

    asyncio.run(body())


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("fault", [None, Answer(status=500), Answer(status=403)])
def test_what_is_here_is_served_while_the_upstream_cannot_be_asked(
    tmp_path: Path, up: Upstream, fault: Answer | None, is_known: bool
) -> None:
    """Also when nothing is known of the page."""

    async def body() -> None:
        async with application(tmp_path, **env(up)) as http:
            await fetch(http, tmp_path)
        if not is_known:
            with closing(connect_writer(catalog_in(tmp_path))) as db:
                assert db.execute("DELETE FROM file WHERE path = 'demo/'").rowcount == 1
        if fault is None:
            up.stop()
        up.fault = fault
        async with application(tmp_path, **env(up)) as http:
            assert (await http.get(FILE)).content == FIRST.body
            assert await statuses(http) == {200}

    asyncio.run(body())


def test_a_page_is_not_asked_for_within_its_time(tmp_path: Path, up: Upstream) -> None:
    async def body() -> None:
        async with application(tmp_path, **env(up, NORA_PYPI_METADATA_TTL="3600")) as http:
            await fetch(http, tmp_path)
            up.log.clear()
            assert await statuses(http) == {200}
            assert up.log.requests == []

    asyncio.run(body())
