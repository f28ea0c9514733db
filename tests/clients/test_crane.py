"""crane: push, pull, copy, list, validate and delete."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.conftest import Walk
from tests.support.command import run
from tests.support.images import Layout
from tests.support.server import Server

pytestmark = pytest.mark.client("crane")
Names = Callable[[str], str]


def crane(*words: str | Path, fails: bool = False) -> str:
    return run("crane", "--insecure", *words, fails=fails).strip()


def test_push_and_pull(
    registry: Server, repository: Names, walk: Walk, multi: Layout, tmp_path: Path
) -> None:
    name = repository("app")
    reference = f"{registry.address}/{name}:v1"
    crane("push", multi.path, reference)
    assert walk(name, "v1") == multi.blobs()
    assert crane("digest", reference) == multi.digest
    crane("validate", "--remote", reference)
    crane("pull", "--format=oci", reference, tmp_path / "back")
    back = Layout(tmp_path / "back", "v1", multi.top)
    assert back.blobs() == multi.blobs()


def test_copy_list_and_delete(registry: Server, repository: Names, walk: Walk, multi: Layout) -> None:
    name, copy = repository("app"), repository("copy")
    crane("push", multi.path, f"{registry.address}/{name}:v1")
    crane("copy", f"{registry.address}/{name}:v1", f"{registry.address}/{copy}:v2")
    assert walk(copy, "v2") == multi.blobs()
    crane("tag", f"{registry.address}/{copy}:v2", "v3")
    assert crane("ls", f"{registry.address}/{copy}").split() == ["v2", "v3"]
    assert {name, copy} <= set(crane("catalog", registry.address).split())
    crane("delete", f"{registry.address}/{copy}@{multi.digest}")
    assert "MANIFEST_UNKNOWN" in crane("manifest", f"{registry.address}/{copy}:v2", fails=True)
    assert walk(name, "v1") == multi.blobs()
