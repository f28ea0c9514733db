"""Cached files: what a proxy repository holds of its upstreams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from nora.catalog.records import Blob, Cached, NewCached, Part, Purged
from nora.model import Digest


class CachedFiles(Protocol):
    """The files that came from upstreams. See nora.catalog.base for what holds for all methods."""

    async def find_cached(self, repository_id: int, path: str) -> Cached | None:
        """What is cached at a path, fresh or not. Point lookup, cheap when asked again. A file that was
        published, not fetched, is not cached."""
        ...

    async def put_cached(self, repository_id: int, entry: NewCached, lease_seconds: float) -> Blob:
        """Keep what was fetched; returns the live blob row (see `publish` about its generation).

        Not durable by itself: it could be fetched again. With a package, that holds the blob from then on and
        its revision moves; the package and version of what was at the path before let go of it. Raises
        BlobNotFound as `publish` does, ValueError in a repository that is no proxy.
        """
        ...

    async def touch_cached(
        self,
        repository_id: int,
        path: str,
        *,
        validators: Mapping[str, str] | None,
        fetched_at: float,
        fresh_until: float,
    ) -> bool:
        """What is cached was found to be right still; `validators` replace the old ones when given. Not
        durable by itself. False when it is gone."""
        ...

    async def drop_cached(
        self,
        repository_id: int,
        path: str,
        *,
        holding: Blob | None = None,
        unused_since: float | None = None,
    ) -> bool:
        """The upstream has it no more: as `delete_files`, but only for what is cached. Whether there was
        anything.

        Only while what is cached is `holding`, and was neither used nor fetched since `unused_since`, where
        these are given: what was looked at before may be another one by now.
        """
        ...

    async def note_file_uses(self, uses: Mapping[int, float]) -> None:
        """Record when files (by id) were last used: of two times the later one. Not durable by itself."""
        ...

    async def list_idle_cached(self, repository_id: int, unused_since: float, limit: int) -> list[str]:
        """Paths of cached documents (those that are not for good) last used and fetched before then, those
        unused for longest first. To be fetched for the first time is a use."""
        ...

    async def purge_cached(self, repository_id: int, package: str, part: Part) -> Purged:
        """Remove what is cached of a package, or a part of it; documents about the rest are asked for again
        at their next use. Files whose path goes on after that of one that goes, from a dot on, go with it.

        Of a whole package nothing stays: not whose it is, nor that upstreams had nothing under its name.
        Raises ValueError in a repository that is no proxy: what was published is never cached.
        """
        ...

    async def list_cached_holders(self, repository_id: int, digest: Digest) -> list[str]:
        """Packages of a repository that hold a blob, by any of its digests."""
        ...

    async def purge_paths(self, repository_id: int, paths: Sequence[str]) -> Purged:
        """Remove cached files that belong to no package. Raises as `purge_cached`."""
        ...
