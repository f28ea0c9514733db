"""oras: artifacts, attachments found by the referrers API, layouts, single blobs and manifests."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.conftest import Walk
from tests.support.command import run
from tests.support.images import Layout
from tests.support.oci import digest
from tests.support.server import Server

pytestmark = pytest.mark.client("oras")
Names = Callable[[str], str]


def test_an_artifact_comes_back(registry: Server, repository: Names, tmp_path: Path) -> None:
    reference = f"{registry.address}/{repository('artifact')}:v1"
    data = random.Random(1).randbytes(200_000)
    (tmp_path / "model.bin").write_bytes(data)
    kind = "--artifact-type=application/vnd.example.model"
    run("oras", "push", "--plain-http", kind, reference, "model.bin:application/octet-stream", cwd=tmp_path)
    run("oras", "pull", "--plain-http", "--output", tmp_path / "out", reference)
    assert (tmp_path / "out" / "model.bin").read_bytes() == data
    blob = f"{reference.removesuffix(':v1')}@{digest(data)}"
    run("oras", "blob", "fetch", "--plain-http", "--output", tmp_path / "blob", blob)
    assert (tmp_path / "blob").read_bytes() == data


def test_attachments_are_discovered(
    registry: Server, repository: Names, single: Layout, tmp_path: Path
) -> None:
    reference = f"{registry.address}/{repository('app')}:v1"
    run("oras", "cp", "--from-oci-layout", f"{single.path}:v1", "--to-plain-http", reference)
    (tmp_path / "sbom.json").write_text('{"packages": []}')
    for kind in ("application/vnd.example.sbom", "application/vnd.example.scan"):
        run("oras", "attach", "--plain-http", f"--artifact-type={kind}", reference, "sbom.json", cwd=tmp_path)
    found = json.loads(run("oras", "discover", "--plain-http", "--format=json", reference))
    assert found["digest"] == single.digest
    kinds = sorted(entry["artifactType"] for entry in found["referrers"])
    assert kinds == ["application/vnd.example.sbom", "application/vnd.example.scan"]
    only = ("--artifact-type=application/vnd.example.sbom", "--distribution-spec=v1.1-referrers-api")
    found = json.loads(run("oras", "discover", "--plain-http", "--format=json", *only, reference))
    assert len(found["referrers"]) == 1
    # With the API there is no fallback tag.
    tags = run("oras", "repo", "tags", "--plain-http", reference.removesuffix(":v1")).split()
    assert tags == ["v1"]


def test_a_layout_goes_in_and_comes_out(
    registry: Server, repository: Names, walk: Walk, multi: Layout, tmp_path: Path
) -> None:
    name = repository("app")
    reference = f"{registry.address}/{name}:v1"
    run("oras", "cp", "--from-oci-layout", f"{multi.path}:v1", "--to-plain-http", reference)
    assert walk(name, "v1") == multi.blobs()
    run("oras", "cp", "--from-plain-http", reference, "--to-oci-layout", f"{tmp_path / 'back'}:v1")
    assert Layout(tmp_path / "back", "v1", multi.top).blobs() == multi.blobs()
    run("oras", "manifest", "delete", "--plain-http", "--force", reference)
    assert "not found" in run("oras", "manifest", "fetch", "--plain-http", reference, fails=True)
