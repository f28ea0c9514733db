"""When cached files go for want of use, or of room."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nora.blobs import eviction
from nora.blobs.collection import Sum
from nora.blobs.eviction import PERIOD, Evictor
from nora.catalog.sqlite import SQLiteCatalog
from nora.model import RepositorySpec
from tests.contracts.catalog_cached import entry
from tests.support.catalogs import prepare_catalog

pytestmark = pytest.mark.anyio
NOW = time.time() // PERIOD * PERIOD + 10.0
SIZE = 10


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Cached:
    """A catalog with two proxies; `hours` ago each hour a file was used."""

    catalog: SQLiteCatalog
    proxies: tuple[int, int]

    def evictor(
        self, unused_ttl: float | None = None, max_bytes: int | None = None, kept: tuple[int, ...] = ()
    ) -> Evictor:
        return Evictor(self.catalog, unused_ttl=unused_ttl, max_bytes=max_bytes, kept=kept, clock=lambda: NOW)

    async def left(self) -> list[int]:
        """How many hours ago those were used that are there."""
        found = []
        for hours in range(10):
            for proxy in self.proxies:
                if await self.catalog.find_cached(proxy, f"file{hours}") is not None:
                    found.append(hours)
        return found


@pytest.fixture
async def cached(tmp_path: Path) -> AsyncIterator[Cached]:
    path = tmp_path / "catalog.sqlite3"
    prepare_catalog(path)
    catalog = SQLiteCatalog.open(path)
    specs = [RepositorySpec(name, "raw", "proxy") for name in ("one", "two")]
    found = await catalog.sync_repositories(specs)
    proxies = found["one"].id, found["two"].id
    for hours in range(10):
        content = f"{hours}".rjust(SIZE)
        made = entry(f"file{hours}", content, package=None, fetched_at=NOW - hours * PERIOD)
        await catalog.put_cached(proxies[hours % 2], made, 60.0)
    yield Cached(catalog, proxies)
    await catalog.close()


async def test_without_limits_nothing_goes(cached: Cached) -> None:
    assert await cached.evictor().plan() == Sum()
    assert await cached.evictor().evict() == Sum()
    assert await cached.left() == [*range(10)]


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"unused_ttl": 5.0 * PERIOD}, 6),
        ({"unused_ttl": 99.0 * PERIOD}, 10),
        ({"max_bytes": 7 * SIZE}, 7),
        ({"max_bytes": 7 * SIZE - 1}, 6),
        ({"max_bytes": 100 * SIZE}, 10),
        ({"max_bytes": 0}, 3),  # what was used in the last two hours, and in the hour when these began
        ({"max_bytes": 8 * SIZE, "unused_ttl": 5.0 * PERIOD}, 6),
        ({"max_bytes": 5 * SIZE, "unused_ttl": 8.0 * PERIOD}, 5),
    ],
)
async def test_what_is_unused_for_longest_goes_as_planned(
    cached: Cached, monkeypatch: pytest.MonkeyPatch, limits: dict[str, float], left: int
) -> None:
    monkeypatch.setattr(eviction, "PAGE", 2)
    evictor = cached.evictor(**limits)  # type: ignore[arg-type]
    planned = await evictor.plan()
    assert planned == Sum(10 - left, (10 - left) * SIZE)
    assert await cached.left() == [*range(10)]
    assert await evictor.evict() == planned
    assert await cached.left() == [*range(left)]
    assert await evictor.evict() == Sum()


async def test_of_who_asks_nobody_nothing_goes(cached: Cached) -> None:
    await cached.evictor(unused_ttl=1.0 * PERIOD, kept=(cached.proxies[1],)).evict()
    assert await cached.left() == [0, 1, 3, 5, 7, 9]
