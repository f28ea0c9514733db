"""What there is, over all packages: for people who look, never for clients that fetch.

These read more than points do, so they run in a reader thread, and what they say is of one moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from nora.catalog.records import NamesFound, Outline, Summary


class Overview(Protocol):
    """See nora.catalog.base for what holds for all methods."""

    async def summarize(self) -> Summary:
        """How much there is. It reads all rows: a second for a million packages."""
        ...

    async def search_packages(
        self, repository_id: int, text: str, after: str, limit: int, scanned: int
    ) -> NamesFound:
        """Names after `after` that have `text` in them, whatever their case, of packages that hold anything
        (as `list_known_packages`), in byte order. At most `limit`, and no more than `scanned` names are
        looked at."""
        ...

    async def outline_packages(self, keys: Sequence[tuple[int, str]]) -> Mapping[tuple[int, str], Outline]:
        """What is to be said of packages (repository, name) in one line each; those that are there."""
        ...
