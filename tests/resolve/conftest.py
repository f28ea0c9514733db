"""A resolver over a real catalog, with the configuration that a test writes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from nora.catalog.sqlite import SQLiteCatalog
from nora.config import repository_specs
from nora.formats import load_config
from tests.resolve.world import World
from tests.support.catalogs import prepare_catalog

DEFAULT = """
[pypi]
upstreams = ["https://index.example.com/simple"]
[repositories.team]
format = "pypi"
[repositories.second]
format = "pypi"
kind = "proxy"
upstreams = ["https://second.example.com/simple"]
[repositories.all]
format = "pypi"
kind = "group"
members = ["team", "pypi-hosted", "second", "pypi-proxy"]
writes = "team"
[repositories.alone]
format = "pypi"
kind = "proxy"
upstreams = ["https://alone.example.com/simple"]
[repositories.ours]
format = "pypi"
kind = "group"
members = ["team", "pypi-hosted"]
"""


def fold(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[SQLiteCatalog]:
    prepare_catalog(tmp_path / "catalog.sqlite3")
    catalog = SQLiteCatalog.open(tmp_path / "catalog.sqlite3")
    yield catalog
    await catalog.close()


@pytest.fixture
def make(tmp_path: Path, catalog: SQLiteCatalog) -> Callable[..., World]:
    """Makes a world of a configuration; await its `begin`."""

    def of(text: str = DEFAULT) -> World:
        (tmp_path / "config.toml").write_text(text)
        config = load_config({}, tmp_path)
        return World(config, catalog, repository_specs(config), {"pypi": fold})

    return of
