"""A registry of npm packages behind an application without a server, and names of a test's own."""

from __future__ import annotations

import re
import sqlite3
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path

import httpx
import pytest

from nora.blobs.layout import Layout
from tests.support.in_process import application
from tests.support.npm_registry import NpmRegistry
from tests.support.upstream import Upstream
from tests.support.waiting import until

Proxy = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Of a package of this test only."""
    test = request.node.name
    return f"{re.sub(r'[^a-z0-9]+', '-', test.lower())[:40].strip('-')}-{zlib.crc32(test.encode()):08x}"


@pytest.fixture
def registry(upstream: Upstream) -> NpmRegistry:
    """A registry at `upstream`."""
    found = NpmRegistry()
    found.mount(upstream)
    return found


@pytest.fixture
async def proxy(tmp_path: Path, registry: NpmRegistry) -> AsyncIterator[Proxy]:
    """Starts an application whose `/npm/` is hosted, and asks `registry` for the rest; a client of it. The
    data directory is always the same one."""
    async with AsyncExitStack() as stack:

        async def start(**env: str) -> httpx.AsyncClient:
            settings = {"NORA_NPM_PROXY": registry.url, "NORA_NPM_METADATA_TTL": "60", **env}
            return await stack.enter_async_context(application(tmp_path, **settings))

        yield start


async def kept(folder: Path, path: str) -> None:
    """Wait for the row of a file: that comes just after the last byte."""

    def is_there() -> bool:
        with closing(sqlite3.connect(Layout(folder / "storage").catalog, timeout=30)) as catalog:
            return catalog.execute("SELECT 1 FROM file WHERE path = ?", (path,)).fetchone() is not None

    await until(is_there, f"the row of {path}")
