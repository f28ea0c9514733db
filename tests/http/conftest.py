"""Real servers with the toy format: see tests/http/toy.py."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.http.toy import install
from tests.support.server import Server, running


@pytest.fixture(scope="session")
def toy_env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a server that finds the toy."""
    return install(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory, toy_env: dict[str, str]) -> Iterator[Server]:
    """One worker with the toy, shared."""
    with running(tmp_path_factory.mktemp("nora-toy"), env=toy_env) as server:
        yield server


@pytest.fixture(scope="session")
def client(toy: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=toy.url, timeout=30, trust_env=False) as one:
        yield one
