"""What was pulled: counted in memory for each file, as a read does not write, and recorded in batches.

A pull is a GET that was answered with the whole file (200, or a redirect to where its bytes are). A part of a
file (206) and one that the client has already (304) are a use: they say that it is needed, not that it was
pulled. A HEAD is neither. What a process has counted since the last batch is lost when it is killed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from nora.errors import NoraError

if TYPE_CHECKING:
    from blacksheep import Request

    from nora.catalog.pulls import FileKey, Pulls

MOST_WAITING: Final = 20_000
"""Files that are counted until the next turn; what is pulled beside them is not."""
BATCH: Final = 500
"""In one change of the catalog: others get in between."""
_FILE: Final = "nora.file"
"""Where a request has the file that it is answered with."""
_PULLS: Final = frozenset({200, 307})
_USES: Final = frozenset({206, 304})


def answer_with(request: Request, repository_id: int, path: str) -> None:
    """Say which file a request is answered with: it is pulled if the request counts as a download."""
    request.scope[_FILE] = repository_id, path  # type: ignore[typeddict-unknown-key]


def pulled_file(scope: dict[str, Any]) -> FileKey | None:
    """The file that a request pulls, if it does."""
    if scope.get("nora.event") != "download" or scope["method"] != "GET":
        return None
    return scope.get(_FILE)


class PullCounter:
    """What this process has seen since the last batch."""

    def __init__(self) -> None:
        self._counts: dict[FileKey, int] = {}

    def note(self, file: FileKey, status: int) -> None:
        """A GET of a file was answered. This is for each request."""
        counts = self._counts
        if file not in counts and len(counts) >= MOST_WAITING:
            return
        if status in _PULLS:
            counts[file] = counts.get(file, 0) + 1
        elif status in _USES:
            counts.setdefault(file, 0)

    async def flush(self, catalog: Pulls) -> None:
        """Record what was counted, as of now. What raises StorageFailed or StorageBusy is counted on, and
        recorded with the next batch."""
        counts, self._counts = self._counts, {}
        now = time.time()
        while counts:
            batch = [counts.popitem() for _ in range(min(BATCH, len(counts)))]
            try:
                await catalog.note_pulls(batch, now)
            except NoraError:
                for file, count in (*batch, *counts.items()):
                    self._counts[file] = self._counts.get(file, 0) + count
                raise
