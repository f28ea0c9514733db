"""Traces: what became of a request and of what was asked of upstreams for it, as spans that are sent to a
collector of OpenTelemetry (OTLP 1 over HTTP, as JSON).

Off until `traces.endpoint` says where to; then a request that comes with a `traceparent` (W3C Trace Context)
is part of that trace, and sampled if it says so; of the others as many as `traces.percent` says. Nothing
waits for the collector: what does not fit into the queue, or is not taken, is dropped and counted. An answer
that is given again at once has no span: it comes out of memory, and nothing is asked for it.
"""

from __future__ import annotations

import logging
import os
import random
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import orjson

from nora.errors import NoraError

if TYPE_CHECKING:
    from nora.observability.metrics import Metrics

QUEUE_LENGTH: Final = 4096
BATCH_SPANS: Final = 512
COMPLAIN_SECONDS: Final = 60.0
SERVER, CLIENT = 2, 3
"""Kinds of spans (opentelemetry/proto/trace/v1): a request that came, and one that NORA made."""
_ERROR: Final = 2
_CURRENT: ContextVar[Span | None] = ContextVar("span", default=None)
_parent = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
).match

_log = logging.getLogger(__name__)

Value = str | int
Post = Callable[[bytes], Awaitable[int]]
"""Sends a document to the collector; the status of its answer. Raises NoraError."""


class Span:
    """A piece of work. It is a part of the trace when it ends."""

    __slots__ = (
        "_began",
        "attributes",
        "ended",
        "failed",
        "kind",
        "name",
        "parent",
        "span",
        "started",
        "trace",
        "tracer",
    )

    def __init__(self, tracer: Tracer, kind: int, name: str, trace: str, parent: str) -> None:
        self.tracer = tracer
        self.kind = kind
        self.name = name
        self.trace = trace
        self.parent = parent
        """The id of the span that it is a part of; empty where there is none."""
        self.span = os.urandom(8).hex()
        self.attributes: dict[str, Value] = {}
        """By the names of OpenTelemetry's semantic conventions."""
        self.failed = False
        self.started = time.time_ns()
        self.ended = 0
        self._began = time.perf_counter_ns()

    @property
    def traceparent(self) -> str:
        """What tells another server of it."""
        return f"00-{self.trace}-{self.span}-01"

    def end(self) -> None:
        """The work is done."""
        self.ended = self.started + time.perf_counter_ns() - self._began
        self.tracer.add(self)


class Tracer:
    """The spans of one worker."""

    def __init__(self, percent: int, version: str, metrics: Metrics) -> None:
        self._share = percent / 100
        self._version = version
        self._queue: deque[Span] = deque()
        self._dropped = metrics.counter("nora_traces_dropped", ("reason", "queue"))
        self._refused = metrics.counter("nora_traces_dropped", ("reason", "send"))
        self._complained_at = float("-inf")

    @contextmanager
    def request(self, scope: Mapping[str, Any]) -> Iterator[Span | None]:
        """The span of a request; None where it is not sampled."""
        found = _parent(next((value for name, value in scope["headers"] if name == b"traceparent"), b""))
        if found is not None:
            trace, parent, is_sampled = found[1].decode(), found[2].decode(), bool(int(found[3], 16) & 1)
        else:
            trace, parent, is_sampled = os.urandom(16).hex(), "", random.random() < self._share  # noqa: S311
        span = Span(self, SERVER, scope["method"], trace, parent) if is_sampled else None
        token = _CURRENT.set(span)
        try:
            yield span
        finally:
            _CURRENT.reset(token)
            if span is not None:
                span.end()

    def add(self, span: Span) -> None:
        """Queue a span that has ended."""
        if len(self._queue) < QUEUE_LENGTH:
            self._queue.append(span)
        else:
            self._dropped.add()

    async def flush(self, post: Post) -> None:
        """Send what waits."""
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_SPANS))]
            try:
                status = await post(self._render(batch))
                why = "" if status < 300 else f"it answers {status}"
            except NoraError as error:
                why = str(error)
            if why:
                self._refused.add(len(batch))
                if time.monotonic() - self._complained_at > COMPLAIN_SECONDS:
                    self._complained_at = time.monotonic()
                    _log.warning("the collector of traces.endpoint takes no spans: %s", why)

    def _render(self, spans: list[Span]) -> bytes:
        resource: dict[str, Value] = {
            "service.name": "nora",
            "service.version": self._version,
            "process.pid": os.getpid(),
        }
        scope_spans = [{"scope": {"name": "nora", "version": self._version}, "spans": [*map(_json, spans)]}]
        return orjson.dumps(
            {"resourceSpans": [{"resource": {"attributes": _pairs(resource)}, "scopeSpans": scope_spans}]}
        )


@contextmanager
def upstream_span(method: str, host: str) -> Iterator[Span | None]:
    """The span of a request that is made for the one that this task works for; None where that has none."""
    within = _CURRENT.get()
    if within is None:
        yield None
        return
    span = Span(within.tracer, CLIENT, method, within.trace, within.span)
    span.attributes |= {"http.request.method": method, "server.address": host}
    try:
        yield span
    except BaseException as error:
        span.failed = True
        span.attributes["error.type"] = type(error).__name__
        raise
    finally:
        span.end()


def _json(span: Span) -> dict[str, Any]:
    return {
        "traceId": span.trace,
        "spanId": span.span,
        **({"parentSpanId": span.parent} if span.parent else {}),
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.started),
        "endTimeUnixNano": str(span.ended),
        "attributes": _pairs(span.attributes),
        "status": {"code": _ERROR} if span.failed else {},
    }


def _pairs(attributes: Mapping[str, Value]) -> list[dict[str, Any]]:
    """A whole number of 64 bits is a text in JSON (the mapping of protobuf)."""
    return [
        {"key": key, "value": {"intValue": str(one)} if isinstance(one, int) else {"stringValue": _text(one)}}
        for key, one in attributes.items()
    ]


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()
