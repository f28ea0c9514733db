"""Copying what is stored from one blob store to another, while a server serves from the first or not.

Objects never change and are named by digest and generation, in a directory as in a bucket; the catalog stays
where it is. So a migration copies the objects that rows name and the other store does not have, under the
same names, and every byte is compared with its digest on the way. What was copied is found by the listing of
the other store: whoever was stopped, in whichever way, runs it again. Nothing is deleted.

The folders of objects are gone through one after the other: what is in memory at a time are the rows and
listings of a 256th of the store, and pieces of a few objects.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast

from nora._speedups import Hasher
from nora.blobs.bodies import SMALL_BYTES
from nora.blobs.files import LockedTempFile
from nora.blobs.hashes import DamagedBlob, new_generation
from nora.blobs.layout import SHARDS, Layout
from nora.blobs.opening import open_store
from nora.catalog.records import NewBlob
from nora.errors import StorageBusy, StorageFailed
from nora.locks import FileLock
from nora.upkeep.removal import nothing_removed

if TYPE_CHECKING:
    from nora.blobs.base import BlobStore
    from nora.blobs.disk import Disk
    from nora.blobs.layout import StoredObject
    from nora.catalog.base import Catalog
    from nora.catalog.records import Blob
    from nora.config import Config
    from nora.upkeep.progress import Progress
    from nora.upkeep.verification import Pace

Place = Literal["local", "s3"]

AT_ONCE: Final = 32
"""Objects on their way: a bucket answers each after a while, however small it is (5,000 of 2 kB to one that
takes 30 ms: 27 s with 8, 12 s with 32)."""
LARGE_AT_ONCE: Final = 8
"""Of them those larger than 64 KiB: each takes room on the disk, and fills the line by itself."""
MOST_PROBLEMS: Final = 1000
"""That are named; all are counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An object that was not copied, because it is not what it should be."""

    digest: str
    size: int
    problem: str
    """`missing`, `damaged`, or `unreadable: ` and why."""


@dataclass(slots=True)
class Pass:
    """What one look at all that rows name has found and done. Sizes are in bytes."""

    blobs: int = 0
    """That rows name."""
    bytes: int = 0
    copied: int = 0
    copied_bytes: int = 0
    wrong: int = 0
    problems: list[Problem] = field(default_factory=list)

    def note(self, blob: Blob, problem: str) -> None:
        """An object is wrong."""
        self.wrong += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(blob.digest, blob.size, problem))


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration has found and done. Sizes are in bytes."""

    blobs: int
    """That rows named at the end; all but the wrong ones are in the store that was copied to."""
    bytes: int
    copied: int
    """By this run."""
    copied_bytes: int
    wrong: int
    problems: list[Problem]
    is_served: bool
    """Whether a server runs, which may have stored more meanwhile."""
    is_complete: bool
    """Whether the other store had all of it when it was looked at last, and nothing more can have come."""


async def migrate(
    config: Config, catalog: Catalog, source: Place, target: Place, pace: Pace, progress: Progress
) -> Migrated:
    """Copy what is missing in `target` from `source`, both as the configuration says where they are, no
    faster than `pace`.

    Where no server runs, none starts meanwhile. Raises StorageFailed, StorageFull, StorageBusy when a store
    cannot be asked or has no room: what was copied stays, and the next run goes on.
    """
    layout = Layout(config.storage.path)
    with (
        closing(FileLock(config.storage.path / "nora.lock", announce=True)) as lock,
        closing(open_store(_stored_in(config, source), layout)) as old,
        closing(open_store(_stored_in(config, target), layout)) as new,
    ):
        is_served = not lock.acquire(block=False)
        await new.disk.run(layout.create)
        await new.check()
        async with nothing_removed(layout, progress):
            migration = Migration(catalog, old, new, new.disk, layout, pace, progress)
            first = last = await migration.copy_missing("blobs")
            if first.copied:  # what came meanwhile; and whether what was copied is there
                last = await migration.copy_missing("what came meanwhile")
    copied = first.copied if first is last else first.copied + last.copied
    copied_bytes = first.copied_bytes if first is last else first.copied_bytes + last.copied_bytes
    is_complete = not (is_served or last.copied or last.wrong)
    return Migrated(
        last.blobs, last.bytes, copied, copied_bytes, last.wrong, last.problems, is_served, is_complete
    )


