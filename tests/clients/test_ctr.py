"""ctr and a containerd of its own: import, push, pull, and the bytes in its content store."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import Walk
from tests.support import containers
from tests.support.containers import Containerd
from tests.support.images import Layout
from tests.support.server import Server

pytestmark = pytest.mark.client("ctr", "containerd")


@pytest.fixture(scope="module")
def containerd() -> Iterator[Containerd]:
    with containers.containerd() as client:
        yield client


def content(containerd: Containerd, digest: str) -> bytes:
    command = ["ctr", "--address", str(containerd.socket), "--namespace", "nora", "content", "get", digest]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def test_push_and_pull(
    registry: Server,
    repository: Callable[[str], str],
    containerd: Containerd,
    walk: Walk,
    multi: Layout,
    tmp_path: Path,
) -> None:
    name = repository("app")
    reference = f"{registry.address}/{name}:v1"
    archive = tmp_path / "image.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(multi.path, arcname=".")
    containerd.ctr("images", "import", "--all-platforms", "--no-unpack", "--index-name", reference, archive)
    containerd.ctr("images", "push", "--plain-http", reference)
    pushed = walk(name, "v1")
    assert multi.blobs().items() <= pushed.items()

    containerd.ctr("images", "rm", "--sync", reference)
    containerd.ctr("images", "pull", "--plain-http", "--all-platforms", "--snapshotter", "native", reference)
    assert {digest: content(containerd, digest) for digest in pushed} == pushed
