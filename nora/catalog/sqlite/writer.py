"""The one thread of a process that writes the catalog, in group commits.

Changes queue while a commit waits for the disk; the next transaction takes all that have queued. So one
push alone pays one fsync and nothing else, and many pushes share one. Between processes the transactions
queue at a turnstile. A change that fails takes nothing with it: each runs in a savepoint of its own.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import suppress
from contextvars import Context, copy_context
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar

from nora.catalog.sqlite.engine import Connection, connect_writer, translate
from nora.errors import NoraError, StorageBusy, StorageFailed, StorageFull
from nora.locks import Turnstile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nora.catalog.sqlite.read_cache import Epochs

T = TypeVar("T")

QUEUE_LIMIT: Final = 4096
"""Changes that may wait; beyond it StorageBusy."""

GROUP_LIMIT: Final = 256
"""Changes in one transaction: bounds how long other processes wait at the turnstile."""

CHECKPOINT_GROUPS: Final = 16
"""Transactions that make a log long: it is then moved into the catalog in the first quiet moment."""

LONG_LOG_QUIET: Final = 0.05
SHORT_LOG_QUIET: Final = 1.0
"""Seconds without a change that count as quiet. An empty log is read faster, and its room on the disk is used
again, so that a delete works when there is no other. Commits that fill the log sooner fold it themselves."""


class Change:
    """What is to be done within a transaction, who waits for it, and what came of it."""

    __slots__ = ("apply", "context", "durable", "error", "future", "result", "slots")

    def __init__(
        self,
        apply: Callable[[Connection], Any],
        slots: set[int],
        durable: bool,
        future: asyncio.Future[Any],
    ) -> None:
        self.apply = apply
        self.context: Context = copy_context()
        """That of who waits: events say who wanted what they tell of (nora.catalog.events.CAUSE)."""
        self.slots = slots
        self.durable = durable
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None


class Writer:
    """Commits changes one group after the other. Made in the process that uses it, never before a fork."""

    def __init__(self, path: Path, epochs: Epochs) -> None:
        self._path = path
        self._epochs = epochs
        self._queue: SimpleQueue[Change | None] = SimpleQueue()
        self._closed = False
        self._turnstile = Turnstile(path)
        self._db: Connection | None = None
        self._full_sync: bool | None = None
        self._groups = 0
        self._settled = False
        """Whether it has looked at what processes before it left."""
        self._thread = threading.Thread(target=self._run, name="catalog-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Changes that are queued."""
        return self._queue.qsize()

    def submit(
        self, apply: Callable[[Connection], T], slots: set[int], *, durable: bool
    ) -> asyncio.Future[T]:
        """Queue a change; the future, of the running loop, resolves when it is committed.

        `slots` are those whose epochs it moves: answers about their packages may not be true any more. The
        change may add what it finds out to be touched; nobody else touches the set from here on.
        A waiter that is cancelled leaves the change in the queue: what was asked for is done. Raises
        StorageBusy when too many wait, StorageFailed after `close`.
        """
        if self._closed:
            raise StorageFailed("the catalog is closed")
        if self._queue.qsize() >= QUEUE_LIMIT:
            raise StorageBusy("too many changes wait for the catalog")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(Change(apply, slots, durable, future))
        return future

    async def close(self) -> None:
        """Commit what is queued, then end the thread. Not an error when closed already."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    # -- in the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        last = False
        while not last:
            group, last = self._next_group()
            if group:
                self._commit(group)
                _answer(group)
                self._groups += 1
        self._disconnect()
        self._turnstile.close()

    def _next_group(self) -> tuple[list[Change], bool]:
        group: list[Change] = []
        change = self._wait()
        while change is not None:
            group.append(change)
            if len(group) == GROUP_LIMIT:
                return group, False
            try:
                change = self._queue.get_nowait()
            except Empty:
                return group, False
        return group, True

    def _wait(self) -> Change | None:
        if self._groups:
            quiet = LONG_LOG_QUIET if self._groups >= CHECKPOINT_GROUPS else SHORT_LOG_QUIET
            try:
                return self._queue.get(timeout=quiet)
            except Empty:
                self._checkpoint()
        return self._queue.get()

    def _commit(self, group: list[Change]) -> None:
        """On a full disk once more, when the log, which has room of its own, could be emptied in between:
        another process may have read in it before."""
        self._transact(group)
        if full := [change for change in group if isinstance(change.error, StorageFull)]:
            uncertain = any(change.error.uncertain for change in full if isinstance(change.error, NoraError))
            if self._checkpoint():
                for change in full:
                    change.error = None
                self._transact(full, uncertain=uncertain)

    def _transact(self, group: list[Change], *, uncertain: bool = False) -> None:
        """One transaction. `uncertain`: another before it may have left the same in the log."""
        committing = uncertain
        try:
            db = self._prepared(any(change.durable for change in group))
            with self._turnstile:
                if not self._settled:
                    self._epochs.settle()
                    self._settled = True
                db.execute("BEGIN IMMEDIATE")
                try:
                    for change in group:
                        _apply(db, change)
                    with self._epochs.changing(set().union(*(change.slots for change in group))):
                        committing = True
                        db.execute("COMMIT")
                finally:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            for change in group:
                change.error = change.error or _failure(error, uncertain=committing)
            if not isinstance(_failure(error), (StorageBusy, StorageFull)):
                self._disconnect()  # what this connection remembers of the file cannot be trusted now

    def _prepared(self, full_sync: bool) -> Connection:
        """The connection, with the durability that the group needs: it cannot change in a transaction.

        NORMAL leaves the commit to the page cache, which outlives the process; FULL waits for the disk,
        also for what was committed with NORMAL before.
        """
        if self._db is None:
            self._db, self._full_sync = connect_writer(self._path), None
        if self._full_sync is not full_sync:
            self._db.execute(f"PRAGMA synchronous = {'FULL' if full_sync else 'NORMAL'}")
            self._full_sync = full_sync
        return self._db

    def _checkpoint(self) -> bool:
        """Move the log into the catalog. Returns whether all of it was moved: then it begins anew."""
        self._groups = 0
        if self._db is None:
            return False
        try:
            _, pages, moved = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:  # the log stays longer; the next commit that fails says why
            return False
        return bool(pages == moved)

    def _disconnect(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()


def _apply(db: Connection, change: Change) -> None:
    """Run one change so that it happens wholly or not at all, whatever becomes of the others.

    Raises what has ended the transaction of the whole group: SQLite rolls it back by itself after some
    failures.
    """
    db.execute("SAVEPOINT change")
    try:
        change.result = change.context.run(change.apply, db)
        if isinstance(change.result, sqlite3.Cursor):
            # Whoever drops it in another thread resets a statement that may be at work in this one
            change.result = None
            raise TypeError("a cursor may not leave the thread of the writer")
    except Exception as error:  # whatever it is, it belongs to who waits for the change
        change.error = _failure(error)
        if not db.in_transaction:
            raise
        db.execute("ROLLBACK TO change")
    db.execute("RELEASE change")


def _failure(error: Exception, *, uncertain: bool = False) -> Exception:
    """What a waiter hears: an object of its own, since raising it changes it.

    `uncertain`: it was the commit that failed. What it wrote to the log before may be found there, whole,
    when the log is read again: a commit that failed is not a rollback.
    """
    failure = translate(error) if isinstance(error, sqlite3.Error) else error
    if uncertain and isinstance(failure, NoraError):
        failure.uncertain = True
    return failure


def _answer(group: list[Change]) -> None:
    """Hand the outcomes to the loops that wait for them: nearly always one call for the whole group."""
    for loop in {change.future.get_loop() for change in group}:
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, [c for c in group if c.future.get_loop() is loop])


def _resolve(changes: list[Change]) -> None:
    for change in changes:
        if change.future.done():  # cancelled
            continue
        if change.error is None:
            change.future.set_result(change.result)
        else:
            change.future.set_exception(change.error)
