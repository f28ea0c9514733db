"""Which implementation is taken, and that both offer the same."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest

from nora import _speedups
from tests.support.tables import each

PROGRAM = "from nora import _speedups; print(_speedups.COMPILED, _speedups.scan_manifest.__module__)"
HIDDEN = """
import sys
sys.modules["nora._speedups.manifest_c"] = None  # importing it raises ImportError
"""


def run(program: str = PROGRAM, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NORA_")}
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def switched_on(variable: str) -> bool:
    return os.environ.get(variable, "0") not in {"", "0"}


@pytest.mark.skipif(not switched_on("NORA_REQUIRE_EXTENSIONS"), reason="NORA_REQUIRE_EXTENSIONS is not set")
def test_compiled_modules_are_loaded() -> None:
    assert _speedups.COMPILED
    for name in _speedups.MODULES:
        module = import_module(f"nora._speedups.{name}_c")
        assert module.__file__ is not None
        assert not module.__file__.endswith(".py")
    assert _speedups.scan_manifest.__module__ == "nora._speedups.manifest_c"
    assert _speedups.Hasher.__module__ == "nora._speedups.digest_c"
    assert _speedups.split_oci_path.__module__ == "nora._speedups.names_c"


@pytest.mark.skipif(not switched_on("NORA_NO_EXTENSIONS"), reason="NORA_NO_EXTENSIONS is not set")
def test_twins_are_loaded() -> None:
    assert not _speedups.COMPILED
    assert _speedups.scan_manifest.__module__ == "nora._speedups.manifest_py"


def test_no_extensions() -> None:
    done = run(NORA_NO_EXTENSIONS="1")
    assert done.stdout.split() == ["False", "nora._speedups.manifest_py"]


def test_missing_extension_falls_back_for_all() -> None:
    done = run(HIDDEN + PROGRAM)
    assert done.stdout.split() == ["False", "nora._speedups.manifest_py"]


def test_missing_extension_that_is_required() -> None:
    done = run(HIDDEN + PROGRAM, NORA_REQUIRE_EXTENSIONS="1")
    assert done.returncode != 0
    assert "ImportError: NORA_REQUIRE_EXTENSIONS is set and a compiled module is missing" in done.stderr
    assert "C compiler" in done.stderr


def test_contradiction_is_refused() -> None:
    done = run(NORA_REQUIRE_EXTENSIONS="1", NORA_NO_EXTENSIONS="1")
    assert done.returncode != 0
    assert "contradict" in done.stderr


@pytest.mark.parametrize("value", ["", "0"])
def test_switched_off(value: str) -> None:
    assert run(NORA_NO_EXTENSIONS=value, NORA_REQUIRE_EXTENSIONS=value).stdout == run().stdout


def test_everything_is_exported_and_in_order() -> None:
    assert sorted(_speedups.__all__) == sorted(set(_speedups.__all__))
    for name in _speedups.__all__:
        assert hasattr(_speedups, name)


@each("name", _speedups.MODULES)
def test_both_offer_the_same(name: str) -> None:
    twin = import_module(f"nora._speedups.{name}_py")
    compiled = pytest.importorskip(f"nora._speedups.{name}_c", exc_type=ImportError)
    for exported in set(_speedups.__all__) & set(vars(twin)):
        ours, theirs = getattr(twin, exported), getattr(compiled, exported)
        if not callable(ours):
            assert ours == theirs
    assert public(twin) & set(_speedups.__all__) <= public(compiled)


def public(module: ModuleType) -> set[str]:
    return {name for name in vars(module) if not name.startswith("_")}


def test_nothing_else_of_nora_is_imported() -> None:
    program = "import sys; import nora._speedups; print(*[m for m in sys.modules if m.startswith('nora')])"
    for variables in ({}, {"NORA_NO_EXTENSIONS": "1"}):
        loaded = run(program, **variables).stdout.split()
        assert all(name == "nora" or name.startswith("nora._speedups") for name in loaded)
