"""What a collection finds: bytes that nothing holds any more keep a live row of their own."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from nora.catalog.records import Part
from nora.catalog.sqlite import SQLiteCatalog
from nora.model import RepositorySpec
from tests.contracts.catalog import LEASE, new_blob, sha256
from tests.contracts.catalog_cached import entry
from tests.support.catalogs import prepare_catalog

pytestmark = pytest.mark.anyio
LOOSE = """
SELECT digest FROM blob WHERE state = 'live' AND id > 0
AND NOT EXISTS (SELECT 1 FROM link WHERE link.blob_id = blob.id)
AND NOT EXISTS (SELECT 1 FROM file WHERE file.blob_id = blob.id)
ORDER BY id LIMIT 500
"""


@dataclass
class Held:
    """A catalog with one proxy, and where it is."""

    catalog: SQLiteCatalog
    path: Path
    proxy: int

    def loose(self) -> list[str]:
        with closing(sqlite3.connect(self.path)) as db:
            return [digest for (digest,) in db.execute(LOOSE)]


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[Held]:
    path = tmp_path / "catalog.sqlite3"
    prepare_catalog(path)
    catalog = SQLiteCatalog.open(path)
    proxy = (await catalog.sync_repositories([RepositorySpec("proxy", "pypi", "proxy")]))["proxy"].id
    yield Held(catalog, path, proxy)
    await catalog.close()


@pytest.mark.parametrize("package", ["app", None])
async def test_replaced_pages_leave_their_rows(held: Held, package: str | None) -> None:
    for content in ("first", "second", "third"):
        await held.catalog.put_cached(held.proxy, entry("app/", content, package=package), LEASE)
    assert held.loose() == [sha256("first"), sha256("second")]
    await held.catalog.put_cached(held.proxy, entry("app/", "first", package=package), LEASE)
    assert held.loose() == [sha256("second"), sha256("third")], "that is a page again"


async def test_what_is_dropped_or_purged_leaves_its_rows(held: Held) -> None:
    for path in ("app/", "app/1.whl", "app/2.whl"):
        await held.catalog.put_cached(held.proxy, entry(path, path), LEASE)
    await held.catalog.add_blob(new_blob("layer"), held.proxy, "app", LEASE)
    await held.catalog.drop_cached(held.proxy, "app/1.whl")
    assert held.loose() == [sha256("app/1.whl")]
    await held.catalog.purge_cached(held.proxy, "app", Part())
    assert held.loose() == [sha256(one) for one in ("app/", "app/1.whl", "app/2.whl", "layer")]


async def test_they_are_found_by_keys(held: Held) -> None:
    with closing(sqlite3.connect(held.path)) as db:
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {LOOSE}")]
    assert any("SEARCH blob USING INTEGER PRIMARY KEY" in step for step in plan)
    assert not any(step.startswith("SCAN") or "TEMP" in step for step in plan), plan