class Migration:
    """Copies from one store to another. No object is removed meanwhile: the removal lock is held."""

    def __init__(
        self,
        catalog: Catalog,
        source: BlobStore,
        target: BlobStore,
        disk: Disk,
        layout: Layout,
        pace: Pace,
        progress: Progress,
    ) -> None:
        """What is on its way is a file below `layout`, written by the threads of `disk`."""
        self._catalog = catalog
        self._source = source
        self._target = target
        self._disk = disk
        self._layout = layout
        self._pace = pace
        self._progress = progress
        self._room_for_large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def copy_missing(self, what: str) -> Pass:
        """Copy what the target does not have; `what` is told of it. See `migrate` for what it raises."""
        found = Pass()
        _, size = await self._catalog.measure_blobs()
        self._progress.expect(size, what)
        running: set[asyncio.Task[None]] = set()
        try:
            for shard in SHARDS:
                for one in await self._find_missing(shard, found):
                    if len(running) >= AT_ONCE:
                        running = await _wait(running, asyncio.FIRST_COMPLETED)
                    running.add(asyncio.ensure_future(self._take(one, found)))
            await _wait(running, asyncio.ALL_COMPLETED)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return found

    async def _find_missing(self, shard: str, found: Pass) -> list[_Missing]:
        """The rows come first: the object of a row is there before it."""
        rows = await self._catalog.list_shard(shard)
        if not rows:
            return []
        there = _sizes(await self._target.list_objects(shard))
        missing = [one for one in rows if there.get((one.digest, one.generation)) != one.size]
        found.blobs += len(rows)
        found.bytes += (size := sum(one.size for one in rows))
        self._progress.advance(size - sum(one.size for one in missing))
        if not missing:
            return []
        held = _sizes(await self._source.list_objects(shard))
        names = [(one.digest, one.generation) for one in missing]
        return [
            _Missing(one, held.get(name), name in there) for one, name in zip(missing, names, strict=True)
        ]

    async def _take(self, missing: _Missing, found: Pass) -> None:
        blob = missing.blob
        problem = missing.problem
        while not problem:
            try:
                async with self._room_for_large if blob.size > SMALL_BYTES else nullcontext():
                    await self._copy(missing)
            except _Wrong as wrong:
                problem = str(wrong)
            except _Emptied:
                continue
            else:
                found.copied += 1
                found.copied_bytes += blob.size
                return
        if await self._is_live(blob):
            found.note(blob, problem)

    async def _copy(self, missing: _Missing) -> None:
        """Raises _Wrong, and _Emptied when it is to be tried again."""
        blob, hasher = missing.blob, Hasher("sha256")
        temp = LockedTempFile(self._layout.temp(new_generation()))
        try:
            await self._disk.run(self._begin, temp, blob.size)
            async with aclosing(self._pieces(blob)) as pieces:
                async for piece in pieces:
                    await self._disk.run(hasher.write, temp.fd, piece, hasher.size)
                    self._progress.advance(len(piece))
                    await self._pace.keep(len(piece))
            if hasher.size != blob.size or hasher.hexdigest("sha256") != blob.digest.encoded:
                raise _Wrong("damaged")
            new = NewBlob(blob.digest, blob.size, hasher.xxh3(), blob.generation)
            if missing.is_to_be_replaced:
                await self._target.remove(new)
            try:
                await self._target.adopt(temp, new)
            except StorageFailed as error:
                if not await asyncio.to_thread(Path(temp.path).exists):
                    raise _Emptied from error
                raise
        finally:
            if temp.made:
                with suppress(StorageFailed):  # what stays is swept
                    await self._disk.run(temp.discard)

    def _begin(self, temp: LockedTempFile, size: int) -> None:
        self._disk.require_room(size)
        temp.create()

    async def _pieces(self, blob: Blob) -> AsyncGenerator[bytes, None]:
        """What is read. Raises _Wrong for what cannot be."""
        try:
            stream = cast("AsyncGenerator[bytes, None]", self._source.stream(blob, 0, blob.size))
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    yield piece
        except StorageBusy:
            raise
        except DamagedBlob as error:
            raise _Wrong("damaged") from error
        except StorageFailed as error:
            raise _Wrong(f"unreadable: {error}") from error

    async def _is_live(self, blob: Blob) -> bool:
        """Whether the row still names this object: it may have been collected, or put again, meanwhile."""
        live = await self._catalog.find_blob(blob.digest)
        return live is not None and live.generation == blob.generation


@dataclass(frozen=True, slots=True)
class _Missing:
    """An object that the target does not have, or not with its size."""

    blob: Blob
    held: int | None
    """How many bytes the source has of it; None: it has none."""
    is_to_be_replaced: bool
    """Whether the target has it with another size."""

    @property
    def problem(self) -> str:
        """Why it cannot be copied; empty: it can be tried."""
        if self.held is None:
            return "missing"
        return "" if self.held == self.blob.size else "damaged"


class _Wrong(Exception):
    """An object is not what it should be, and its text says in which way."""


class _Emptied(Exception):
    """The file is gone: a server that starts removes what those before have left."""


async def _wait(running: set[asyncio.Task[None]], when: str) -> set[asyncio.Task[None]]:
    """Those that still run. Raises what one has raised."""
    if not running:
        return running
    done, rest = await asyncio.wait(running, return_when=when)
    for task in done:
        task.result()
    return rest


def _sizes(objects: list[StoredObject]) -> dict[tuple[str, int], int]:
    return {(one.digest, one.generation): one.size for one in objects if not one.is_draft}


def _stored_in(config: Config, place: Place) -> Config:
    return replace(config, storage=replace(config.storage, mode=place))
