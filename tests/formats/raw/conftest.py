"""A worker without a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.in_process import application

REPOSITORIES = """
[repositories.frozen]
format = "raw"
overwrite = "never"

[repositories.scratch]
format = "raw"
overwrite = "always"

[repositories.both]
format = "raw"
kind = "group"
members = ["scratch", "frozen"]
writes = "scratch"
"""


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    (tmp_path / "config.toml").write_text(REPOSITORIES)
    async with application(tmp_path) as client:
        yield client
