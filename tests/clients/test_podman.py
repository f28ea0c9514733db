"""podman: build, push and pull; zstd layers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import Walk
from tests.support import containers
from tests.support.containers import Tool
from tests.support.images import Layout
from tests.support.server import Server

pytestmark = pytest.mark.client("podman")


@pytest.fixture
def podman() -> Iterator[Tool]:
    with containers.tool("podman") as program:
        yield program


def test_build_push_and_pull(
    registry: Server, repository: Callable[[str], str], podman: Tool, walk: Walk, tmp_path: Path
) -> None:
    name = repository("app")
    reference = f"{registry.address}/{name}:v1"
    (tmp_path / "Containerfile").write_text("FROM scratch\nCOPY hello /hello\n")
    (tmp_path / "hello").write_text("hello\n" * 1000)
    podman("build", "--isolation=chroot", "--tag", reference, tmp_path)
    image = podman("image", "inspect", "--format={{.Id}}", reference).strip()
    podman("push", "--tls-verify=false", f"--digestfile={tmp_path}/digest", reference)
    digest = (tmp_path / "digest").read_text().strip()
    assert next(iter(walk(name, "v1"))) == digest

    podman("image", "rm", "--force", image)
    assert podman("pull", "--quiet", "--tls-verify=false", reference).strip() == image
    assert podman("image", "inspect", "--format={{.Digest}}", reference).strip() == digest


def test_zstd_layers(
    registry: Server,
    repository: Callable[[str], str],
    podman: Tool,
    walk: Walk,
    single: Layout,
    tmp_path: Path,
) -> None:
    name = repository("app")
    reference = f"{registry.address}/{name}:zstd"
    podman("pull", "--quiet", f"oci:{single.path}:v1")
    image = podman("image", "ls", "--quiet", "--no-trunc").strip().removeprefix("sha256:")
    digestfile = f"--digestfile={tmp_path}/digest"
    podman("push", "--tls-verify=false", "--compression-format=zstd", digestfile, image, reference)
    digest = (tmp_path / "digest").read_text().strip()
    found = walk(name, "zstd")
    layers = json.loads(found[digest])["layers"]
    assert {layer["mediaType"] for layer in layers} == {"application/vnd.oci.image.layer.v1.tar+zstd"}

    podman("image", "rm", "--force", image)
    by_digest = f"{registry.address}/{name}@{digest}"
    assert podman("pull", "--quiet", "--tls-verify=false", by_digest).strip() == image
