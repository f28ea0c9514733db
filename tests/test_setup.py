"""The build: compiled, pure for want of a compiler, or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / "nora" / "_speedups").exists(), reason="no source tree")


def build(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Build the extensions of a copy of the tree, in place."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    sources = shutil.ignore_patterns("*.so", "*.c", "*.html", "__pycache__")
    shutil.copytree(ROOT / "nora", folder / "nora", ignore=sources)
    kept = {name: text for name, text in os.environ.items() if not name.startswith("NORA_")}
    return subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        cwd=folder,
        env=kept | environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"CC": "/nowhere/cc"}, "no C compiler: /nowhere/cc is not on PATH"),
        ({"NORA_NO_EXTENSIONS": "1"}, "NORA_NO_EXTENSIONS is set"),
    ],
)
def test_a_build_without_extensions_says_so(tmp_path: Path, environ: dict[str, str], reason: str) -> None:
    done = build(tmp_path, **environ)
    assert done.returncode == 0, done.stderr
    assert f"pure Python build: {reason}" in done.stderr
    assert list(tmp_path.rglob("*.so")) == []


@pytest.mark.parametrize("environ", [{"CC": "/nowhere/cc"}, {"NORA_NO_EXTENSIONS": "1"}])
def test_a_build_that_must_have_extensions_fails_without(tmp_path: Path, environ: dict[str, str]) -> None:
    done = build(tmp_path, NORA_REQUIRE_EXTENSIONS="1", **environ)
    assert done.returncode != 0
    assert "NORA_REQUIRE_EXTENSIONS is set, but" in done.stderr


@pytest.mark.slow
def test_an_error_of_the_compiler_is_no_pure_build(tmp_path: Path) -> None:
    pytest.importorskip("Cython")
    done = build(tmp_path, CC="/bin/false")
    assert done.returncode != 0
    assert "compiled build" in done.stderr
    assert "pure Python build" not in done.stderr
