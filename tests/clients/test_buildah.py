"""buildah: OCI and Docker manifests, pulled back byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import Walk
from tests.support import containers
from tests.support.containers import Tool
from tests.support.oci import DOCKER_IMAGE, IMAGE
from tests.support.server import Server

# What `commit` and what `push` call them.
FORMATS = {"oci": "oci", "docker": "v2s2"}
pytestmark = pytest.mark.client("buildah")


@pytest.fixture
def buildah() -> Iterator[Tool]:
    with containers.tool("buildah") as program:
        yield program


@pytest.mark.parametrize(
    ("kind", "media_type", "compression"),
    [("oci", IMAGE, "gzip"), ("oci", IMAGE, "zstd"), ("docker", DOCKER_IMAGE, "gzip")],
)
def test_push_and_pull(
    registry: Server,
    repository: Callable[[str], str],
    buildah: Tool,
    walk: Walk,
    tmp_path: Path,
    kind: str,
    media_type: str,
    compression: str,
) -> None:
    name = repository("app")
    reference = f"docker://{registry.address}/{name}:v1"
    (tmp_path / "data").write_bytes(name.encode() * 1000)
    container = buildah("from", "scratch").strip()
    buildah("add", container, tmp_path / "data", "/data")
    buildah("config", "--cmd", "/data", container)
    image = buildah("commit", "--quiet", f"--format={kind}", container).strip()
    pushed = ("--tls-verify=false", f"--format={FORMATS[kind]}", f"--digestfile={tmp_path}/digest")
    buildah("push", *pushed, f"--compression-format={compression}", image, reference)
    digest = (tmp_path / "digest").read_text().strip()
    found = walk(name, "v1")
    manifest = json.loads(found[digest])
    assert (next(iter(found)), manifest["mediaType"]) == (digest, media_type)
    assert all(layer["mediaType"].endswith(compression) for layer in manifest["layers"])

    buildah("rm", container)
    buildah("rmi", "--force", image)
    assert buildah("pull", "--quiet", "--tls-verify=false", reference).strip() == image
