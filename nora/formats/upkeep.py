"""What an administrator looks after: how much is stored, by what, what is left, and what is done about it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nora.blobs.layout import Layout
from nora.blobs.scratch import ScratchLayout
from nora.catalog.records import Totals
from nora.formats import discover
from nora.formats.retention import Retention
from nora.formats.retention_plans import Plans
from nora.http.jobs import BACKUP, VERIFICATION, JobRecords
from nora.http.requested_jobs import RequestedJobs
from nora.observability.disk import measure

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.catalog.overview import Heavy, Idle
    from nora.catalog.quotas import Usage
    from nora.catalog.records import Summary
    from nora.config import Config
    from nora.formats.base import Format
    from nora.http.jobs import Job, Run
    from nora.model import Quota, Repository

MOST_SHOWN: Final = 20
"""Packages."""
FRESH_SECONDS: Final = 10.0
PATIENCE: Final = 50
"""What was counted is good for so many times what that took: the machine has other things to do."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a repository with rows, or all of a format, holds. What several hold is counted in each."""

    format: str
    name: str
    kind: str
    totals: Totals
    quota: Quota | None = None
    """How much it may hold; None: that is not limited."""


@dataclass(frozen=True, slots=True)
class Largest:
    """A package that takes much."""

    format: str
    repository: str
    """Under which it is looked at: where clients read it."""
    name: str
    versions: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Unused(Largest):
    """A package that nobody has used for long."""

    used_at: float
    """When it was pulled last, or something of it published, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class State:
    """All of it."""

    as_of: float
    """When it was counted, in seconds since the epoch."""
    blobs: int
    bytes: int
    """What is stored, each blob once."""
    formats: tuple[Stored, ...]
    repositories: tuple[Stored, ...]
    largest: tuple[Largest, ...]
    unused: tuple[Unused, ...]
    """What was unused for longest, this first."""
    free_bytes: int
    disk_bytes: int
    reserve_bytes: int
    catalog_bytes: int
    uploads: int
    """Sessions that are open."""
    doomed: int
    """Blobs that are collected, and whose objects are about to be removed."""
    doomed_bytes: int
    jobs: tuple[Job, ...]
    backup: Run | None
    """The last one that was made of this storage; None: none is known."""
    verification: Run | None
    """When all that is stored was compared last."""


class Upkeep:
    """Knows it. One per worker."""

    def __init__(
        self,
        catalog: Catalog,
        formats: Iterable[Format],
        repositories: Mapping[str, Repository],
        jobs: Callable[[], tuple[Job, ...]],
        *,
        root: Path,
        catalog_file: Path,
        reserve_bytes: int,
        plans: Plans,
    ) -> None:
        """`root` is the folder of the storage; `jobs` reads files, and is called in a thread."""
        self._catalog = catalog
        self._formats = tuple(formats)
        self._repositories = repositories
        self._jobs = jobs
        self._root = root
        locks = Path(ScratchLayout(root).locks)
        self._records = JobRecords(locks)
        self.requested = RequestedJobs(locks)
        """What may be asked for."""
        self._catalog_file = catalog_file
        self._reserve_bytes = reserve_bytes
        self.plans = plans
        """What rules would remove."""
        self._shown = dict(self._named())
        self._turn = asyncio.Lock()
        self._known: tuple[Summary, tuple[Heavy, ...], tuple[Idle, ...], float] | None = None
        self._good_until = float("-inf")

    @classmethod
    def build(
        cls,
        config: Config,
        catalog: Catalog,
        repositories: Mapping[str, Repository],
        jobs: Callable[[], tuple[Job, ...]],
    ) -> Upkeep:
        """As the configuration has it."""
        root = config.storage.path
        return cls(
            catalog,
            (one for one in discover() if config.enabled(one.name)),
            repositories,
            jobs,
            root=root,
            catalog_file=Layout(root).catalog,
            reserve_bytes=config.storage.reserve,
            plans=Plans(Retention(config, catalog, repositories)),
        )

    async def read(self) -> State:
        """How it is: what is counted as of a moment ago, all else now. Raises StorageFailed."""
        summary, heavy, idle, as_of = await self._counted()
        disk = await asyncio.to_thread(measure, self._root, self._catalog_file)
        repositories = tuple(self._stored(summary, await self._catalog.list_usage()))
        doomed, doomed_bytes = await self._catalog.count_doomed()
        return State(
            as_of=as_of,
            blobs=summary.blobs,
            bytes=summary.bytes,
            formats=tuple(sorted(self._by_format(repositories), key=lambda one: -one.totals.bytes)),
            repositories=tuple(sorted(repositories, key=lambda one: -one.totals.bytes)),
            largest=tuple(
                Largest(*self._shown[one.repository_id], one.name, one.versions, one.bytes)
                for one in heavy
                if one.repository_id in self._shown
            ),
            unused=tuple(
                Unused(*self._shown[one.repository_id], one.name, one.versions, one.bytes, one.used_at)
                for one in idle
                if one.repository_id in self._shown
            ),
            free_bytes=int(disk["nora_disk_free_bytes"]),
            disk_bytes=int(disk["nora_disk_bytes"]),
            reserve_bytes=self._reserve_bytes,
            catalog_bytes=int(disk["nora_catalog_bytes"]),
            uploads=await self._catalog.count_uploads(),
            doomed=doomed,
            doomed_bytes=doomed_bytes,
            jobs=await asyncio.to_thread(self._jobs),
            backup=await asyncio.to_thread(self._records.last, BACKUP),
            verification=await asyncio.to_thread(self._records.last, VERIFICATION),
        )

    async def _counted(self) -> tuple[Summary, tuple[Heavy, ...], tuple[Idle, ...], float]:
        async with self._turn:
            began = time.monotonic()
            if self._known is None or began >= self._good_until:
                summary = await self._catalog.summarize()
                heavy = await self._catalog.heaviest_packages(MOST_SHOWN)
                idle = await self._catalog.idlest_packages(MOST_SHOWN)
                self._known = summary, tuple(heavy), tuple(idle), time.time()
                ended = time.monotonic()
                self._good_until = ended + max(FRESH_SECONDS, PATIENCE * (ended - began))
            return self._known

    def _stored(self, summary: Summary, usage: Mapping[int, Usage]) -> Iterator[Stored]:
        """Of each repository that has rows of its own; a proxy is all of its sources."""
        for one in self._repositories.values():
            if one.kind != "group":
                found = [summary.repositories.get(number, Totals()) for number in one.row_ids]
                quota = usage[one.id].quota if one.id in usage else None
                yield Stored(one.format, one.name, one.kind, reduce(Totals.plus, found, Totals()), quota)

    def _by_format(self, repositories: tuple[Stored, ...]) -> Iterator[Stored]:
        for served in self._formats:
            own = (one.totals for one in repositories if one.format == served.name)
            yield Stored(served.name, served.title, "", reduce(Totals.plus, own, Totals()))

    def _named(self) -> Iterator[tuple[int, tuple[str, str]]]:
        """Of each repository with rows, its format and where clients read it: a group before itself."""
        for one in sorted(self._repositories.values(), key=lambda one: one.kind == "group"):
            for number in one.row_ids:
                yield number, (one.format, one.name)
