"""Catalogs for tests: one is prepared as a server does it, the others are its copies, which take no time."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from nora.catalog.sqlite import SQLiteCatalog


def prepare_catalog(path: Path) -> None:
    """An empty catalog, ready to be opened; one that is there is brought up to date."""
    if path.exists():
        SQLiteCatalog.prepare(path)
    else:
        path.write_bytes(_empty())


@cache
def _empty() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "catalog"
        SQLiteCatalog.prepare(path)
        return path.read_bytes()
