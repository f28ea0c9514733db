"""Long listings have a thread of their own; short ones and what was read lately have no need of it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from nora.catalog.records import NewFile
from nora.catalog.sqlite import SQLiteCatalog, engine, executor
from nora.errors import StorageFailed
from tests.contracts import catalog_files as contract
from tests.contracts.catalog import HOSTED, LEASE, release, sha256
from tests.contracts.catalog_cached import PROXY, entry
from tests.contracts.catalog_files import file
from tests.support.catalogs import prepare_catalog

pytestmark = pytest.mark.anyio

MANY = [file(f"{n:04}", "same") for n in range(3 * executor.PAGE)]


async def add(catalog: SQLiteCatalog, hosted: int, files: list[NewFile]) -> None:
    """Each as a version of its own."""
    await asyncio.gather(
        *(contract.add(catalog, hosted, one, version=one.path.rpartition("/")[2]) for one in files)
    )


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every statement of a reader, with the name of the thread that ran it."""
    log: list[tuple[str, str]] = []

    def connect(path: Path, *cache: int) -> sqlite3.Connection:
        db = engine.connect_reader(path, *cache)
        db.set_trace_callback(lambda statement: log.append((threading.current_thread().name, statement)))
        return db

    monkeypatch.setattr(executor, "connect_reader", connect)
    return log


@pytest.fixture
async def catalog(tmp_path: Path, reads: list[tuple[str, str]]) -> AsyncIterator[SQLiteCatalog]:
    prepare_catalog(tmp_path / "catalog.sqlite3")
    catalog = SQLiteCatalog.open(tmp_path / "catalog.sqlite3")
    yield catalog
    await catalog.close()


@pytest.fixture
async def hosted(catalog: SQLiteCatalog) -> int:
    return (await catalog.sync_repositories([HOSTED, PROXY]))["hosted"].id


async def test_long_listings_are_read_in_a_thread(
    catalog: SQLiteCatalog, hosted: int, reads: list[tuple[str, str]]
) -> None:
    await add(catalog, hosted, MANY)
    reads.clear()
    assert len(await catalog.list_package_files(hosted, "app")) == len(MANY)
    here, *there = [thread for thread, _ in reads]
    assert here == threading.current_thread().name
    assert {thread.startswith("catalog-reader") for thread in there} == {True}
    reads.clear()
    assert len(await catalog.list_versions(hosted, "app")) == len(MANY)
    assert len({thread for thread, _ in reads}) == 2


async def test_short_listings_are_one_statement(
    catalog: SQLiteCatalog, hosted: int, reads: list[tuple[str, str]]
) -> None:
    await add(catalog, hosted, MANY[: executor.PAGE - 1])
    reads.clear()
    assert len(await catalog.list_package_files(hosted, "app")) == executor.PAGE - 1
    assert [thread for thread, _ in reads] == [threading.current_thread().name]


async def test_a_long_listing_is_as_of_one_moment(
    catalog: SQLiteCatalog, hosted: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await add(catalog, hosted, MANY)
    connect = executor.connect_reader

    class Interrupted(sqlite3.Connection):
        pages = 0

        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:  # type: ignore[override]
            self.pages += "json_group_array" in sql
            if self.pages == 2:  # another process deletes all of it
                other = sqlite3.connect(tmp_path / "catalog.sqlite3")
                other.execute("DELETE FROM file")
                other.commit()
                other.close()
            return super().execute(sql, *values)

    def connect_in_thread(path: Path, *cache: int) -> sqlite3.Connection:
        if threading.current_thread().name.startswith("catalog-reader"):
            return sqlite3.connect(path, isolation_level=None, factory=Interrupted)
        return connect(path, *cache)

    monkeypatch.setattr(executor, "connect_reader", connect_in_thread)
    assert len(await catalog.list_package_files(hosted, "app")) == len(MANY)
    assert await catalog.list_package_files(hosted, "app") == []


async def test_a_listing_that_fails_is_no_absence(
    catalog: SQLiteCatalog, hosted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(catalog, hosted, MANY)
    await catalog.has_package(hosted, "app")

    def broken(_: Path, *cache: int) -> sqlite3.Connection:
        raise sqlite3.OperationalError("injected")

    with monkeypatch.context() as patch:
        patch.setattr(executor, "connect_reader", broken)
        with pytest.raises(StorageFailed, match="injected"):
            await catalog.list_package_files(hosted, "app")
    assert len(await catalog.list_package_files(hosted, "app")) == len(MANY)


async def test_a_catalog_with_a_thread_closes_twice(catalog: SQLiteCatalog, hosted: int) -> None:
    await add(catalog, hosted, MANY)
    await catalog.list_package_files(hosted, "app")
    await catalog.close()
    await catalog.close()
    with pytest.raises(StorageFailed, match="closed"):
        await catalog.list_package_files(hosted, "app")


async def test_what_was_read_a_moment_ago_is_not_read_again(
    catalog: SQLiteCatalog, hosted: int, reads: list[tuple[str, str]]
) -> None:
    proxy = (await catalog.sync_repositories([HOSTED, PROXY]))["proxy"].id
    await catalog.publish(release(hosted, "app", "m", "latest"), LEASE)
    await catalog.put_cached(proxy, entry("simple/app", "index"), LEASE)
    await catalog.put_cached(proxy, entry("alone", "alone", package=None), LEASE)
    asked: list[Callable[[str], Awaitable[object]]] = [
        lambda name: catalog.find_package(hosted, name),
        lambda name: catalog.has_package(proxy, name),
        lambda name: catalog.find_cached(proxy, f"simple/{name}"),
        lambda name: catalog.find_cached(proxy, "alone" if name == "app" else "other"),
        lambda name: catalog.find_file(hosted, f"{name}/manifests/{sha256('m')}"),
        lambda name: catalog.find_tagged_file(hosted, name, "latest"),
        lambda name: catalog.find_linked_blob(hosted, name, sha256("m")),
        lambda name: catalog.has_reference(hosted, name, sha256("m")),
    ]
    for ask in asked:
        for name in ("app", "absent"):
            first = await ask(name)
            assert bool(first) is (name == "app" and ask is not asked[-1])
            reads.clear()
            assert await ask(name) is first
            assert reads == []


async def test_the_page_caches_of_all_readers_are_a_few_mib(
    catalog: SQLiteCatalog, hosted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each worker has its own, beside the copy of the file that the system keeps for all."""
    sizes: list[int] = []
    connect = executor.connect_reader

    def measured(path: Path, *cache: int) -> sqlite3.Connection:
        db = connect(path, *cache)
        sizes.append(-1024 * db.execute("PRAGMA cache_size").fetchone()[0])
        return db

    monkeypatch.setattr(executor, "connect_reader", measured)
    vars(catalog).pop("_reader").close()  # made anew, as the thread's will be
    await add(catalog, hosted, MANY)
    await catalog.list_package_files(hosted, "app")
    assert len(sizes) == 2
    assert 0 < sum(sizes) <= 3 << 20
