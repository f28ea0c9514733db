"""A thread with a connection of its own, for reads that take long: made when it is first used."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from nora.catalog.sqlite.engine import LISTING_CACHE, Connection, connect_reader, translate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


class ReaderThread:
    """Whoever reads in it waits for those who came before."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._executor = ThreadPoolExecutor(1, name)
        self._db: Connection | None = None

    async def read(self, read: Callable[[Connection], T]) -> T:
        """What `read` finds. Raises StorageFailed, StorageBusy."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._run, read)
        except sqlite3.Error as error:
            raise translate(error) from error

    def _run(self, read: Callable[[Connection], T]) -> T:
        if self._db is None:
            self._db = connect_reader(self._path, LISTING_CACHE)
        return read(self._db)

    async def close(self) -> None:
        """End it, when what is queued is read."""
        self._executor.submit(self._disconnect)
        await asyncio.get_running_loop().run_in_executor(None, self._executor.shutdown)

    def _disconnect(self) -> None:
        """In the thread: no other may close what that one has opened."""
        if self._db is not None:
            self._db.close()
