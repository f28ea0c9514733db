"""How the server is, and who is asking."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TypedDict

from nora import __version__
from nora.http.fields import json_endpoint
from nora.model import Method, Role

if TYPE_CHECKING:
    from nora.api.call import Call
    from nora.http.router import Endpoint
    from nora.model import Principal
    from nora.ui.server import ServerView, Traffic
    from nora.ui.shelves import Shelves


class Stored(TypedDict):
    """How much there is."""

    packages: int
    versions: int
    blobs: int
    bytes: int
    """Of what is stored once, however often it is held."""
    as_of: float
    """Seconds since the epoch, as all times here."""


class TrafficShown(TypedDict):
    """What was ever asked for."""

    downloads: int
    served_bytes: int
    hit_rate: float | None
    """The share, of 1, that upstreams did not have to send; null where nothing was asked."""


class ServerShown(TypedDict):
    """How the server is. What is null is for those who may read all of it."""

    version: str
    status: Literal["healthy", "degraded"]
    uptime_seconds: int
    stored: Stored | None
    traffic: TrafficShown | None
    formats: dict[str, TrafficShown] | None
    """The same of each format."""
    concerns: list[str] | None
    """What needs attention, in English."""


class Limit(TypedDict):
    """What somebody is limited to."""

    repository: str
    name: str
    actions: list[str]


class Somebody(TypedDict):
    """Who is asking."""

    name: str
    role: Role
    method: Method
    """How it was said."""
    scopes: list[Limit]
    """None: there is no limit but the role."""


class ServerApi:
    """The endpoints."""

    def __init__(self, shelves: Shelves, server: ServerView) -> None:
        self._shelves = shelves
        self._server = server

    def endpoints(self) -> Iterator[Endpoint[Call]]:
        """For whoever may ask."""
        yield json_endpoint("GET HEAD", "/api/v1/server", "read", ServerShown, self._show)
        yield json_endpoint("GET HEAD", "/api/v1/me", "read", Somebody, self._who)

    async def _show(self, call: Call) -> ServerShown:
        """How the server is, how much it holds, and what it was asked for."""
        shelves, server = self._shelves, self._server
        found: ServerShown = {
            "version": __version__,
            "status": "degraded" if await server.failure() else "healthy",
            "uptime_seconds": int(server.uptime_seconds),
            "stored": None,
            "traffic": None,
            "formats": None,
            "concerns": None,
        }
        if shelves.may_see_server(call.principal):
            summary, as_of = await shelves.summary.read()
            total, by_format = server.traffic(shelves)
            concerns = await server.concerns(shelves, server.states(), site_is_known=bool(call.base_url))
            found["stored"] = {
                "packages": sum(one.packages for one in summary.repositories.values()),
                "versions": sum(one.versions for one in summary.repositories.values()),
                "blobs": summary.blobs,
                "bytes": summary.bytes,
                "as_of": as_of,
            }
            found["traffic"] = shown_traffic(total)
            found["formats"] = {name: shown_traffic(one) for name, one in by_format.items()}
            found["concerns"] = [one.text.format(**one.values) for one in concerns]
        return found

    async def _who(self, call: Call) -> Somebody:
        """Who is asking, as the server knows them."""
        return _shown(call.principal)


def shown_traffic(traffic: Traffic) -> TrafficShown:
    """As the API tells it."""
    return {
        "downloads": traffic.downloads,
        "served_bytes": traffic.served,
        "hit_rate": traffic.hit_rate,
    }


def _shown(principal: Principal) -> Somebody:
    return {
        "name": principal.name,
        "role": principal.role,
        "method": principal.method,
        "scopes": [
            {"repository": one.repository, "name": one.name, "actions": sorted(one.actions)}
            for one in principal.scopes
        ],
    }
