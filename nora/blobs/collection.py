"""Garbage collection, beside everything else that reads and writes: see nora.catalog.collection for its two
phases, and what is needed.

Beside blobs that nothing needs, objects are collected that no row names: a crash leaves them between the
object and its row. A run looks at everything before it changes anything, so that a read that fails stops it
with nothing deleted. It may be killed at any moment: what is doomed stays doomed, and an object that is gone
may be removed again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar

from nora.blobs.layout import SHARDS
from nora.errors import Conflict, StorageBusy, StorageFailed
from nora.locks import FileLock

if TYPE_CHECKING:
    from pathlib import Path

    from nora.blobs.layout import StoredObject
    from nora.catalog.collection import Collection
    from nora.catalog.records import Blob
    from nora.model import Digest

_log = logging.getLogger(__name__)

PAGE: Final = 500
"""Blobs that a step looks at, and a transaction changes at most."""
MOST_STRAYS: Final = 100
"""More objects without rows, when they are most of all, are not the garbage of crashes."""
MOST_FIRST: Final = 50
"""Of what is counted, for people to look at."""
MOST_STUCK: Final = 20
"""When more objects cannot be removed, it is the store that cannot."""

Object = TypeVar("Object", "Blob", "StoredObject")
Phase = Literal["blobs", "objects", "dooming", "removing"]
Report = Callable[[Phase, int, int], None]
"""Is told what is being done, and how much of how much of it."""


class Objects(Protocol):
    """What of a blob store is needed. See nora.blobs.base."""

    async def remove_all(self, blobs: Sequence[Blob | StoredObject]) -> None: ...

    async def list_objects(self, shard: str) -> list[StoredObject]: ...


@dataclass(slots=True)
class Sum:
    """How many, and how many bytes these have."""

    count: int = 0
    bytes: int = 0
    first: list[Blob | StoredObject] = field(default_factory=list, compare=False)
    """Some of them."""

    def add(self, these: Iterable[Blob | StoredObject]) -> None:
        """Count more of them."""
        for one in these:
            self.count += 1
            self.bytes += one.size
            if len(self.first) < MOST_FIRST:
                self.first.append(one)

    def plus(self, other: Sum) -> Sum:
        """Both."""
        first = [*self.first, *other.first][:MOST_FIRST]
        return Sum(self.count + other.count, self.bytes + other.bytes, first)

    @property
    def blobs(self) -> str:
        """For people: `3 blobs (1.2 MB)`."""
        return self._named("blob")

    @property
    def objects(self) -> str:
        """For people: `3 objects (1.2 MB)`."""
        return self._named("object")

    def _named(self, noun: str) -> str:
        return f"{self.count} {noun}{'' if self.count == 1 else 's'} ({_readable(self.bytes)})"


@dataclass(frozen=True, slots=True)
class Garbage:
    """What there is to collect."""

    unneeded: Sum
    """Blobs that nothing needs."""
    strays: Sum
    """Objects that no row names."""
    doomed: Sum
    """What runs before have doomed, and is not removed yet."""
    objects: int
    """All objects there are."""

    @property
    def is_suspicious(self) -> bool:
        """Whether most of what is stored is named by no row."""
        return self.strays.count > max(MOST_STRAYS, self.objects // 2)


@dataclass(frozen=True, slots=True)
class Collected:
    """What a run has done."""

    doomed: Sum
    """Blobs, whose objects go when `unlink_delay` is over, unless that was in this run."""
    removed: Sum
    """Objects that are gone now: doomed ones and strays."""
    waiting: Sum
    """What is doomed and not removed yet."""
    kept: Sum = field(default_factory=Sum)
    """Strays that stay for a catalog that was put aside."""

    def and_removed(self, more: Sum) -> Collected:
        """The same after more of what was waiting is gone."""
        waiting = Sum(self.waiting.count - more.count, self.waiting.bytes - more.bytes)
        return replace(self, removed=self.removed.plus(more), waiting=waiting)


def _never() -> bool:
    return False


def _silent(phase: Phase, done: int, of: int) -> None:
    pass


class Collector:
    """Does it."""

    def __init__(
        self,
        catalog: Collection,
        store: Objects,
        *,
        grace: float,
        unlink_delay: float,
        removal_lock: Path,
        lease: float = 0.0,
        keeps_strays: Callable[[], bool] = _never,
        clock: Callable[[], float] = time.time,
        pace: float = 0.0,
    ) -> None:
        """Nothing that came less than `grace` seconds ago is collected. What is doomed goes `unlink_delay`
        seconds later: no request that had found it is still about to open it then. The file `removal_lock`
        is locked while objects are removed; who copies all of them locks it, and none goes meanwhile. An
        object without a row stays for a `lease`, too: the request that brought it may be under way. No
        stray goes while `keeps_strays`: another catalog may name it, which may be put back. After a step of
        so many seconds there is a pause of `pace` times as many, for those who serve. `clock`: seconds since
        the epoch."""
        self._catalog = catalog
        self._store = store
        self._grace = grace
        self._unlink_delay = unlink_delay
        self._removal_lock = removal_lock
        self._stray_age = max(grace, unlink_delay, lease)
        self._keeps_strays = keeps_strays
        self._clock = clock
        self._pace = pace

    async def plan(self, report: Report = _silent) -> Garbage:
        """What there is to collect. Changes nothing. Raises StorageFailed when something cannot be read."""
        unneeded, strays, objects = Sum(), Sum(), 0
        created_before, after, is_end = self._clock() - self._grace, 0, False
        while not is_end:
            with self._step() as step:
                page = await self._catalog.list_unneeded(
                    after, PAGE, created_before=created_before, now=self._clock()
                )
            unneeded.add(page.blobs)
            after, is_end = page.after, page.is_end
            report("blobs", after, page.last)
            await step.pause()
        for number, shard in enumerate(SHARDS):
            with self._step() as step:
                found, of = await self._find_strays(shard)
            strays.add(found)
            objects += of
            report("objects", number + 1, len(SHARDS))
            await step.pause()
        return Garbage(unneeded, strays, await self._waiting(), objects)

    async def collect(self, report: Report = _silent, *, allow_strays: bool = False) -> Collected:
        """Doom what nothing needs, and remove what was doomed long enough ago, and strays.

        Raises StorageFailed when something cannot be read - before anything is changed - or removed, and
        Conflict when most objects have no row, unless that is to be allowed: the catalog may not be theirs.
        """
        garbage = await self.plan(report)
        if garbage.is_suspicious and not allow_strays:
            raise Conflict(
                f"{garbage.strays.count} of {garbage.objects} stored objects are named by no row of the "
                "catalog, so nothing was collected: another registry may keep its blobs in the same place "
                "(give each a storage.s3_prefix or directory of its own), or the catalog may be older than "
                "the blobs. If they are garbage indeed: nora gc --apply --allow-strays"
            )
        doomed = await self._doom(report, garbage.unneeded.count)
        kept = garbage.strays if self._keeps_strays() and not allow_strays else Sum()
        removed = await self._remove(
            report, strays=garbage.strays.count - kept.count, delay=self._unlink_delay
        )
        return Collected(doomed, removed, await self._waiting(), kept)

    async def remove_doomed(self, *, delay: float | None = None) -> Sum:
        """Remove what was doomed `unlink_delay`, or another `delay`, ago; what that was."""
        delay = self._unlink_delay if delay is None else delay
        if not await self._catalog.list_doomed(self._clock() - delay, 1):
            return Sum()
        return await self._remove(_silent, strays=0, delay=delay)

    # -- what nothing needs ------------------------------------------------------------------------

    async def _doom(self, report: Report, planned: int) -> Sum:
        doomed = Sum()
        created_before, after, is_end = self._clock() - self._grace, 0, False
        while not is_end:
            with self._step() as step:
                page = await self._catalog.list_unneeded(
                    after, PAGE, created_before=created_before, now=self._clock()
                )
                doomed.add(
                    await self._catalog.doom_blobs(
                        page.blobs, created_before=created_before, now=self._clock()
                    )
                )
                if page.has_loose_links:
                    await self._catalog.release_links(after, page.after, created_before=created_before)
                after, is_end = page.after, page.is_end
            report("dooming", min(doomed.count, planned), planned)
            await step.pause()
        return doomed

    async def _waiting(self) -> Sum:
        """What is doomed."""
        return Sum(*await self._catalog.count_doomed())

    # -- what goes ---------------------------------------------------------------------------------

    async def _remove(self, report: Report, *, strays: int, delay: float) -> Sum:
        removed = Sum()
        with closing(FileLock(self._removal_lock)) as lock:
            if not lock.acquire(block=False):
                _log.info("objects are removed later: they are being copied, or removed by another process")
                return removed
            stuck: dict[Digest, StorageFailed] = {}
            await self._remove_rows(report, self._clock() - delay, removed, stuck)
            for shard in SHARDS if strays else ():
                with self._step() as step:
                    found, _ = await self._find_strays(shard)
                    removed.add(await self._remove_objects(found, stuck))
                report("removing", removed.count, removed.count)
                await step.pause()
        for error in stuck.values():
            raise error
        return removed

    async def _remove_rows(
        self, report: Report, before: float, removed: Sum, stuck: dict[Digest, StorageFailed]
    ) -> None:
        """Objects first: a row that stays leads to its object, which may be gone."""
        while True:
            listed = await self._catalog.list_doomed(before, PAGE + len(stuck))
            page = [one for one in listed if one.digest not in stuck]
            if not page:
                return
            with self._step() as step:
                gone = await self._remove_objects(page, stuck)
                await self._catalog.remove_doomed(gone)
                removed.add(gone)
            report("removing", removed.count, removed.count)
            await step.pause()

    async def _remove_objects(
        self, objects: list[Object], stuck: dict[Digest, StorageFailed]
    ) -> list[Object]:
        """Those that are gone then. One that cannot be removed keeps none that comes after it."""
        try:
            await self._store.remove_all(objects)
        except StorageBusy:
            raise
        except StorageFailed:
            pass
        else:
            return objects
        gone = []
        for one in objects:
            try:
                await self._store.remove_all([one])
            except StorageFailed as error:
                stuck[one.digest] = error
                if isinstance(error, StorageBusy) or len(stuck) > MOST_STUCK:
                    raise
            else:
                gone.append(one)
        return gone

    async def _find_strays(self, shard: str) -> tuple[list[StoredObject], int]:
        """Objects that no row names, and how many there are in all. A row may be on its way to an object
        that is new."""
        listed = await self._store.list_objects(shard)
        before = self._clock() - self._stray_age
        old = [one for one in listed if one.changed_at < before]
        strays = [one for one in old if one.is_draft]
        whole = [one for one in old if not one.is_draft]
        for start in range(0, len(whole), PAGE):
            names = {_name(one): one for one in whole[start : start + PAGE]}
            known = await self._catalog.find_objects([*names])
            strays += [one for name, one in names.items() if name not in known]
        return strays, len(listed)

    def _step(self) -> _Step:
        return _Step(self._pace)


class _Step:
    """Something that is done at once, and what is waited for after it."""

    def __init__(self, pace: float) -> None:
        self._pace = pace
        self._took = 0.0

    def __enter__(self) -> _Step:
        self._took = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._took = time.monotonic() - self._took

    async def pause(self) -> None:
        """Let others go first."""
        await asyncio.sleep(self._pace * self._took)


def _name(one: StoredObject) -> tuple[Digest, int]:
    return one.digest, one.generation


def _readable(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
