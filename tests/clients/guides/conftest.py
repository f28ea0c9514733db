"""What all guides need: a terminal with the programs that they name."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import run
from tests.support.guides import Terminal
from tests.support.python_clients import Tool

NewTerminal = Callable[..., Terminal]


@pytest.fixture
def terminal(tmp_path: Path, tool: Callable[..., Tool], monkeypatch: pytest.MonkeyPatch) -> NewTerminal:
    """`terminal("twine", "uv")`: an empty folder and an environment with pip, and these beside it."""
    # Of the machine; with them requests does not look at what pip and twine are told.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    made = 0

    def new(*tools: str) -> Terminal:
        nonlocal made
        made += 1
        folder, environment = tmp_path / f"folder{made}", tmp_path / f"environment{made}"
        folder.mkdir()
        run(sys.executable, "-m", "venv", environment)
        programs = [environment / "bin", *(tool(one).folder / "bin" for one in tools)]
        programs += [Path(sys.executable).parent, *map(Path, os.environ["PATH"].split(":"))]
        env = {"VIRTUAL_ENV": str(environment), "PIP_NO_CACHE_DIR": "1", "UV_NO_CACHE": "1"}
        return Terminal(folder, tuple(programs), env)

    return new
