"""flit and hatch: publish, and pages that show it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.clients.conftest import Closed
from tests.support.python_clients import Tool
from tests.support.wheels import Release, project_folder

pytestmark = pytest.mark.client


def listed(closed: Closed, name: str) -> set[str]:
    page = httpx.get(
        f"{closed.server.url}/simple/{name}/",
        headers={"accept": "application/vnd.pypi.simple.v1+json"},
        auth=closed.read.basic,
        trust_env=False,
    )
    assert page.status_code == 200
    return {file["filename"] for file in page.json()["files"]}


def test_flit(closed: Closed, tool: Callable[..., Tool], tmp_path: Path) -> None:
    (tmp_path / "flit_own.py").write_text('"""Made for a test."""\n\n__version__ = "1.0"\n')
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n'
        '[project]\nname = "flit_own"\ndynamic = ["version", "description"]\nauthors = [{name = "Test"}]\n'
    )
    env = {
        "FLIT_INDEX_URL": f"{closed.server.url}/legacy/",
        "FLIT_USERNAME": "__token__",
        "FLIT_PASSWORD": closed.write.secret,
    }
    flit = tool("flit")
    flit("publish", cwd=tmp_path, env=env | {"FLIT_PASSWORD": closed.read.secret}, fails=True)
    flit("publish", cwd=tmp_path, env=env)
    assert listed(closed, "flit-own") == {"flit_own-1.0-py2.py3-none-any.whl", "flit_own-1.0.tar.gz"}


def test_hatch(closed: Closed, tool: Callable[..., Tool], tmp_path: Path) -> None:
    folder = project_folder(tmp_path / "own", Release(project="hatch-own"))
    hatch = tool("hatch")

    def publish(secret: str, fails: bool = False) -> None:
        words = [
            "--no-prompt",
            "--repo",
            f"{closed.server.url}/legacy/",
            "--user",
            "__token__",
            "--auth",
            secret,
        ]
        hatch("publish", *words, cwd=folder, fails=fails)

    publish(closed.read.secret, fails=True)
    publish(closed.write.secret)
    assert listed(closed, "hatch-own") == {file.name for file in (folder / "dist").iterdir()}
