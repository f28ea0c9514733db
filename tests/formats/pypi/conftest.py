"""A server of hosted Python packages with upstreams of its own, shared by the tests of a module."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from tests.conftest import StartServer
from tests.formats.pypi.wire import upload
from tests.support.pypi_index import PyPIIndex
from tests.support.server import Server, running
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream
from tests.support.wheels import Built


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    """The name of a project of this test only."""
    name = request.node.name
    return f"{re.sub(r'[^a-z0-9]+', '-', name.lower())[:40].strip('-')}-{zlib.crc32(name.encode()):08x}"


@pytest.fixture
def index(upstream: Upstream) -> PyPIIndex:
    """An index like PyPI at `upstream`."""
    found = PyPIIndex()
    found.mount(upstream)
    return found


Proxy = Callable[..., httpx.Client]


@pytest.fixture
def proxy(nora_server: StartServer, upstream: Upstream) -> Iterator[Proxy]:
    """Starts a server whose `/simple/` is hosted, and asks `upstream` for the rest; a client of it.

    The server is its attribute `nora`.
    """
    clients: list[httpx.Client] = []

    def start(*, workers: int = 1, **env: str) -> httpx.Client:
        server: Server = nora_server(
            workers=workers,
            env={
                "NORA_PYPI_PROXY": f"{upstream.url}/simple",
                "NORA_PROXY_MODE": "online",
                "NORA_PYPI_METADATA_TTL": "60",
                **env,
            },
        )
        client = httpx.Client(base_url=server.url, timeout=30, trust_env=False)
        client.nora = server  # type: ignore[attr-defined]
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.close()


@dataclass(frozen=True, slots=True)
class Place:
    """A server whose `/simple/` is hosted and asks an upstream for the rest."""

    http: httpx.Client
    up: Upstream
    index: PyPIIndex


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with ExitStack() as stack:
        up = stack.enter_context(running_upstream())
        index = PyPIIndex()
        index.mount(up)
        env = {"NORA_PYPI_PROXY": f"{up.url}/simple", "NORA_PROXY_MODE": "online"}
        server = stack.enter_context(running(tmp_path_factory.mktemp("variants"), workers=2, env=env))
        http = stack.enter_context(httpx.Client(base_url=server.url, timeout=30, trust_env=False))
        yield Place(http, up, index)


@pytest.fixture(params=["hosted", "proxied"])
def put(request: pytest.FixtureRequest, place: Place) -> Callable[[Built], None]:
    """Puts a file where it is to be found: into the registry, or on the upstream."""

    def host(built: Built) -> None:
        assert upload(place.http, built).status_code == 200

    return host if request.param == "hosted" else place.index.add
