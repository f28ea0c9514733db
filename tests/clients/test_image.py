"""The container image: built on Debian's own packages, run as a random user on a read-only root.

Slow: it bootstraps a Debian, installs a compiler in it and builds the wheel.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import containers
from tests.support.command import run
from tests.support.containers import Docker, Tool
from tests.support.server import Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.client("buildah", "podman", "debootstrap", "docker", "dockerd", "containerd"),
]
ROOT = Path(__file__).resolve().parents[2]
SUITE = "bookworm"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
IMAGE = "localhost/nora"


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tool]:
    """A podman whose store holds the image."""
    work = tmp_path_factory.mktemp("image")
    run("debootstrap", "--variant=minbase", SUITE, work / "base", timeout=900)
    run("tar", "--create", f"--file={work}/base.tar", f"--directory={work}/base", ".", timeout=300)
    (work / "Containerfile").write_text("FROM scratch\nADD base.tar /\n")
    with containers.tool("podman") as podman:
        store = (*podman.options[:3], "--isolation=chroot", "--network=host", "--format=docker")

        def build(*words: str | Path) -> None:
            command = ("buildah", *store[:3], "build", *store[3:], f"--signature-policy={podman.policy}")
            run(*command, *words, timeout=1200)

        build("--tag=localhost/base", f"--file={work}/Containerfile", work)
        run("rm", "--recursive", "--force", work / "base", work / "base.tar")
        build("--build-arg=BASE=localhost/base", *network(), f"--tag={IMAGE}", ROOT)
        yield podman


def network() -> list[str]:
    """How pip inside the build reaches the index that pip out here reaches."""
    words = []
    if AUTHORITIES.exists():
        words += [
            f"--volume={AUTHORITIES}:/run/authorities.crt:ro",
            "--build-arg=PIP_CERT=/run/authorities.crt",
        ]
    if index := os.environ.get("PIP_INDEX_URL"):
        words.append(f"--build-arg=PIP_INDEX_URL={index}")
    return words


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    with containers.docker() as client:
        yield client


@pytest.fixture
def container(podman: Tool, tmp_path: Path) -> Iterator[Server]:
    """The image at work: a random user id, a root that cannot be written, one volume that can."""
    user = random.randint(20_000, 60_000)
    server = Server(tmp_path / "data", tmp_path / "log")
    server.data.mkdir()
    os.chown(server.data, user, user)
    # Ready-made limits: a machine that may not raise them cannot run podman's defaults.
    limits = ("--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096", "--pids-limit=0")
    settings = (f"--env=NORA_PORT={server.port}", "--env=NORA_PROXY_MODE=offline")
    where = ("--network=host", *settings, f"--volume={server.data}:/data")
    locked = (f"--user={user}:{user}", "--read-only", "--read-only-tmpfs=false", "--cap-drop=all")
    how = ("--runtime=runc", "--detach", "--no-healthcheck")
    name = podman("run", *how, *limits, *where, *locked, IMAGE).strip()
    try:
        deadline = time.monotonic() + 60
        while server.status("/ready") != 200:
            assert time.monotonic() < deadline, podman("logs", name)
            time.sleep(0.1)
        yield server
        assert podman("exec", name, "nora", "health").strip() == "/health: 200"
        assert "(compiled)" in podman("exec", name, "nora", "--version")
        assert podman("exec", name, "id", "-u").strip() == str(user)
        podman("stop", "--time=30", name)
        assert podman("inspect", "--format={{.State.ExitCode}}", name).strip() == "0"
    finally:
        podman("rm", "--force", "--time=0", name)


def test_push_and_pull(container: Server, docker: Docker, tmp_path: Path) -> None:
    reference = f"localhost:{container.port}/team/app:1"
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "file").write_bytes(b"content\n" * 10_000)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n")
    docker("build", "--tag", reference, folder)
    (before,) = json.loads(docker("image", "inspect", reference))
    docker("push", reference)
    docker("image", "rm", reference)
    docker("pull", reference)
    (after,) = json.loads(docker("image", "inspect", reference))
    assert after["Id"] == before["Id"]


def test_what_the_image_says_of_itself(podman: Tool) -> None:
    (image,) = json.loads(podman("image", "inspect", IMAGE))
    config = image["Config"]
    assert config["User"] == "10001"
    assert list(config["ExposedPorts"]) == ["4000/tcp"]
    assert list(config["Volumes"]) == ["/data"]
    assert (config["Entrypoint"], config["Cmd"]) == (["nora"], ["serve"])
    assert image["Healthcheck"]["Test"] == ["CMD", "nora", "health"]
    # Settings are in the file: what the image sets in the environment, a user's file could not change.
    assert [line for line in config["Env"] if line.startswith("NORA_")] == ["NORA_HOST=0.0.0.0"]
