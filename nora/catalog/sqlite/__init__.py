"""The embedded catalog: SQLite with a write-ahead log, one file in the data directory."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Self

from nora.catalog.sqlite import preparation, queries, repositories
from nora.catalog.sqlite.blobs import Blobs
from nora.catalog.sqlite.blocks import BlockRows
from nora.catalog.sqlite.cached import CachedFiles
from nora.catalog.sqlite.collection import Collection
from nora.catalog.sqlite.engine import translate
from nora.catalog.sqlite.events import Events
from nora.catalog.sqlite.files import Files
from nora.catalog.sqlite.histories import Histories
from nora.catalog.sqlite.history import History
from nora.catalog.sqlite.packages import Packages
from nora.catalog.sqlite.pulls import Pulls
from nora.catalog.sqlite.purges import Purges
from nora.catalog.sqlite.quotas import Quotas
from nora.catalog.sqlite.search import Search
from nora.catalog.sqlite.tags import Tags
from nora.catalog.sqlite.tokens import Tokens
from nora.catalog.sqlite.uploads import Uploads
from nora.catalog.sqlite.verification import Verification
from nora.catalog.sqlite.versions import Versions
from nora.catalog.sqlite.webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nora.model import Repository, RepositorySpec


class SQLiteCatalog(
    Packages,
    Versions,
    Tags,
    Files,
    CachedFiles,
    Purges,
    Blobs,
    Collection,
    BlockRows,
    Uploads,
    Tokens,
    History,
    Events,
    Webhooks,
    Search,
    Pulls,
    Histories,
    Verification,
    Quotas,
):
    """See nora.catalog.base.Catalog for what the methods promise, `Executor` for how they read and write."""

    @staticmethod
    def prepare(
        path: Path,
        *,
        allow_fuse: bool = False,
        find_object: preparation.FindObject = lambda: None,
    ) -> None:
        """Create or migrate the catalog, and look for damage, in bounded time.

        For the supervising process, under the lock of the data directory and before its workers start;
        nothing stays open. Raises CatalogUnusable, whose message says why and what to do. `allow_fuse`
        accepts a FUSE file system, for tests that inject faults. `find_object` says whether blobs are stored:
        beside them no catalog is made.
        """
        preparation.prepare(path, allow_fuse=allow_fuse, find_object=find_object)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The catalog of a worker; `prepare` has run. Nothing is opened until the first call."""
        return cls(path)

    async def sync_repositories(self, specs: Sequence[RepositorySpec]) -> dict[str, Repository]:
        try:
            ids, known = repositories.load(self._reader)
        except sqlite3.Error as error:
            raise translate(error) from error
        if all(known.get(spec.name) == spec for spec in specs):  # each start but the first
            return repositories.build(specs, ids)
        return await self._write(lambda db: repositories.sync(db, specs))

    async def check(self) -> None:
        await self._write(lambda db: db.execute(queries.WRITE_PROBE, (time.time(),)).rowcount)
