"""Garbage collection by the server: see nora.blobs.collection."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from nora.errors import StorageFailed
from nora.http.requested_jobs import MOST_EXAMPLES, Example, Outcome, Part
from nora.observability.audit import Note

if TYPE_CHECKING:
    from nora.blobs.collection import Collected, Collector, Sum
    from nora.blobs.eviction import Evictor
    from nora.config.collection import GcSettings
    from nora.http.requested_jobs import Report, RequestedJobs
    from nora.http.tasks import Exclusive
    from nora.observability.audit import Audit
    from nora.observability.metrics import Metrics

_log = logging.getLogger(__name__)

NAME: Final = "collect-garbage"
"""Of the job, also in the audit log."""
PLAN: Final = "plan-collection"
COLLECT: Final = "collect"
"""Of the jobs that somebody asks for."""
LOOK_SECONDS: Final = 60.0
"""Between looks at what may be removed by now."""


class CollectionJob:
    """What one of the workers does."""

    def __init__(
        self,
        settings: GcSettings,
        collector: Collector,
        evictor: Evictor,
        audit: Audit | None,
        metrics: Metrics,
        names: Mapping[int, str] | None = None,
    ) -> None:
        """`names` of repositories by their ids, as people read them."""
        self._settings = settings
        self._names = names or {}
        self._collector = collector
        self._evictor = evictor
        self._audit = audit
        self._removed = metrics.counter("nora_gc_blobs_removed")
        self._freed = metrics.counter("nora_gc_bytes_freed")
        self._failures = metrics.counter("nora_gc_stat_failures")
        self._set_duration = metrics.latest("nora_gc_duration_seconds")
        self._set_last_run = metrics.latest("nora_gc_last_run_timestamp")

    def jobs(self, exclusive: Exclusive) -> Iterator[asyncio.Task[None]]:
        """What is done from time to time. What a command has doomed is removed in any case."""
        seconds = min(LOOK_SECONDS, max(1.0, self._settings.unlink_delay))
        yield exclusive.every(seconds, self._remove, "remove-collected")
        if self._settings.enabled:
            yield exclusive.when_due(self._settings.interval, self._collect, NAME)

    def offer(self, requested: RequestedJobs) -> None:
        """What somebody may ask for, whether it is done from time to time or not."""
        requested.offer(PLAN, self._plan_requested)
        requested.offer(COLLECT, self._collect_requested)

    async def _plan_requested(self, report: Report) -> Outcome:
        unused = await self._evictor.plan()
        garbage = await self._collector.plan(report)
        unread = await self._evictor.first_unused(MOST_EXAMPLES // 2) if unused.count else []
        examples = [Example("unused", path, repository=self._names.get(id_, "")) for id_, path in unread]
        parts = {"unused": unused, "unneeded": garbage.unneeded, "strays": garbage.strays}
        return _outcome({**parts, "doomed": garbage.doomed}, examples)

    async def _collect_requested(self, report: Report) -> Outcome:
        unused, collected = await self._work(report)
        parts = {"unused": unused, "unneeded": collected.doomed, "removed": collected.removed}
        return _outcome({**parts, "kept": collected.kept, "doomed": collected.waiting})

    async def _remove(self) -> None:
        self._count(await self._collector.remove_doomed())

    async def _collect(self) -> str:
        """What came of it."""
        began, started_at = time.monotonic(), time.time()
        try:
            told = await (self._plan() if self._settings.dry_run else self._apply())
        except StorageFailed:
            self._failures.add()
            raise
        self._set_duration(time.monotonic() - began)
        self._set_last_run(started_at)
        _log.info("garbage collection: %s", told)
        return told

    async def _plan(self) -> str:
        unused, garbage = await self._evictor.plan(), await self._collector.plan()
        parts = [f"nothing needs {garbage.unneeded.blobs}", f"no row names {garbage.strays.objects}"]
        if unused.count:
            parts.insert(0, f"nobody used {unused.blobs} of upstreams")
        return "; ".join(parts)

    async def _apply(self) -> str:
        unused, collected = await self._work()
        told = f"collected {unused.plus(collected.doomed).blobs}, removed {collected.removed.objects}"
        if collected.kept.count:
            told += f", kept {collected.kept.objects} for a catalog that a restore has replaced"
        return told

    async def _work(self, report: Report | None = None) -> tuple[Sum, Collected]:
        """What of upstreams was dropped, and what was collected."""
        unused = await self._evictor.evict()
        collected = await (self._collector.collect() if report is None else self._collector.collect(report))
        doomed = unused.plus(collected.doomed)
        self._count(collected.removed)
        if self._audit is not None and doomed.count:
            self._audit.observe_job(NAME, Note("delete", name=doomed.blobs), "system")
        return unused, collected

    def _count(self, removed: Sum) -> None:
        self._removed.add(removed.count)
        self._freed.add(removed.bytes)


def _outcome(sums: Mapping[str, Sum], examples: Sequence[Example] = ()) -> Outcome:
    """As whoever has asked is told."""
    found = [*examples]
    for kind, one in sums.items():
        found += [Example(kind, str(each.digest), each.size) for each in one.first]
    return Outcome(
        tuple(Part(kind, one.count, one.bytes) for kind, one in sums.items()), tuple(found[:MOST_EXAMPLES])
    )
