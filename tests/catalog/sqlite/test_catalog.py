"""The SQLite catalog keeps the contract."""

from __future__ import annotations

from pathlib import Path

from nora.catalog.sqlite import SQLiteCatalog
from tests.contracts.catalog import CatalogContract


class TestSQLiteCatalog(CatalogContract):
    def make(self, folder: Path) -> SQLiteCatalog:
        SQLiteCatalog.prepare(folder / "catalog.sqlite3")
        return SQLiteCatalog.open(folder / "catalog.sqlite3")
