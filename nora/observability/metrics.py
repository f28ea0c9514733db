"""Metrics in Prometheus' format, exact over all workers, dead ones included.

Every worker counts in its own slot of a memory that all of them share (`nora.observability.shared` says why
not in prometheus-client's files); whichever is asked for `/metrics` sums them up and lets prometheus-client
write the page.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Literal, get_args

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from nora.observability.shared import SharedMemory, Slot, Value

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, float("inf"))
"""Upper bounds of durations in seconds."""
_BOUNDS: list[str] = [floatToGoString(bound) for bound in BUCKETS]  # type: ignore[no-untyped-call]

MetricKind = Literal["counter", "sum", "gauge", "worst", "latest", "histogram"]
"""Counters, histograms and a `sum` are summed over the workers. A `gauge` is what the worker that is asked
says, of `worst` the largest value counts, and of `latest` what was set last."""
Origin = Literal["here", "upstream"]
ORIGINS: tuple[Origin, ...] = get_args(Origin)
"""Where bytes came from that are sent: they were here, or are on their way from an upstream."""
CacheResult = Literal["hit", "stale", "miss", "revalidated", "coalesced", "negative", "mismatch"]
"""How something was had: it was here and fresh; here, but its upstream could not be asked; not here; here,
and the upstream says that it is right still; on its way for somebody else already; known to be absent.
`mismatch` are bytes of an upstream that were not what they must be."""
FAMILIES: dict[str, tuple[MetricKind, str]] = {
    "nora_build_info": ("gauge", "The version that runs, and whether its speedups are compiled or pure."),
    "nora_uptime_seconds": ("gauge", "Seconds since the server was started."),
    "nora_http_requests": ("counter", "Requests answered."),
    "nora_http_request_duration_seconds": (
        "histogram",
        "Seconds from the head of a request to the head of its answer.",
    ),
    "nora_http_requests_in_flight": ("sum", "Requests that are being answered."),
    "nora_downloads": ("counter", "Artifacts downloaded."),
    "nora_uploads": ("counter", "Artifacts uploaded."),
    "nora_served_bytes": ("counter", "Bytes of bodies sent, by where they came from: here or upstream."),
    "nora_received_bytes": ("counter", "Bytes of bodies received."),
    "nora_storage_operations": ("counter", "Operations of the blob store."),
    "nora_rate_limited": ("counter", "Requests refused because their client asked for too much."),
    "nora_webhook_deliveries": ("counter", "Deliveries to webhooks, each try, by what became of it."),
    "nora_audit_dropped": ("counter", "Lines that the audit log lost."),
    "nora_gc_blobs_removed": ("counter", "Stored objects that garbage collection has removed."),
    "nora_gc_bytes_freed": ("counter", "Bytes that these had."),
    "nora_gc_stat_failures": ("counter", "Collections that stopped because something could not be read."),
    "nora_gc_duration_seconds": ("latest", "Seconds that the last collection took."),
    "nora_gc_last_run_timestamp": ("latest", "When it began, in seconds since the epoch."),
    "nora_retention_versions_deleted": ("counter", "Versions, and files of no package, that rules removed."),
    "nora_retention_bytes_freed": ("counter", "Bytes that no package which lost something needs any more."),
    "nora_retention_duration_seconds": ("latest", "Seconds that the rules took when they were last applied."),
    "nora_retention_last_run_timestamp": ("latest", "When that was, in seconds since the epoch."),
    "nora_backup_last_success_timestamp": (
        "latest",
        "When the last backup that is whole began, in seconds since the epoch.",
    ),
    "nora_verify_last_success_timestamp": (
        "latest",
        "When the last verification that found nothing wrong began, in seconds since the epoch.",
    ),
    "nora_traces_dropped": ("counter", "Spans that no collector has."),
    "nora_auth_namespace_scope": ("counter", "Changes that workloads wanted to make, by what scopes say."),
    "nora_upload_sessions": ("gauge", "Upload sessions that are open."),
    "nora_artifacts": ("latest", "Versions, and files of no package."),
    "nora_packages": ("latest", "Packages."),
    "nora_storage_bytes": ("latest", "Bytes that repositories hold, counted once in each."),
    "nora_blobs": ("latest", "Blobs stored."),
    "nora_blob_bytes": ("latest", "Bytes of blobs stored."),
    "nora_catalog_queue": ("sum", "Changes that wait to be committed."),
    "nora_catalog_bytes": ("latest", "Bytes of the files of the catalog."),
    "nora_disk_free_bytes": ("latest", "Bytes that are free where artifacts are stored."),
    "nora_disk_bytes": ("latest", "Bytes of the file system where artifacts are stored."),
    "nora_cache_requests": ("counter", "What was asked of the cache of upstreams, by how it was had."),
    "nora_upstream_requests": ("counter", "Requests to upstreams, each try, by what became of it."),
    "nora_upstream_request_duration_seconds": (
        "histogram",
        "Seconds from the head of a request to an upstream to the head of its answer.",
    ),
    "nora_upstream_retries": ("counter", "Requests to upstreams that were tried again."),
    "nora_upstream_bytes": ("counter", "Bytes of bodies that upstreams sent."),
    "nora_upstream_broken_files": ("counter", "Files of upstreams that ended in the middle of an answer."),
    "nora_upstream_downloads_in_flight": ("sum", "Files on their way from upstreams."),
    "nora_upstream_ratelimit_limit": ("latest", "Requests that an upstream allows, as it says itself."),
    "nora_upstream_ratelimit_remaining": ("latest", "Requests that an upstream still allows."),
    "nora_circuit_breaker_state": ("worst", "0 closed, 1 half open, 2 open: the upstream is left alone."),
    "nora_circuit_breaker_rejections": ("counter", "Requests that no upstream was asked because of that."),
}
_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"})

Labels = tuple[tuple[str, str], ...]
Entry = tuple[int, str, Labels, float]
"""Worker, sample, labels and value."""
Samples = Iterable[tuple[tuple[str, Labels], float]]
_AT = "at"
"""The sample that says when another one was set."""


class Histogram:
    """How durations are distributed, for one combination of labels."""

    __slots__ = ("_buckets", "_sum")

    def __init__(self, total: Value, buckets: list[Value]) -> None:
        self._sum = total
        self._buckets = buckets

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self._sum.add(seconds)
        self._buckets[bisect_left(BUCKETS, seconds)].add()


class MountMetrics:
    """What is counted of the requests below one mount. Whoever answers is counted under its name: a format
    that is discovered needs nothing else."""

    def __init__(self, metrics: Metrics, name: str) -> None:
        self._metrics = metrics
        self._registry = ("registry", name)
        self._known: dict[tuple[str, int], tuple[Value, Histogram]] = {}
        self._events = {
            "download": metrics.counter("nora_downloads", self._registry),
            "upload": metrics.counter("nora_uploads", self._registry),
        }
        self.served: dict[Origin, Value] = {
            one: metrics.counter("nora_served_bytes", self._registry, ("origin", one)) for one in ORIGINS
        }
        """Bytes of bodies that were sent."""
        self.received = metrics.counter("nora_received_bytes", self._registry)
        """Bytes of bodies that came."""

    def observe(self, method: str, status: int, seconds: float, event: str | None) -> None:
        """Count an answer. `event` says what it means to the format if it succeeds: a format sets
        `scope["nora.event"]` to "download" or "upload". A HEAD is neither."""
        known = self._known.get((method, status))
        if known is None:
            known = self._resolve(method, status)
        requests, durations = known
        requests.add()
        durations.observe(seconds)
        if event is not None and status < 400 and method != "HEAD":
            self._events[event].add()

    def _resolve(self, method: str, status: int) -> tuple[Value, Histogram]:
        label = ("method", method if method in _METHODS else "other")
        found = (
            self._metrics.counter("nora_http_requests", self._registry, label, ("status", str(status))),
            self._metrics.histogram("nora_http_request_duration_seconds", self._registry, label),
        )
        if method in _METHODS:  # words that a client made up must not fill the memory
            self._known[method, status] = found
        return found


class Metrics:
    """The metrics of one worker, and the sum over all of them."""

    def __init__(self, memory: SharedMemory, worker: int, *, version: str, compiled: bool) -> None:
        self._memory = memory
        self.server = memory.server
        """The id of the server, from its start to its end."""
        self._worker = worker
        self._slot: Slot = memory.slot(worker)
        self._mounts: dict[str, MountMetrics] = {}
        self._cache: dict[tuple[str, CacheResult], Value] = {}
        self._uptime = self.gauge("nora_uptime_seconds")
        self.gauge(
            "nora_build_info", ("version", version), ("speedups", "compiled" if compiled else "pure")
        ).set(1)
        self.upload_sessions = self.gauge("nora_upload_sessions")
        for key, value in self._slot.known():  # of a worker that died here
            if FAMILIES[_parse(key)[0]][0] in ("worst", "sum"):
                value.set(0)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def mount(self, name: str) -> MountMetrics:
        """The metrics of what is mounted under a name."""
        found = self._mounts.get(name)
        if found is None:
            found = self._mounts[name] = MountMetrics(self, name)
        return found

    def count_storage(self, operation: str, status: str) -> None:
        """Count an operation of the blob store."""
        self.counter("nora_storage_operations", ("operation", operation), ("status", status)).add()

    def count_refusal(self, kind: str) -> None:
        """Count a request that was refused because its client asked for too much of a kind."""
        self.counter("nora_rate_limited", ("class", kind)).add()

    def count_scope(self, provider: str, decision: str) -> None:
        """Count what scopes say to a workload: allow, deny or would_deny."""
        self.counter("nora_auth_namespace_scope", ("provider", provider), ("decision", decision)).add()

    def count_cache(self, registry: str, result: CacheResult) -> None:
        """Count what was asked of the cache, below the mount or of the repository with this name."""
        found = self._cache.get((registry, result))
        if found is None:
            labels = (("registry", registry), ("result", result))
            found = self._cache[registry, result] = self.counter("nora_cache_requests", *labels)
        found.add()

    def counter(self, family: str, *labels: tuple[str, str]) -> Value:
        """A number that only grows, summed over the workers. Keep it where it is used often."""
        return self._slot.value(counter_key(family, *labels))

    def gauge(self, family: str, *labels: tuple[str, str]) -> Value:
        """A number that is set: what holds for the whole server, its family says."""
        return self._slot.value(_key(family, family, labels))

    def latest(self, family: str, *labels: tuple[str, str]) -> Callable[[float], None]:
        """Sets a number of which the last value counts, whichever worker it came to."""
        value, at = self.gauge(family, *labels), self._slot.value(_key(family, _AT, labels))

        def set_to(number: float) -> None:
            value.set(number)
            at.set(time.monotonic())  # the same for all processes, and never set

        return set_to

    def histogram(self, family: str, *labels: tuple[str, str]) -> Histogram:
        """A distribution of durations, summed over the workers."""
        return Histogram(
            self._slot.value(_key(family, f"{family}_sum", labels)),
            [self._slot.value(_key(family, f"{family}_bucket", (*labels, ("le", le)))) for le in _BOUNDS],
        )

    def render(self, started_at: float) -> bytes:
        """The page for all workers; `started_at` is when the server was started, since the epoch."""
        self._uptime.set(round(time.time() - started_at, 3))
        return generate_latest(self._registry)

    def values(self, *families: str) -> dict[str, list[tuple[dict[str, str], float]]]:
        """What counters and gauges say now, over all workers: labels and value of each, by family."""
        return {
            family: [(dict(labels), value) for (_, labels), value in _MERGED[FAMILIES[family][0]](entries)]
            for family, entries in self._read(families).items()
        }

    def counted(self, family: str) -> list[tuple[dict[str, str], float]]:
        """What a counter has counted since the server was started, over all workers: labels and value."""
        entries = [entry for entry in self._read((family,))[family] if entry[0] != self._memory.before_number]
        return [(dict(labels), value) for (_, labels), value in _summed(entries)]

    def collect(self) -> Iterable[Metric]:
        """prometheus-client's protocol of a collector."""
        for family, entries in self._read(FAMILIES).items():
            kind, text = FAMILIES[family]
            metric = Metric(family, text, kind if kind in ("counter", "histogram") else "gauge")
            for (sample, labels), value in _MERGED[kind](entries):
                metric.add_sample(sample, dict(labels), value)
            yield metric

    def _read(self, families: Iterable[str]) -> dict[str, list[Entry]]:
        """What all workers have counted for these."""
        found: dict[str, list[Entry]] = {name: [] for name in families}
        for worker, key, value in self._memory.read():
            family, sample, labels = _parse(key)
            if family in found and (worker == self._worker or FAMILIES[family][0] != "gauge"):
                found[family].append((worker, sample, labels, value))
        return found


