"""A registry with repositories of every kind, for what shows only between them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.server import running

CONFIG = """
[docker]
immutable_tags = ["v*"]
[repositories.team]
format = "docker"
[repositories.lab]
format = "docker"
[repositories.all]
format = "docker"
kind = "group"
members = ["team", "lab"]
writes = "lab"
[repositories.view]
format = "docker"
kind = "group"
members = ["team", "lab"]
"""


@pytest.fixture(scope="session")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of it. Each request is a connection of its own, so that any of the workers may get it."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "config.toml").write_text(CONFIG)
    with running(folder, workers=2, env={"NORA_CONFIG_PATH": str(folder / "config.toml")}) as server:
        alone = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(base_url=server.url, timeout=30, trust_env=False, limits=alone) as client:
            yield client
