"""Leases: how long content that no version needs yet is safe from collection.

An ingest, a mount and a publish take a lease in their own transaction. A HEAD that finds a blob tells the
client not to upload it again, so it renews the lease too; but a read does not write, so these renewals are
noted in memory and flushed in batches.
"""

from __future__ import annotations

import time

from nora.catalog.base import Catalog
from nora.catalog.records import Blob
from nora.model import Digest

_MAX_NOTED = 10_000


class Leases:
    """The renewals that one worker has noted. A renewal is lost with its worker: at least half of a
    lease is left then."""

    def __init__(self, catalog: Catalog, seconds: float) -> None:
        self._catalog = catalog
        self.seconds = seconds
        """How long a lease lasts."""
        self._noted: set[tuple[int, str, Digest]] = set()

    def note(self, repository_id: int, package: str, blob: Blob) -> None:
        """Remember to renew the lease of a blob in a package, once half of it has passed."""
        if blob.lease_until - time.time() < self.seconds / 2 and len(self._noted) < _MAX_NOTED:
            self._noted.add((repository_id, package, blob.digest))

    async def flush(self) -> None:
        """Renew what was noted, in one transaction."""
        if self._noted:
            noted, self._noted = self._noted, set()
            await self._catalog.renew_leases(noted, self.seconds)
