"""Tests of the blob store break single calls of the system, which compiled code does not look up."""

from __future__ import annotations

import pytest

from nora._speedups import files_py
from nora.blobs import disk


@pytest.fixture(autouse=True)
def small_files_by_the_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled one is seen by tests/speedups, by tests/faults, and by every test that runs a server."""
    monkeypatch.setattr(disk, "store_file", files_py.store_file)
