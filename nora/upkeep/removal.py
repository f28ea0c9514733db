"""Keeping objects where they are while all of them are copied."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Final

from nora.locks import FileLock

if TYPE_CHECKING:
    from nora.blobs.layout import Layout
    from nora.upkeep.progress import Progress

LOOK_SECONDS: Final = 0.5


@asynccontextmanager
async def nothing_removed(layout: Layout, progress: Progress) -> AsyncIterator[None]:
    """No object is removed within the block; waits for who is removing some, or copies them as well."""
    with closing(FileLock(layout.removal_lock)) as lock:
        while True:  # a thread that waits for it could not be stopped
            if lock.acquire(block=False):
                break
            progress.expect(0, "waiting for a collection, a backup or a migration")
            await asyncio.sleep(LOOK_SECONDS)
        yield
