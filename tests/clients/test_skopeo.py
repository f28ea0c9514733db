"""skopeo: single and multi-arch copies in and out, inspect, list-tags, delete, sync."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.conftest import Walk
from tests.support.command import run
from tests.support.images import Layout
from tests.support.server import Server

pytestmark = pytest.mark.client("skopeo")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "policy.json"
    file.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    return file


@pytest.fixture
def skopeo(policy: Path) -> Callable[..., str]:
    def call(*words: str) -> str:
        return run("skopeo", "--policy", policy, *words)

    return call


def layout_blobs(path: Path) -> dict[str, bytes]:
    return {f"{f.parent.name}:{f.name}": f.read_bytes() for f in (path / "blobs").glob("*/*")}


def test_an_index_goes_in_and_comes_out_whole(
    registry: Server,
    repository: Callable[[str], str],
    walk: Walk,
    multi: Layout,
    tmp_path: Path,
    skopeo: Callable[..., str],
) -> None:
    name = repository("app")
    remote = f"docker://{registry.address}/{name}:v1"
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{multi.path}:v1", remote)
    assert walk(name, "v1") == multi.blobs()
    back = tmp_path / "back"
    skopeo("copy", "--all", "--src-tls-verify=false", remote, f"oci:{back}:v1")
    assert layout_blobs(back) == multi.blobs()


def test_inspect_list_and_delete(
    registry: Server, repository: Callable[[str], str], single: Layout, skopeo: Callable[..., str]
) -> None:
    image = f"docker://{registry.address}/{repository('app')}"
    for tag in ("v1", "v2"):
        skopeo("copy", "--dest-tls-verify=false", f"oci:{single.path}:v1", f"{image}:{tag}")
    seen = json.loads(skopeo("inspect", "--tls-verify=false", f"{image}:v1"))
    assert (seen["Digest"], sorted(seen["RepoTags"])) == (single.digest, ["v1", "v2"])
    assert json.loads(skopeo("list-tags", "--tls-verify=false", image))["Tags"] == ["v1", "v2"]
    skopeo("delete", "--tls-verify=false", f"{image}:v1")
    run("skopeo", "inspect", "--tls-verify=false", f"{image}:v1", fails=True)


def test_docker_manifests_keep_their_kind(
    registry: Server,
    repository: Callable[[str], str],
    walk: Walk,
    single: Layout,
    tmp_path: Path,
    skopeo: Callable[..., str],
) -> None:
    name = repository("app")
    remote = f"docker://{registry.address}/{name}:v1"
    skopeo("copy", "--format", "v2s2", "--dest-tls-verify=false", f"oci:{single.path}:v1", remote)
    (wanted, manifest), *_ = walk(name, "v1").items()
    assert json.loads(manifest)["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    skopeo("copy", "--src-tls-verify=false", remote, f"dir:{tmp_path / 'dir'}")
    assert (tmp_path / "dir" / "manifest.json").read_bytes() == manifest
    assert run("skopeo", "manifest-digest", tmp_path / "dir" / "manifest.json").strip() == wanted


def test_sync_brings_every_tag(
    registry: Server,
    repository: Callable[[str], str],
    multi: Layout,
    single: Layout,
    tmp_path: Path,
    skopeo: Callable[..., str],
) -> None:
    name = repository("app")
    image, out = f"{registry.address}/{name}", tmp_path / "out"
    for layout, tag in ((single, "one"), (multi, "two")):
        skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{layout.path}:v1", f"docker://{image}:{tag}")
    skopeo(
        "sync",
        "--all",
        "--src",
        "docker",
        "--dest",
        "dir",
        "--src-tls-verify=false",
        image,
        str(tmp_path / "out"),
    )
    leaf = name.rpartition("/")[2]
    digests = {
        tag: run("skopeo", "manifest-digest", out / f"{leaf}:{tag}" / "manifest.json").strip()
        for tag in ("one", "two")
    }
    assert digests == {"one": single.digest, "two": multi.digest}
    target = f"{registry.address}/{repository('mirror')}"
    skopeo(
        "sync",
        "--all",
        "--src",
        "dir",
        "--dest",
        "docker",
        "--dest-tls-verify=false",
        str(tmp_path / "out"),
        target,
    )
    tags = json.loads(skopeo("list-tags", "--tls-verify=false", f"docker://{target}/{leaf}"))["Tags"]
    assert sorted(tags) == ["one", "two"]
