"""Retention from time to time: one of all processes applies the rules, or tells what they would remove."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from nora.blobs.clock import PatientClock
from nora.formats.retention import Place, Retention, Totals, note_of
from nora.http.requested_jobs import MOST_EXAMPLES, Example, Outcome, Part
from nora.retention.plan import Removal

if TYPE_CHECKING:
    from nora.formats.base import Services
    from nora.http.requested_jobs import Report, RequestedJobs
    from nora.http.tasks import Exclusive
    from nora.model import Repository
    from nora.observability.audit import Audit
    from nora.observability.metrics import Metrics

_log = logging.getLogger(__name__)

NAME: Final = "retention"
"""Of the job, also in the audit log."""
PLAN: Final = "plan-retention"
APPLY: Final = "apply-retention"
"""Of the jobs that somebody asks for."""


class RetentionJob:
    """The job."""

    def __init__(
        self,
        services: Services,
        repositories: Mapping[str, Repository],
        audit: Audit | None,
        metrics: Metrics,
    ) -> None:
        config = services.config
        self._settings = config.retention
        clock = PatientClock()

        def retention(looked: Callable[[int], None]) -> Retention:
            forget = services.cache.forget_absences
            return Retention(config, services.catalog, repositories, forget, clock, looked)

        self._make = retention
        self._retention = retention(lambda _: None)
        self._audit = audit
        self._versions = metrics.counter("nora_retention_versions_deleted")
        self._bytes = metrics.counter("nora_retention_bytes_freed")
        self._seconds = metrics.latest("nora_retention_duration_seconds")
        self._ran_at = metrics.latest("nora_retention_last_run_timestamp")

    def jobs(self, one: Exclusive) -> Iterator[asyncio.Task[None]]:
        """As the configuration has it."""
        if self._settings.enabled and self._settings.rules:
            yield one.when_due(self._settings.interval, self.run, NAME)

    def offer(self, requested: RequestedJobs) -> None:
        """What somebody may ask for where there are rules, whether they are applied from time to time or
        not."""
        if self._settings.rules:
            requested.offer(PLAN, self._plan_requested)
            requested.offer(APPLY, self._apply_requested)

    async def _plan_requested(self, report: Report) -> Outcome:
        found = _ByRule()
        async for planned in self._make(lambda count: report("packages", count, 0)).plan():
            for one in planned.removals:
                found.add(planned.place, planned.package, one)
        return found.outcome()

    async def _apply_requested(self, report: Report) -> Outcome:
        found = _ByRule()

        def tell(place: Place, package: str, removal: Removal) -> None:
            self._tell(place, package, removal)
            found.add(place, package, removal)

        await self._make(lambda count: report("packages", count, 0)).apply(tell)
        return found.outcome()

    async def run(self) -> None:
        """Once. Raises StorageFailed."""
        began = time.monotonic()
        totals = await (self._tell_plan() if self._settings.dry_run else self._retention.apply(self._tell))
        self._seconds(round(time.monotonic() - began, 3))
        self._ran_at(round(time.time()))
        _log.info("retention: %s %s", totals, "would go" if self._settings.dry_run else "have gone")

    async def _tell_plan(self) -> Totals:
        totals = Totals()
        async for planned in self._retention.plan():
            totals.add(planned.removals)
            for one in planned.removals:
                place = planned.place.row.name
                _log.info("retention: %s %s %s would go: %s", place, planned.package, one.name, one.rule)
        return totals

    def _tell(self, place: Place, package: str, removal: Removal) -> None:
        self._versions.add(len(removal.versions) or len(removal.paths))
        self._bytes.add(removal.bytes)
        if self._audit is not None:
            self._audit.observe_job(NAME, note_of(place, package, removal), place.format.name)


class _ByRule:
    """What goes, counted by the rules."""

    def __init__(self) -> None:
        self._sums: dict[int, tuple[int, int]] = {}
        self._examples: list[Example] = []

    def add(self, place: Place, package: str, removal: Removal) -> None:
        number = removal.rule.number
        count, size = self._sums.get(number, (0, 0))
        self._sums[number] = count + 1, size + removal.bytes
        if len(self._examples) < MOST_EXAMPLES:
            example = Example(_kind(number), removal.name, removal.bytes, place.repository.name, package)
            self._examples.append(example)

    def outcome(self) -> Outcome:
        parts = [Part(_kind(number), *found) for number, found in sorted(self._sums.items())]
        return Outcome(tuple(parts), tuple(self._examples))


def _kind(number: int) -> str:
    return f"rule {number}"
