"""What is counted is kept in the catalog: for charts, and so that a restart takes nothing from the counters.

Series are named by what is counted and its labels, `downloads <registry>`. Whichever process holds the lock
of the job notes them once a minute: a server that is killed loses that much at most. The parent of the next
server puts the sums before the counters of its workers (`restore`), so that they go on where they were.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from nora.catalog.records import Totals
from nora.errors import NoraError
from nora.observability.metrics import counter_key

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.catalog.records import Summary
    from nora.observability.metrics import Metrics
    from nora.observability.shared import SharedMemory

RECORD_SECONDS: Final = 60.0
PATIENCE: Final = 100
"""How much there is is looked at no more often than every so many times what that takes."""

_log = logging.getLogger(__name__)


class Kept(NamedTuple):
    """A metric that is kept."""

    family: str
    labels: tuple[str, ...]


KEPT: Final[Mapping[str, Kept]] = {
    "downloads": Kept("nora_downloads", ("registry",)),
    "uploads": Kept("nora_uploads", ("registry",)),
    "served": Kept("nora_served_bytes", ("registry", "origin")),
    "received": Kept("nora_received_bytes", ("registry",)),
    "cache": Kept("nora_cache_requests", ("registry", "result")),
}
"""By the first word of the names of its series."""
ARTIFACTS, STORED = "artifacts", "stored"
"""The first words of series that say how much there is: of each registry, and alone of all."""


def series(what: str, *labels: str) -> str:
    """The name of a series."""
    return " ".join((what, *labels))


def restore(memory: SharedMemory, sums: Mapping[str, float]) -> None:
    """Let counters begin with these sums. In the parent process, before there are workers."""
    for name, value in sums.items():
        what, *labels = name.split(" ")
        kept = KEPT.get(what)
        if kept is not None and len(labels) == len(kept.labels):
            key = counter_key(kept.family, *zip(kept.labels, labels, strict=True))
            memory.before.value(key).set(value)


class Recorder:
    """Notes what is counted, and how much there is, for one of the worker processes."""

    def __init__(
        self,
        catalog: Catalog,
        metrics: Metrics,
        formats: Mapping[int, str],
        measure_disk: Callable[[], Awaitable[Mapping[str, float]]],
    ) -> None:
        """`formats` has the format of each repository with rows, by its id. `measure_disk` says what the
        storage takes and has left: gauges by their names."""
        self._catalog = catalog
        self._metrics = metrics
        self._formats = formats
        self._measure_disk = measure_disk
        self._levels: Mapping[str, float] = {}
        self._recorded: tuple[Mapping[str, float], Mapping[str, float]] | None = None
        self._measured_until = float("-inf")
        self._record_at = float("-inf")

    async def turn(self) -> None:
        """Do what is due: in the process that does this alone. Raises StorageFailed."""
        if time.monotonic() >= self._measured_until:
            await self._measure()
        if time.monotonic() >= self._record_at:
            await self.record(self._levels)

    async def record(self, levels: Mapping[str, float] | None = None) -> None:
        """Note what was counted until now. Raises StorageFailed."""
        self._record_at = time.monotonic() + RECORD_SECONDS
        counted = self.counted()
        if (counted, levels) != self._recorded:
            server = self._metrics.server
            await self._catalog.record_history(server, counted, levels or {}, time.time())
            self._recorded = counted, levels or {}

    async def finish(self) -> None:
        """At the stop of a process. The last one that stops has seen what all have counted."""
        try:
            await self.record()
        except NoraError as error:
            _log.warning("what was counted in the last minute is lost: %s", error)

    def counted(self) -> dict[str, float]:
        """What all workers have counted since the server was started, by series."""
        formats = {*self._formats.values()}
        found: dict[str, float] = {}
        for what, kept in KEPT.items():
            for labels, value in self._metrics.counted(kept.family):
                if labels["registry"] in formats:
                    found[series(what, *(labels[one] for one in kept.labels))] = value
        return found

    async def _measure(self) -> None:
        began = time.monotonic()
        summary = await self._catalog.summarize()
        totals = self._totals(summary)
        artifacts = sum(one.artifacts for one in totals.values())
        levels: dict[str, float] = {ARTIFACTS: artifacts, STORED: summary.bytes}
        for name, one in totals.items():
            label = ("registry", name)
            self._metrics.latest("nora_artifacts", label)(one.artifacts)
            self._metrics.latest("nora_packages", label)(one.packages)
            self._metrics.latest("nora_storage_bytes", label)(one.bytes)
            levels |= {series(ARTIFACTS, name): one.artifacts, series(STORED, name): one.bytes}
        self._metrics.latest("nora_blobs")(summary.blobs)
        self._metrics.latest("nora_blob_bytes")(summary.bytes)
        for name, value in (await self._measure_disk()).items():
            self._metrics.latest(name)(value)
        self._levels = levels
        ended = time.monotonic()
        self._measured_until = ended + max(RECORD_SECONDS, PATIENCE * (ended - began))

    def _totals(self, summary: Summary) -> dict[str, Totals]:
        """How much each format has."""
        found = {name: Totals() for name in self._formats.values()}
        for number, one in summary.repositories.items():
            name = self._formats.get(number)
            if name is not None:
                found[name] = found[name].plus(one)
        return found
