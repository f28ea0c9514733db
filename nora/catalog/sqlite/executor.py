"""How a process reads and writes the catalog: what the tables have in common.

Point reads run where they are awaited, on one connection of the event loop's thread: microseconds, with
nothing to switch to, and their answers are kept (see `read_cache`). Long listings have a thread and a
connection of their own. Writes go through the writer thread and commit in groups. All are made when they are
first used, so that a process that forks its workers may hold the object, but must not have used it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from nora.catalog.blocks import NOTHING, BlockSet
from nora.catalog.records import Blob, Cached, File, NewBlob
from nora.catalog.sqlite.block_rows import read_blocks
from nora.catalog.sqlite.engine import LISTING_CACHE, Connection, connect_reader, translate
from nora.catalog.sqlite.read_cache import ALL_SLOTS, BLOCKS_SLOT, UNKNOWN, Epochs, ReadCache, slot_of
from nora.catalog.sqlite.writer import Writer
from nora.errors import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

T = TypeVar("T")
Located = TypeVar("Located", File, Cached)

PAGE = 256
"""Rows that a listing reads in one step; in the event loop's thread when these are all (a millisecond)."""


class Executor:
    """One object serves one thread: that of the event loop which uses it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known_blocks: tuple[int, BlockSet] = (-1, NOTHING)
        """With the epoch under which they were read."""

    async def close(self) -> None:
        """Finish what is queued and let go of the engine."""
        if "_writer" in vars(self):
            await self._writer.close()
        if (thread := vars(self).pop("_thread", None)) is not None:
            thread.submit(self._close_listings)
            await asyncio.get_running_loop().run_in_executor(None, thread.shutdown)
        if "_reader" in vars(self):
            self._reader.close()

    def waiting_changes(self) -> int:
        """See nora.catalog.base.Engine."""
        return self._writer.waiting if "_writer" in vars(self) else 0

    # -- reads -------------------------------------------------------------------------------------

    def _row(self, query: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
        """The only row, or None. The queries end with it, so that no read stays open."""
        try:
            row: tuple[Any, ...] | None = self._reader.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise translate(error) from error
        return row

    def _rows(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._reader.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise translate(error) from error

    def _cached_read(
        self,
        recent: ReadCache[T],
        key: tuple[Any, ...],
        query: str,
        values: tuple[object, ...],
        make: Callable[..., T],
        *,
        keep_absence: bool = True,
    ) -> T | None:
        """The answer to a point read about a package: the one that is kept under the key, if it is true.

        The key begins with the repository and the name of the package. An absence is an answer, too, unless
        a change of another package may end it.
        """
        known = recent.get(key)
        if known is not UNKNOWN:
            return known
        slot = slot_of(key[0], key[1])
        epoch = self._epochs[slot]
        row = self._row(query, values)
        found = None if row is None else make(*row)
        self._refuse_blocked(key, found)
        if found is not None or keep_absence:
            recent.put(key, slot, epoch, found)
        return found

    def _cached_read_at(
        self,
        recent: ReadCache[Located],
        repository_id: int,
        path: str,
        query: str,
        make: Callable[..., Located],
    ) -> Located | None:
        """The answer to a point read of a path. See `file_slot` for the epoch under which it is kept."""
        key = (repository_id, path)
        known = recent.get(key)
        if known is not UNKNOWN:
            return known
        slot = file_slot(repository_id, path, None)
        epoch = self._epochs[slot]
        row = self._row(query, key)
        found = None if row is None else make(*row)
        self._refuse_blocked(key, found)
        if found is not None and found.package is not None:
            # Whose epoch to look at is known only now: the row counts if it is the same afterwards
            slot = file_slot(repository_id, path, found.package)
            epoch = self._epochs[slot]
            if self._row(query, key) != row:
                return found
        recent.put(key, slot, epoch, found)
        return found

    def blocks(self) -> BlockSet:
        """See nora.catalog.blocks.BlockRows.blocks."""
        epoch = self._epochs[BLOCKS_SLOT]
        known = self._known_blocks
        if known[0] == epoch:
            return known[1]
        try:
            found = read_blocks(self._reader, known[1])
        except sqlite3.Error as error:
            raise translate(error) from error
        self._known_blocks = (-1 if epoch & 1 else epoch, found)
        return found

    def _refuse_blocked(self, key: tuple[Any, ...], found: object) -> None:
        """Raise Blocked for a row that is about what is blocked. `key` as `_cached_read` has it: a tag is
        taken for a version, too. Only when a row is read: each change of the blocks moves all epochs."""
        blocks = self.blocks()
        if not blocks:
            return
        if isinstance(found, File | Cached):
            blocks.check(key[0], found.package, (found.version, *key[2:]), (found.blob.digest,))
        elif isinstance(found, Blob):
            blocks.check(key[0], key[1], digests=(found.digest, key[2]))

    def _slots_of_digests(self, *blobs: Blob | NewBlob) -> Iterable[int]:
        """All slots where a block names bytes by a digest that the catalog may know of them only from now on:
        what is recalled of them, in whatever package, may be blocked."""
        blocks = self.blocks()
        if not blocks:
            return ()
        aliases = (alias for blob in blobs if isinstance(blob, NewBlob) for alias in blob.aliases)
        return ALL_SLOTS if any(map(blocks.names, aliases)) else ()

    async def _listing(self, query: str, repository_id: int, package: str, make: Callable[..., T]) -> list[T]:
        """All that a package has of something, in the order of the first column, as of one moment.

        `query` answers a page - after a value of that column, of so many rows - as one JSON text: a row for
        each step would mean to wait for the interpreter lock at each, which takes seconds for some thousands
        of rows while the event loop is busy.
        """

        def page(db: Connection, after: str) -> list[list[Any]]:
            row = db.execute(query, (after, repository_id, package, PAGE)).fetchone()
            rows: list[list[Any]] = orjson.loads(row[0])
            return rows

        def everything() -> list[T]:
            db = self._listings
            db.execute("BEGIN")
            try:
                rows = page(db, "")
                values = [make(*row) for row in rows]
                while len(rows) == PAGE:
                    rows = page(db, rows[-1][0])
                    values += [make(*row) for row in rows]
            finally:
                db.execute("ROLLBACK")
            return values

        try:
            rows = page(self._reader, "")
            if len(rows) == PAGE:
                return await asyncio.get_running_loop().run_in_executor(self._thread, everything)
        except sqlite3.Error as error:
            raise translate(error) from error
        return [make(*row) for row in rows]

    async def _in_thread(self, read: Callable[[], T]) -> T:
        """What `read` finds with the connection of the thread."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, read)
        except sqlite3.Error as error:
            raise translate(error) from error

    def _close_listings(self) -> None:
        """In the thread: no other may close what that one has opened."""
        self._listings.close()

    # -- writes ------------------------------------------------------------------------------------

    async def _write(
        self,
        change: Callable[[Connection], T],
        *touched: tuple[int, str],
        slots: Iterable[int] = (),
        durable: bool = True,
    ) -> T:
        """Commit a change; `touched` are the packages (repository, name) of which answers may be kept, by
        their names or, beside these, by their slots."""
        moved = {slot_of(*package) for package in touched}.union(slots)
        return await self._writer.submit(change, moved, durable=durable)

    async def _write_found(
        self,
        change: Callable[[Connection, set[int]], T],
        *,
        known: Iterable[int] = (),
        durable: bool = True,
    ) -> T:
        """Commit a change that finds out by itself what it touches, beside slots that are known, and adds
        those slots to the set."""
        slots = set(known)
        return await self._writer.submit(lambda db: change(db, slots), slots, durable=durable)

    # -- made when they are first used -------------------------------------------------------------

    @cached_property
    def _reader(self) -> Connection:
        return connect_reader(self._path)

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, "catalog-reader")

    @cached_property
    def _listings(self) -> Connection:
        """The connection of the thread."""
        return connect_reader(self._path, LISTING_CACHE)

    @cached_property
    def _writer(self) -> Writer:
        return Writer(self._path, self._epochs)

    @cached_property
    def _epochs(self) -> Epochs:
        try:
            return Epochs(self._path)
        except OSError as error:
            raise StorageFailed(f"the epochs of the catalog cannot be mapped: {error.strerror}") from error


def file_slot(repository_id: int, path: str, package: str | None) -> int:
    """The slot of what is at a path: that of its package, and of the path when it has none or is absent.

    So whoever makes a file touches the path as well as the package, and whoever changes it the package.
    """
    return slot_of(repository_id, path if package is None else package)
