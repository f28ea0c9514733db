"""When cached files and documents were last used: gathered in memory, as a read does not write.

A background task records them in batches, and so does a stop. What is used all the time is recorded once in
`spacing` seconds: evictions think in days.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from nora.errors import NoraError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nora.catalog.base import Catalog

MOST_WAITING: Final = 10_000
"""Uses that wait for the next turn; more of them are lost, which makes a file look unused for longer."""
MOST_KNOWN: Final = 20_000
BATCH: Final = 500
"""In one change of the catalog: others get in between."""


class Uses:
    """Those that this process has seen."""

    def __init__(self, catalog: Catalog, clock: Callable[[], float], spacing: float) -> None:
        self._catalog = catalog
        self._clock = clock
        self._spacing = spacing
        self._waiting: dict[int, float] = {}
        self._known: dict[int, float] = {}
        """When the last use that was taken down was."""

    def note(self, file_id: int) -> None:
        """A file, by the id of its row, is used now."""
        now = self._clock()
        if now - self._known.get(file_id, -inf) < self._spacing or len(self._waiting) >= MOST_WAITING:
            return
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[file_id] = self._waiting[file_id] = now

    async def flush(self) -> None:
        """Record what waits. What raises StorageFailed or StorageBusy is lost, and noted at the next use."""
        waiting, self._waiting = self._waiting, {}
        try:
            uses = list(waiting.items())
            for start in range(0, len(uses), BATCH):
                await self._catalog.note_file_uses(dict(uses[start : start + BATCH]))
        except NoraError:
            self._known.clear()
            raise
