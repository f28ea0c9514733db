"""Collection: which blobs nothing needs any more, and how their rows go.

A blob is needed while a file is made of it, or while a package that holds it has a lease on it or a version
that refers to it by any of its digests: config, layers, children, whatever role. It goes in two phases. It is
*doomed* first, in a transaction: from then on no read finds it, and whoever brings the same bytes gets a row
and an object of its own. Its object and then its row are removed once nobody can be at it any more who found
it before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nora.catalog.records import Blob
from nora.model import Digest


@dataclass(frozen=True, slots=True)
class UnneededPage:
    """What a step over the blobs has found."""

    blobs: tuple[Blob, ...]
    """Those that nothing needs."""
    after: int
    """The id of the last that was looked at: where the next step begins."""
    last: int
    """The largest id there is."""
    has_loose_links: bool = False
    """Whether a package holds one of the blobs and does not need it, whoever else does."""

    @property
    def is_end(self) -> bool:
        """Whether there is nothing behind it."""
        return self.after >= self.last


@dataclass(frozen=True, slots=True)
class UsedBytes:
    """What of upstreams was last used in a period of time."""

    until: float
    """The end of the period, in seconds since the epoch."""
    blobs: int
    bytes: int


@dataclass(frozen=True, slots=True)
class UnusedPage:
    """What a step over the cached files of a repository has found."""

    paths: tuple[str, ...]
    """Those that were not used."""
    after: str | None
    """Where the next step begins; None: there is nothing behind it."""


class Collection(Protocol):
    """See nora.catalog.base for what holds for all methods. Times are seconds since the epoch."""

    async def list_unneeded(
        self, after: int, limit: int, *, created_before: float, now: float
    ) -> UnneededPage:
        """Look at so many blobs with ids above `after`: which are live, older, and not needed now?"""
        ...

    async def doom_blobs(self, blobs: Sequence[Blob], *, created_before: float, now: float) -> list[Blob]:
        """Doom those of some hundred blobs that are still not needed; which these were."""
        ...

    async def release_links(self, after: int, upto: int, *, created_before: float) -> int:
        """Take blobs with ids above `after`, up to `upto`, out of packages that need them no more: for no
        file, no reference, nor for a lease that has not been over since then; how many times."""
        ...

    async def list_doomed(self, doomed_before: float, limit: int) -> list[Blob]:
        """Blobs that were doomed before, the oldest first."""
        ...

    async def count_doomed(self) -> tuple[int, int]:
        """How many blobs are doomed, and how many bytes they have."""
        ...

    async def remove_doomed(self, blobs: Sequence[Blob]) -> None:
        """Remove the rows of some hundred doomed blobs whose objects are gone. A row that is not doomed
        stays."""
        ...

    async def find_objects(self, objects: Sequence[tuple[Digest, int]]) -> set[tuple[Digest, int]]:
        """Which of these objects (sha256, generation) a row names, live or doomed."""
        ...

    async def list_proxies(self) -> list[int]:
        """The repositories that have what came from upstreams, configured or not any more."""
        ...

    async def sum_cached(self, period: int) -> list[UsedBytes]:
        """The blobs that proxy repositories alone need, each once, by the period of so many seconds in which
        they were last used - or fetched, where they were not used since; the latest first. It walks them
        all."""
        ...

    async def list_unused(
        self, repository_id: int, after: str, limit: int, *, unused_since: float
    ) -> UnusedPage:
        """Look at so many files of a proxy repository behind the path `after`: which were neither used nor
        fetched since then?"""
        ...

    async def drop_unused(
        self, repository_id: int, paths: Sequence[str], *, unused_since: float, now: float
    ) -> list[Blob]:
        """Drop those of some hundred cached files that are still unused, with what only their versions
        needed; returns the blobs that nothing needs for that reason, which are doomed: grace is for what
        cannot be fetched again. Raises ValueError in a repository that is no proxy."""
        ...
