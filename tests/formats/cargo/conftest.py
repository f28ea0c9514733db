"""Names of a test's own, and a server whose `/cargo/` asks an upstream, shared by a module."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from tests.support.crate_index import CrateIndex
from tests.support.server import running
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """The name of a crate of this test only."""
    test = request.node.name
    return f"{re.sub(r'[^a-z0-9]+', '_', test.lower())[:40].strip('_')}_{zlib.crc32(test.encode()):08x}"


@dataclass(frozen=True, slots=True)
class Place:
    """A server whose `/cargo/` is hosted and asks an upstream for the rest."""

    http: httpx.Client
    up: Upstream
    index: CrateIndex


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with ExitStack() as stack:
        up = stack.enter_context(running_upstream())
        index = CrateIndex()
        index.mount(up)
        env = {"NORA_CARGO_PROXY": up.url, "NORA_PROXY_MODE": "online", "NORA_CARGO_METADATA_TTL": "60"}
        server = stack.enter_context(running(tmp_path_factory.mktemp("cargo"), workers=2, env=env))
        http = stack.enter_context(httpx.Client(base_url=server.url, timeout=30, trust_env=False))
        yield Place(http, up, index)
