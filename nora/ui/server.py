"""What is told of the server as a whole: how it is, what was asked of it since its start, who is asked by
it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from nora.outbound import host_of

if TYPE_CHECKING:
    from nora.config import Config
    from nora.http.system import Probe
    from nora.model import Repository
    from nora.observability.metrics import Metrics
    from nora.ui.shelves import Shelves

_WITHOUT_UPSTREAM: Final = frozenset({"hit", "stale", "revalidated", "coalesced"})
_ASKED_FOR: Final = _WITHOUT_UPSTREAM | {"miss"}
UpstreamState = Literal["answers", "fails", "half open", "open", "unknown", "offline"]
_BREAKER: Final[dict[float, UpstreamState]] = {1.0: "half open", 2.0: "open"}
_FAILURES: Final = frozenset({"failed", "unavailable", "timeout", "cancelled"})


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was asked of something since the server was started."""

    downloads: int = 0
    uploads: int = 0
    asked: int = 0
    """Of the cache of upstreams."""
    spared: int = 0
    """Of these, without that an upstream had to send anything."""

    @property
    def hit_rate(self) -> float | None:
        """A share of 1; None where nothing was asked."""
        return self.spared / self.asked if self.asked else None


@dataclass(frozen=True, slots=True)
class ShownUpstream:
    """Somebody who is asked."""

    host: str
    state: UpstreamState


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that needs attention: words of a template, in English, and what they are about."""

    text: str
    values: dict[str, str]
    level: Literal["bad", "warn"]


class ServerView:
    """What is told of a server."""

    def __init__(self, config: Config, metrics: Metrics, probe: Probe, started_at: float) -> None:
        self._config = config
        self._metrics = metrics
        self._probe = probe
        self.started_at = started_at

    def traffic(self, shelves: Shelves) -> tuple[Traffic, dict[str, Traffic]]:
        """Of the whole server and of each format."""
        values = self._metrics.values("nora_downloads", "nora_uploads", "nora_cache_requests")
        found: dict[str, Traffic] = {}
        for shelf in shelves.all():
            name = shelf.format.name
            counted = {name, *(one.name for one in shelf.repositories), f"{name}-proxy"}
            cache = [
                (labels, value)
                for labels, value in values["nora_cache_requests"]
                if labels["registry"] in counted
            ]
            found[name] = Traffic(
                *(
                    int(sum(value for labels, value in values[family] if labels["registry"] == name))
                    for family in ("nora_downloads", "nora_uploads")
                ),
                *(
                    int(sum(value for labels, value in cache if labels["result"] in results))
                    for results in (_ASKED_FOR, _WITHOUT_UPSTREAM)
                ),
            )
        total = Traffic(
            *(sum(getattr(one, field) for one in found.values()) for field in Traffic.__dataclass_fields__)
        )
        return total, found

    def upstreams(self, shelves: Shelves, repository: Repository) -> Iterator[ShownUpstream]:
        """Who is asked for what a repository has not, each host once."""
        states = self._states()
        seen: set[str] = set()
        for setting, is_online in shelves.upstreams(repository):
            host = host_of(setting.url)
            if host in seen:
                continue
            seen.add(host)
            yield ShownUpstream(host, states.get(host, "unknown") if is_online else "offline")

    def _states(self) -> dict[str, UpstreamState]:
        """Of each host that was asked since the start: by its breaker, and by whether it has ever
        answered."""
        values = self._metrics.values("nora_circuit_breaker_state", "nora_upstream_requests")
        outcomes: dict[str, set[str]] = {}
        for labels, value in values["nora_upstream_requests"]:
            if value:
                outcomes.setdefault(labels["host"], set()).add(labels["outcome"])
        breakers = {labels["host"]: value for labels, value in values["nora_circuit_breaker_state"]}
        return {
            host: _BREAKER.get(breakers.get(host, 0.0)) or ("answers" if seen - _FAILURES else "fails")
            for host, seen in outcomes.items()
        }

    async def concerns(self, shelves: Shelves, *, site_is_known: bool) -> list[Concern]:
        """What needs attention now."""
        found = []
        if failure := await self._probe.failure(wait_seconds=1.0):
            found.append(Concern("The storage takes no writes: {why}", {"why": failure}, "bad"))
        down = {
            one.host
            for shelf in shelves.all()
            for repository in shelf.repositories
            for one in self.upstreams(shelves, repository)
            if one.state == "open"
        }
        for host in sorted(down):
            text = "{host} has failed too often and is left alone for now: what is cached goes on"
            found.append(Concern(text, {"host": host}, "bad"))
        server, auth = self._config.server, self._config.auth
        if not auth.enabled and not server.on_loopback:
            text = "Anybody who reaches this server may read and publish: set NORA_AUTH_ENABLED=true"
            found.append(Concern(text, {}, "warn"))
        if not site_is_known:
            text = "The address of this server is unknown: set NORA_PUBLIC_URL, so that the lines are right"
            found.append(Concern(text, {}, "warn"))
        return found

    @property
    def uptime_seconds(self) -> float:
        """Since the server was started."""
        return time.time() - self.started_at
