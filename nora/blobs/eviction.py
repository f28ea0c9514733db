"""What came from upstreams goes when nobody has used it for long, or when there is too much of it, what is
unused for longest first: it can be fetched again. See nora.blobs.collection for how its bytes go then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Final

from nora.blobs.collection import PAGE, Sum

if TYPE_CHECKING:
    from nora.catalog.collection import Collection as Rows
    from nora.catalog.collection import UsedBytes

PERIOD: Final = 3600
"""Seconds. When something was last used is recorded by the hour."""
IN_USE: Final = 2 * PERIOD
"""Seconds for which what was used stays, however much there is."""


class Evictor:
    """Does it."""

    def __init__(
        self,
        catalog: Rows,
        *,
        unused_ttl: float | None,
        max_bytes: int | None,
        kept: Collection[int] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """What was not used for `unused_ttl` seconds goes, and what is more than `max_bytes`; None is no
        limit. Of the repositories `kept` nothing goes: their upstreams are not asked. `clock`: seconds since
        the epoch."""
        self._catalog = catalog
        self._unused_ttl = unused_ttl
        self._max_bytes = max_bytes
        self._kept = kept
        self._clock = clock

    async def plan(self) -> Sum:
        """What was used too long ago, each blob once. Raises StorageFailed."""
        if not self._is_limited:
            return Sum()
        used = await self._catalog.sum_cached(PERIOD)
        before = self._end(used)
        old = [one for one in used if one.until <= before]
        return Sum(sum(one.blobs for one in old), sum(one.bytes for one in old))

    async def first_unused(self, limit: int) -> list[tuple[int, str]]:
        """Some of what was used too long ago: the ids of repositories, and paths. Raises StorageFailed."""
        found: list[tuple[int, str]] = []
        if not self._is_limited:
            return found
        before = self._end(await self._catalog.sum_cached(PERIOD) if self._max_bytes is not None else ())
        for repository in await self._catalog.list_proxies():
            after: str | None = None if repository in self._kept else ""
            while after is not None and len(found) < limit:
                page = await self._catalog.list_unused(repository, after, PAGE, unused_since=before)
                found += [(repository, path) for path in page.paths]
                after = page.after
                await asyncio.sleep(0)
        return found[:limit]

    async def evict(self) -> Sum:
        """Drop it; which blobs nothing needs any more, and are doomed, for that reason. Raises
        StorageFailed."""
        doomed = Sum()
        if not self._is_limited:
            return doomed
        before = self._end(await self._catalog.sum_cached(PERIOD) if self._max_bytes is not None else ())
        for repository in await self._catalog.list_proxies():
            after: str | None = None if repository in self._kept else ""
            while after is not None:
                page = await self._catalog.list_unused(repository, after, PAGE, unused_since=before)
                if page.paths:
                    doomed.add(
                        await self._catalog.drop_unused(
                            repository, page.paths, unused_since=before, now=self._clock()
                        )
                    )
                after = page.after
                await asyncio.sleep(0)
        return doomed

    @property
    def _is_limited(self) -> bool:
        return self._unused_ttl is not None or self._max_bytes is not None

    def _end(self, used: Iterable[UsedBytes]) -> float:
        """What was last used before this goes: the end of a period."""
        now = self._clock()
        before = 0.0 if self._unused_ttl is None else now - self._unused_ttl
        total = 0
        for one in used:
            total += one.bytes
            if self._max_bytes is not None and total > self._max_bytes:
                before = max(before, min(one.until, now - IN_USE))
                break
        return before // PERIOD * PERIOD
