"""Pulls: how often what is here is fetched, and when it was last needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

FileKey = tuple[int, str]
"""Repository and path."""


class Pulls(Protocol):
    """See nora.catalog.base for what holds for all methods."""

    async def note_pulls(self, counts: Sequence[tuple[FileKey, int]], now: float) -> None:
        """Add to the pulls of some hundred files, of their versions and packages; all of them are used now,
        also where nothing is added. A file that is not there (any more) is passed over. Not durable by
        itself, and no revision moves."""
        ...

    async def read_pulls(
        self, repository_id: int, package: str, versions: Sequence[str]
    ) -> Mapping[str, tuple[int, float | None]]:
        """How often some hundred versions of a package were pulled, and when last in seconds since the epoch;
        one that is not there is left out."""
        ...
