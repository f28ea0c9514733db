"""What one worker does again and again so that those who watch the server see something: it looks at what is
going on, keeps what was counted, sends spans to their collector."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nora.blobs.scratch import ScratchLayout
from nora.http.jobs import BACKUP, VERIFICATION, JobRecords
from nora.http.tasks import every
from nora.observability.disk import measure
from nora.observability.history import Recorder
from nora.outbound import Terms, origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nora.catalog.base import Catalog
    from nora.http.tasks import Exclusive
    from nora.observability.metrics import Metrics
    from nora.observability.traces import Tracer
    from nora.outbound import Outbound

LOOK_SECONDS: Final = 5.0
_ANSWER_BYTES: Final = 64 * 1024
_ANSWER_SECONDS: Final = 10.0
_JSON: Final = {"content-type": "application/json"}


class Telemetry:
    """Of one worker."""

    def __init__(
        self,
        metrics: Metrics,
        catalog: Catalog,
        files: tuple[Path, Path],
        formats: Mapping[int, str],
        in_flight: Mapping[str, Callable[[], int]],
    ) -> None:
        """`files` are the data directory and the catalog in it, `formats` those of repositories with rows by
        their ids, `in_flight` what is looked at, by its gauge."""
        self._metrics = metrics
        self._in_flight = in_flight
        self._recorder = Recorder(catalog, metrics, formats, partial(asyncio.to_thread, _measure, *files))
        self._spans: SpanSender | None = None

    def trace(self, tracer: Tracer | None, outbound: Outbound, url: str | None) -> None:
        """Send the spans of a tracer, if there is one, to an address."""
        if tracer is not None and url is not None:
            self._spans = SpanSender(tracer, outbound, url)

    def jobs(self, exclusive: Exclusive) -> Iterator[asyncio.Task[None]]:
        """What is done again and again."""
        yield every(LOOK_SECONDS, self._look, "looking at what goes on")
        yield exclusive.every(LOOK_SECONDS, self._recorder.turn, "record-history")
        if self._spans is not None:
            yield every(LOOK_SECONDS, self._spans.send, "sending spans")

    async def finish(self) -> None:
        """At the stop of the worker."""
        await self._recorder.finish()
        if self._spans is not None:
            await self._spans.send()

    async def _look(self) -> None:
        for gauge, count in self._in_flight.items():
            self._metrics.gauge(gauge).set(count())


def _measure(root: Path, catalog: Path) -> Mapping[str, float]:
    """What the storage takes, and when it was last well kept: gauges by their names. Raises StorageFailed."""
    records = JobRecords(Path(ScratchLayout(root).locks))
    runs = {name: records.last(name) for name in (BACKUP, VERIFICATION)}
    kept = {
        f"nora_{name}_last_success_timestamp": run.succeeded_at
        for name, run in runs.items()
        if run is not None and run.succeeded_at is not None
    }
    return {**measure(root, catalog), **kept}


class SpanSender:
    """Sends what a tracer has gathered."""

    def __init__(self, tracer: Tracer, outbound: Outbound, url: str) -> None:
        self._tracer = tracer
        self._outbound = outbound
        self._url = url
        given = frozenset({origin(url)})
        self._terms = Terms(max_bytes=_ANSWER_BYTES, total_seconds=_ANSWER_SECONDS, given=given)

    async def send(self) -> None:
        """All that waits."""
        await self._tracer.flush(lambda body: self._outbound.post(self._url, self._terms, _JSON, body))
