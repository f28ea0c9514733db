"""pdm: locks and installs through the cache, publishes, skips what is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.conftest import Closed
from tests.support.mirror import Mirror
from tests.support.python_clients import Tool, installed
from tests.support.wheels import Release, project_folder

pytestmark = pytest.mark.client
Names = Callable[[str], str]


@pytest.fixture(scope="module")
def pdm(tool: Callable[..., Tool]) -> Tool:
    # With the versions that it was released with: newer ones of what it needs have broken it.
    return tool("pdm[locked]==2.29.3", command="pdm")


def consumer(folder: Path, index: str, *requirements: str) -> Path:
    """A project that needs `requirements` from one index."""
    folder.mkdir()
    needs = ", ".join(f'"{one}"' for one in requirements)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "consumer"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = [{needs}]\n'
        f"[tool.pdm]\ndistribution = false\n"
        f'[[tool.pdm.source]]\nname = "pypi"\nurl = "{index}"\nverify_ssl = false\n'
    )
    return folder


def install(pdm: Tool, folder: Path) -> dict[str, str]:
    pdm("install", cwd=folder, env={"PDM_NON_INTERACTIVE": "1"})
    return installed(folder / ".venv")


def publishes(
    pdm: Tool, folder: Path, url: str, user: tuple[str, str], *words: str, fails: bool = False
) -> str:
    name, password = user
    return pdm(
        "publish", "--no-build", "--repository", f"{url}/legacy/", "--username", name, "--password", password,
        *words, cwd=folder, fails=fails,
    )  # fmt: skip


def test_cold_and_warm(mirror: Mirror, pdm: Tool, project: Names, tmp_path: Path) -> None:
    app, lib = project("app"), project("lib")
    mirror.index.add(Release(project=app, requires=[f"{lib}>=1"], requires_python=">=3.8").wheel())
    mirror.index.add(Release(project=lib, version="1.5").wheel())
    mirror.index.add(Release(project=lib, version="2.0").wheel(), yanked="no")
    expected = {app.replace("-", "_"): "1.0", lib.replace("-", "_"): "1.5"}
    assert install(pdm, consumer(tmp_path / "one", mirror.simple, app)).items() >= expected.items()
    mirror.up.log.clear()
    folder = consumer(tmp_path / "two", mirror.simple, app)
    pdm("config", "cache_dir", tmp_path / "other-cache", cwd=folder)
    assert install(pdm, folder).items() >= expected.items()
    assert mirror.up.log.requests == []


def test_publish_twice_and_skip(mirror: Mirror, pdm: Tool, project: Names, tmp_path: Path) -> None:
    own = project("own")
    folder = project_folder(tmp_path / "own", Release(project=own))
    for _ in range(2):
        publishes(pdm, folder, mirror.server.url, ("x", "y"))
    other = project_folder(tmp_path / "other", Release(project=own, seed="other"))
    publishes(pdm, other, mirror.server.url, ("x", "y"), fails=True)
    publishes(pdm, other, mirror.server.url, ("x", "y"), "--skip-existing")
    found = install(pdm, consumer(tmp_path / "consumer", mirror.simple, own))
    assert found[own.replace("-", "_")] == "1.0"
    assert mirror.asked(own) == []


def test_credentials(closed: Closed, pdm: Tool, tmp_path: Path) -> None:
    folder = project_folder(tmp_path / "own", Release(project="closed-pdm"))
    publishes(pdm, folder, closed.server.url, closed.read.basic, fails=True)
    publishes(pdm, folder, closed.server.url, ("__token__", closed.write.secret))
    user, secret = closed.read.basic
    index = f"http://{user}:{secret}@{closed.address}/simple/"
    assert install(pdm, consumer(tmp_path / "consumer", index, "closed-pdm"))["closed_pdm"] == "1.0"
