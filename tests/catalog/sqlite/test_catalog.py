"""The SQLite catalog keeps the contract."""

from __future__ import annotations

from pathlib import Path

from nora.catalog.sqlite import SQLiteCatalog
from tests.contracts.catalog import CatalogContract
from tests.contracts.catalog_blocks import BlocksContract
from tests.contracts.catalog_cached import CachedContract
from tests.contracts.catalog_collection import CollectionContract
from tests.contracts.catalog_events import EventsContract
from tests.contracts.catalog_eviction import EvictionContract
from tests.contracts.catalog_files import FilesContract
from tests.contracts.catalog_histories import HistoriesContract
from tests.contracts.catalog_history import HistoryContract
from tests.contracts.catalog_overview import OverviewContract
from tests.contracts.catalog_pulls import PullsContract
from tests.contracts.catalog_purges import PurgesContract
from tests.contracts.catalog_quotas import QuotasContract
from tests.contracts.catalog_releases import ReleasesContract
from tests.contracts.catalog_search import SearchContract
from tests.contracts.catalog_verification import VerificationContract
from tests.support.catalogs import prepare_catalog


class _SQLite:
    def make(self, folder: Path) -> SQLiteCatalog:
        prepare_catalog(folder / "catalog.sqlite3")
        return SQLiteCatalog.open(folder / "catalog.sqlite3")


class TestSQLiteCatalog(_SQLite, CatalogContract):
    pass


class TestSQLiteFiles(_SQLite, FilesContract):
    pass


class TestSQLiteReleases(_SQLite, ReleasesContract):
    pass


class TestSQLiteCached(_SQLite, CachedContract):
    pass


class TestSQLitePurges(_SQLite, PurgesContract):
    pass


class TestSQLiteBlocks(_SQLite, BlocksContract):
    pass


class TestSQLiteEvents(_SQLite, EventsContract):
    pass


class TestSQLiteOverview(_SQLite, OverviewContract):
    pass


class TestSQLiteHistory(_SQLite, HistoryContract):
    pass


class TestSQLiteSearch(_SQLite, SearchContract):
    pass


class TestSQLitePulls(_SQLite, PullsContract):
    pass


class TestSQLiteCollection(_SQLite, CollectionContract):
    pass


class TestSQLiteHistories(_SQLite, HistoriesContract):
    pass


class TestSQLiteEviction(_SQLite, EvictionContract):
    pass


class TestSQLiteVerification(_SQLite, VerificationContract):
    pass


class TestSQLiteQuotas(_SQLite, QuotasContract):
    pass
