"""What is counted of the requests to one upstream host."""

from __future__ import annotations

from typing import Literal

from nora.observability.metrics import Metrics
from nora.observability.shared import Value

Outcome = Literal[
    "ok", "unchanged", "absent", "refused", "limited", "failed", "unavailable", "timeout", "cancelled"
]
"""2xx; 304; 404 or 410; other 4xx; 429; 5xx and what is no HTTP; no connection and 503; silence; whoever
asked left."""


class UpstreamMetrics:
    """The numbers of one host, under its name."""

    def __init__(self, metrics: Metrics, host: str) -> None:
        self._metrics = metrics
        self._host = ("host", host)
        self._requests: dict[Outcome, Value] = {}
        self._durations = metrics.histogram("nora_upstream_request_duration_seconds", self._host)
        self.retries = metrics.counter("nora_upstream_retries", self._host)
        self.bytes = metrics.counter("nora_upstream_bytes", self._host)
        self.broken = metrics.counter("nora_upstream_broken_files", self._host)
        self.rejections = metrics.counter("nora_circuit_breaker_rejections", self._host)
        self.breaker = metrics.gauge("nora_circuit_breaker_state", self._host)

    def observe(self, outcome: Outcome, seconds: float) -> None:
        """Count a request, and how long its answer took to begin."""
        found = self._requests.get(outcome)
        if found is None:
            labels = (self._host, ("outcome", outcome))
            found = self._requests[outcome] = self._metrics.counter("nora_upstream_requests", *labels)
        found.add()
        self._durations.observe(seconds)

    def note_quota(self, limit: int | None, remaining: int | None) -> None:
        """What the upstream says of how much may be asked (some count pulls)."""
        if limit is not None:
            self._metrics.latest("nora_upstream_ratelimit_limit", self._host)(limit)
        if remaining is not None:
            self._metrics.latest("nora_upstream_ratelimit_remaining", self._host)(remaining)
