"""What is told of the server as a whole: how it is, what was asked of it, who is asked by it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from nora.outbound import hostname_of
from nora.ui.history import ASKED_FOR, WITHOUT_UPSTREAM

if TYPE_CHECKING:
    from nora.config import Config, Upstream
    from nora.formats.upkeep import Upkeep
    from nora.http.system import Probe
    from nora.model import Repository
    from nora.observability.metrics import Metrics
    from nora.ui.shelves import Shelves

UpstreamState = Literal["answers", "fails", "half open", "open", "unknown", "offline"]
_BREAKER: Final[dict[float, UpstreamState]] = {1.0: "half open", 2.0: "open"}
_AWAY: Final = frozenset({"open", "half open", "fails", "offline"})
_FAILURES: Final = frozenset({"failed", "unavailable", "timeout", "cancelled"})


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was ever asked of something."""

    downloads: int = 0
    served: int = 0
    """Bytes that were sent."""
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
    page: str = ""
    """Where something can be done about it, if there is such a page."""


class ServerView:
    """What is told of a server."""

    def __init__(
        self, config: Config, metrics: Metrics, probe: Probe, started_at: float, upkeep: Upkeep
    ) -> None:
        self._config = config
        self._metrics = metrics
        self._probe = probe
        self.started_at = started_at
        self.upkeep = upkeep

    def traffic(self, shelves: Shelves) -> tuple[Traffic, dict[str, Traffic]]:
        """Of the whole server and of each format."""
        values = self._metrics.values("nora_downloads", "nora_served_bytes", "nora_cache_requests")
        found: dict[str, Traffic] = {}
        for shelf in shelves.all():
            name = shelf.format.name
            downloads, served, cache = (
                [(labels, value) for labels, value in values[family] if labels["registry"] == name]
                for family in ("nora_downloads", "nora_served_bytes", "nora_cache_requests")
            )
            found[name] = Traffic(
                int(sum(value for _, value in downloads)),
                int(sum(value for _, value in served)),
                *(
                    int(sum(value for labels, value in cache if labels["result"] in results))
                    for results in (ASKED_FOR, WITHOUT_UPSTREAM)
                ),
            )
        total = Traffic(
            *(sum(getattr(one, field) for one in found.values()) for field in Traffic.__dataclass_fields__)
        )
        return total, found

    def upstreams(
        self, shelves: Shelves, repository: Repository, states: Mapping[str, UpstreamState]
    ) -> Iterator[ShownUpstream]:
        """Who is asked for what a repository has not, each host once."""
        seen: set[str] = set()
        for setting, is_online in shelves.upstreams(repository):
            host = hostname_of(setting.url)
            if host in seen:
                continue
            seen.add(host)
            yield ShownUpstream(host, states.get(host, "unknown") if is_online else "offline")

    def outages(
        self, shelves: Shelves, repository: Repository, asked: Iterable[Upstream | None]
    ) -> dict[str, UpstreamState]:
        """Of those that something came from, by host: who does not answer now, or is not asked."""
        hosts = {hostname_of(one.url) for one in asked if one is not None}
        found = self.upstreams(shelves, repository, self.states()) if hosts else ()
        return {one.host: one.state for one in found if one.host in hosts and one.state in _AWAY}

    def states(self) -> dict[str, UpstreamState]:
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

    async def failure(self) -> str | None:
        """Why the storage takes no writes, if it takes none."""
        return await self._probe.failure(wait_seconds=1.0)

    async def concerns(
        self, shelves: Shelves, states: Mapping[str, UpstreamState], *, site_is_known: bool
    ) -> list[Concern]:
        """What needs attention now."""
        found = []
        if failure := await self.failure():
            found.append(Concern("The storage takes no writes: {why}", {"why": failure}, "bad"))
        down = {
            one.host
            for shelf in shelves.all()
            for repository in shelf.repositories
            for one in self.upstreams(shelves, repository, states)
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
