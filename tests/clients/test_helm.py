"""helm: a chart pushed to and pulled from an OCI repository."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.conftest import Walk
from tests.support.command import run
from tests.support.server import Server

pytestmark = pytest.mark.client("helm")


def test_push_and_pull_a_chart(
    registry: Server, repository: Callable[[str], str], walk: Walk, tmp_path: Path
) -> None:
    run("helm", "create", "web", cwd=tmp_path)
    run("helm", "package", "web", "--version=1.2.3+build.7", cwd=tmp_path)
    (chart,) = tmp_path.glob("*.tgz")
    name = repository("charts")
    run("helm", "push", chart, f"oci://{registry.address}/{name}", "--plain-http")

    # Helm writes a plus in a version as an underscore in the tag.
    found = walk(f"{name}/web", "1.2.3_build.7")
    manifest = json.loads(next(iter(found.values())))
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.helm.config.v1+json"

    source = f"oci://{registry.address}/{name}/web"
    out = tmp_path / "out"
    out.mkdir()
    run("helm", "pull", source, "--version=1.2.3+build.7", "--plain-http", f"--destination={out}")
    (back,) = out.glob("*.tgz")
    assert back.read_bytes() == chart.read_bytes()
    assert "version: 1.2.3+build.7" in run(
        "helm", "show", "chart", source, "--version=1.2.3+build.7", "--plain-http"
    )
    assert "kind: Deployment" in run("helm", "template", "web", source, "--plain-http")
