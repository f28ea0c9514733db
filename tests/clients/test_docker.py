"""docker and a dockerd of its own: the flow of README, mounts, known layers, what other clients pushed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Walk
from tests.support import containers
from tests.support.containers import Docker
from tests.support.images import Layout
from tests.support.server import Server

pytestmark = pytest.mark.client("docker", "dockerd", "containerd")
Names = Callable[[str], str]


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    with containers.docker() as client:
        yield client


def build(docker: Docker, folder: Path, tag: str, layers: int = 5) -> str:
    """An image FROM scratch with `layers` layers that no other test has; returns its id."""
    folder.mkdir()
    for number in range(layers):
        (folder / f"file{number}").write_text(f"{tag} {number}\n" * 5000)
    copies = "\n".join(f"COPY file{number} /file{number}" for number in range(layers))
    (folder / "Dockerfile").write_text(f'FROM scratch\n{copies}\nCMD ["/file0"]\n')
    docker("build", "--tag", tag, folder)
    return str(inspect(docker, tag)["Id"])


def inspect(docker: Docker, reference: str) -> dict[str, Any]:
    (found,) = json.loads(docker("image", "inspect", reference))
    return found


def forget(docker: Docker) -> None:
    """Remove every image from the daemon, so that a pull brings all of it."""
    images = docker("image", "ls", "--quiet", "--no-trunc").split()
    if images:
        docker("image", "rm", "--force", *set(images))


def pushed_digest(output: str) -> str:
    (line,) = [line for line in output.splitlines() if "digest: sha256:" in line]
    return line.split("digest: ")[1].split()[0]


def test_the_flow_of_the_readme(registry: Server, docker: Docker, tmp_path: Path, walk: Walk) -> None:
    image = build(docker, tmp_path / "image", "app")
    reference = f"localhost:{registry.port}/team/app:1"
    docker("tag", "app", reference)
    digest = pushed_digest(docker("push", reference))
    found = walk("team/app", "1")
    assert next(iter(found)) == digest
    assert len(found) == 7

    forget(docker)
    assert digest in docker("pull", reference)
    assert inspect(docker, reference)["Id"] == image
    assert inspect(docker, reference)["RepoDigests"] == [f"localhost:{registry.port}/team/app@{digest}"]


def test_pushing_again_sends_nothing(
    registry: Server, docker: Docker, tmp_path: Path, repository: Names
) -> None:
    reference = f"{registry.address}/{repository('app')}:1"
    build(docker, tmp_path / "image", reference)
    first = docker("push", reference)
    assert first.count(": Pushed") == 5
    again = docker("push", reference)
    assert again.count(": Layer already exists") == 5
    assert pushed_digest(again) == pushed_digest(first)


def test_layers_are_mounted_into_a_second_repository(
    registry: Server, docker: Docker, tmp_path: Path, repository: Names
) -> None:
    one, two = (f"{registry.address}/{repository(name)}:1" for name in ("one", "two"))
    build(docker, tmp_path / "image", one)
    docker("tag", one, two)
    digest = pushed_digest(docker("push", one))
    second = docker("push", two)
    assert second.count(f": Mounted from {repository('one')}") == 5
    assert pushed_digest(second) == digest


def test_a_pull_by_digest(registry: Server, docker: Docker, tmp_path: Path, repository: Names) -> None:
    name = f"{registry.address}/{repository('app')}"
    image = build(docker, tmp_path / "image", f"{name}:1", layers=1)
    digest = pushed_digest(docker("push", f"{name}:1"))
    forget(docker)
    docker("pull", f"{name}@{digest}")
    assert inspect(docker, f"{name}@{digest}")["Id"] == image


def test_an_absent_tag_is_said_to_be_absent(registry: Server, docker: Docker, repository: Names) -> None:
    output = docker("pull", f"{registry.address}/{repository('app')}:nothing", fails=True)
    assert "not found" in output or "manifest unknown" in output


@pytest.mark.client("buildah")
@pytest.mark.parametrize("kind", ["v2s2", "oci"])
def test_docker_pulls_what_buildah_pushed(
    registry: Server, docker: Docker, repository: Names, single: Layout, kind: str
) -> None:
    reference = f"{registry.address}/{repository('app')}:1"
    with containers.tool("buildah") as buildah:
        image = buildah("pull", "--quiet", f"oci:{single.path}:v1").strip()
        buildah("push", f"--format={kind}", "--tls-verify=false", image, f"docker://{reference}")
    docker("pull", reference)
    seen = inspect(docker, reference)
    if kind == "oci":
        assert seen["Id"] == f"sha256:{image}"
    assert len(seen["RootFS"]["Layers"]) == 2
