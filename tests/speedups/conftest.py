"""Every test here runs on both implementations: the pure twins and the compiled modules."""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType

import pytest


def load(name: str, twin: str) -> ModuleType:
    """The module `name` as `py` or `c`; skips where the compiled one is not built, unless it is required."""
    module = f"nora._speedups.{name}_{twin}"
    if twin == "py" or os.environ.get("NORA_REQUIRE_EXTENSIONS", "0") not in {"", "0"}:
        return import_module(module)
    return pytest.importorskip(module, reason=f"{module} is not built", exc_type=ImportError)


@pytest.fixture(params=["py", "c"])
def twin(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def names(twin: str) -> ModuleType:
    return load("names", twin)


@pytest.fixture
def ranges(twin: str) -> ModuleType:
    return load("ranges", twin)


@pytest.fixture
def digest(twin: str) -> ModuleType:
    return load("digest", twin)


@pytest.fixture
def manifest(twin: str) -> ModuleType:
    return load("manifest", twin)


@pytest.fixture
def files(twin: str) -> ModuleType:
    return load("files", twin)