def counter_key(family: str, *labels: tuple[str, str]) -> str:
    """The key of a counter in the memory of workers."""
    return _key(family, f"{family}_total", labels)


def _key(family: str, sample: str, labels: Iterable[tuple[str, str]]) -> str:
    return orjson.dumps([family, sample, *labels]).decode()


@lru_cache(8192)
def _parse(key: str) -> tuple[str, str, Labels]:
    """Family, sample and labels of a key."""
    family, sample, *pairs = orjson.loads(key)
    return family, sample, tuple(map(tuple, pairs))


def _summed(entries: Iterable[Entry]) -> Samples:
    sums: dict[tuple[str, Labels], float] = defaultdict(float)
    for _, sample, labels, value in entries:
        sums[sample, labels] += value
    return sums.items()


def _worst(entries: Iterable[Entry]) -> Samples:
    largest: dict[tuple[str, Labels], float] = {}
    for _, sample, labels, value in entries:
        largest[sample, labels] = max(value, largest.get((sample, labels), value))
    return largest.items()


def _latest(entries: Iterable[Entry]) -> Samples:
    """Of each number the value that was set last, which worker ever that was."""
    entries = list(entries)
    times = {(worker, labels): value for worker, sample, labels, value in entries if sample == _AT}
    values = [(times.get((entry[0], entry[2]), 0.0), entry) for entry in entries if entry[1] != _AT]
    values.sort()
    return {(sample, labels): value for _, (_, sample, labels, value) in values}.items()


def _cumulative(entries: Iterable[Entry]) -> Samples:
    """Buckets as the format wants them, each with all that is below, and their count."""
    running: dict[Labels, float] = defaultdict(float)
    for (sample, labels), value in _summed(entries):
        if not sample.endswith("_bucket"):
            yield (sample, labels), value
            continue
        others = labels[:-1]
        running[others] += value
        yield (sample, labels), running[others]
        if labels[-1] == ("le", "+Inf"):
            yield (sample.removesuffix("_bucket") + "_count", others), running[others]


_MERGED: dict[MetricKind, Callable[[Iterable[Entry]], Samples]] = {
    "counter": _summed,
    "sum": _summed,
    "gauge": _summed,
    "worst": _worst,
    "latest": _latest,
    "histogram": _cumulative,
}
