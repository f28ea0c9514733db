"""Every test here runs on both implementations: the pure twins and the compiled modules."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import pytest

Load = Callable[[str], ModuleType]


def load(name: str, kind: str) -> ModuleType:
    """The module `name` as `py` or `c`; skips where the compiled one is not built."""
    module = f"nora._speedups.{name}_{kind}"
    if kind == "py":
        return import_module(module)
    return pytest.importorskip(module, reason="the extensions are not built", exc_type=ImportError)


@pytest.fixture(params=["py", "c"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def names(kind: str) -> ModuleType:
    return load("names", kind)


@pytest.fixture
def digest(kind: str) -> ModuleType:
    return load("digest", kind)


@pytest.fixture
def manifest(kind: str) -> ModuleType:
    return load("manifest", kind)
