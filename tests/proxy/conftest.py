"""Two upstreams, no outbound proxy of whoever runs the tests, and no waiting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nora.proxy import download
from tests.support.upstream import Upstream, upstream


@pytest.fixture(autouse=True)
def _no_proxy_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def _no_wait_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "RETRY_SECONDS", (0.001, 0.002))


@pytest.fixture
def up() -> Iterator[Upstream]:
    with upstream() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Upstream]:
    with upstream() as server:
        yield server
