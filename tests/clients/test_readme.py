"""The first minute: `make run` in one terminal, docker in another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import containers
from tests.support.server import Server

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.client("make", "docker", "dockerd", "containerd"),
]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Server]:
    """What `make run` starts, on a port and a directory of its own."""
    server = Server(tmp_path / "data", tmp_path / "log", command=("make", "--directory", str(ROOT), "run"))
    try:
        server.start(timeout=300)
        yield server
    finally:
        server.kill()


def test_the_commands_of_the_readme(made: Server, tmp_path: Path) -> None:
    steps = (ROOT / "README.md").read_text()
    for step in ("make run", "docker tag", "docker push localhost:4000/", "docker pull localhost:4000/"):
        assert step in steps

    image = f"localhost:{made.port}/team/app:1"
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "file").write_text("hello")
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n")
    with containers.docker() as docker:
        docker("build", "--tag", "app", tmp_path / "app")
        docker("tag", "app", image)
        pushed = docker("push", image)
        (before,) = json.loads(docker("image", "inspect", "app"))
        docker("image", "rm", "--force", before["Id"])
        docker("pull", image)
        (after,) = json.loads(docker("image", "inspect", image))
    assert after["Id"] == before["Id"]
    assert after["RepoDigests"][0].rpartition("@")[2] in pushed
