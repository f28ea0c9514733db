"""regctl: copies, sha512 images, chunked uploads, artifacts, tags."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.clients.conftest import Walk
from tests.support.command import run
from tests.support.images import Layout
from tests.support.oci import Repository, digest
from tests.support.server import Server

pytestmark = pytest.mark.client("regctl")
Names = Callable[[str], str]


@pytest.fixture(autouse=True)
def plain_http(registry: Server, home: Path) -> None:
    run("regctl", "registry", "set", "--tls=disabled", registry.address)


def test_an_index_goes_in_and_comes_out_whole(
    registry: Server, repository: Names, walk: Walk, multi: Layout, tmp_path: Path
) -> None:
    name = repository("app")
    reference = f"{registry.address}/{name}:v1"
    run("regctl", "image", "copy", f"ocidir://{multi.path}:v1", reference)
    assert walk(name, "v1") == multi.blobs()
    run("regctl", "image", "copy", reference, f"ocidir://{tmp_path / 'back'}:v1")
    assert Layout(tmp_path / "back", "v1", multi.top).blobs() == multi.blobs()


def test_sha512_from_the_manifest_to_the_layers(
    registry: Server, repository: Names, walk: Walk, web: httpx.Client, single: Layout
) -> None:
    name = repository("app")
    image = f"{registry.address}/{name}"
    run("regctl", "image", "copy", f"ocidir://{single.path}:v1", f"{image}:v1")
    run("regctl", "image", "mod", "--digest-algo=sha512", f"--create={image}:v512", f"{image}:v1")
    wanted = run("regctl", "image", "digest", f"{image}:v512").strip()
    manifest = run("regctl", "manifest", "get", "--format=raw-body", f"{image}:v512").encode()
    by_digest = run("regctl", "manifest", "get", "--format=raw-body", f"{image}@{digest(manifest, 'sha512')}")
    assert by_digest.encode() == manifest
    assert wanted in {digest(manifest), digest(manifest, "sha512")}
    document = json.loads(manifest)
    parts = [document["config"], *document["layers"]]
    assert all(part["digest"].startswith("sha512:") for part in parts)
    assert {part["digest"] for part in parts} <= walk(name, "v512").keys()
    head = Repository(web, name).head_manifest(digest(manifest, "sha512"))
    assert head.headers["docker-content-digest"] == digest(manifest, "sha512")


def test_a_chunked_upload(registry: Server, repository: Names, web: httpx.Client, tmp_path: Path) -> None:
    chunked = ("--blob-chunk=100000", "--blob-max=100000")
    run("regctl", "registry", "set", "--tls=disabled", *chunked, registry.address)
    data = random.Random(7).randbytes(1_234_567)
    (tmp_path / "blob").write_bytes(data)
    name = repository("app")
    with (tmp_path / "blob").open("rb") as stream:
        run("regctl", "blob", "put", f"{registry.address}/{name}", stdin=stream)
    assert Repository(web, name).get_blob(digest(data)).content == data


def test_artifacts_and_tags(registry: Server, repository: Names, single: Layout, tmp_path: Path) -> None:
    image = f"{registry.address}/{repository('app')}"
    run("regctl", "image", "copy", f"ocidir://{single.path}:v1", f"{image}:v1")
    (tmp_path / "note").write_text("an artifact")
    kind = "application/vnd.example.note"
    run(
        "regctl",
        "artifact",
        "put",
        f"--subject={image}:v1",
        f"--artifact-type={kind}",
        f"--file={tmp_path}/note",
    )
    listed = json.loads(run("regctl", "artifact", "list", "--format={{ json . }}", f"{image}:v1"))
    assert [entry["artifactType"] for entry in listed["descriptors"]] == [kind]
    got = run("regctl", "artifact", "get", f"--subject={image}:v1", f"--filter-artifact-type={kind}")
    assert got == "an artifact"
    run("regctl", "image", "copy", f"{image}:v1", f"{image}:v2")
    run("regctl", "tag", "delete", f"{image}:v1")
    assert run("regctl", "tag", "ls", image).split() == ["v2"]
