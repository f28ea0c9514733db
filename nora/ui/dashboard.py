"""The first page: is it well, what is in it, how is it used. On an empty registry: what to type first."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from nora.catalog.records import Totals
from nora.events.feed import Wish
from nora.ui.history import RANGES, last_day, traffic_over
from nora.ui.tabs import tabs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blacksheep import Response

    from nora.catalog.history import History
    from nora.formats.browsing import Site, Snippet
    from nora.ui.access import AccessPages
    from nora.ui.activity import Activity
    from nora.ui.server import ServerView, ShownUpstream, Traffic, UpstreamState
    from nora.ui.shelves import Shelf, Shelves
    from nora.ui.visit import Visit


@dataclass(frozen=True, slots=True)
class Mount:
    """A row of the table of mounts."""

    shelf: Shelf
    site: Site
    repositories: int
    """That the visitor may list."""
    totals: Totals | None
    """None where the visitor may not know."""
    traffic: Traffic | None
    upstreams: Sequence[ShownUpstream]


class Dashboard:
    """The page."""

    def __init__(
        self,
        shelves: Shelves,
        server: ServerView,
        history: History,
        activity: Activity,
        access: AccessPages,
    ) -> None:
        self._shelves = shelves
        self._activity = activity
        self._server = server
        self._access = access
        self._history = history

    async def page(self, visit: Visit) -> Response:
        """The answer."""
        shelves, server = self._shelves, self._server
        sees_server = shelves.may_see_server(visit.principal)
        total, traffic = server.traffic(shelves)
        states = server.states() if sees_server else {}
        mounts = [
            await self._mount(visit, shelf, traffic[shelf.format.name] if sees_server else None, states)
            for shelf in shelves.all()
        ]
        is_empty = all(one.totals is not None and not one.totals.bytes for one in mounts)
        values: dict[str, Any] = {
            "mounts": mounts,
            "range": visit.text("range") if visit.text("range") in RANGES else "",
            "is_empty": is_empty,
            **_first_lines(visit, mounts),
            "sees_server": sees_server,
            "chosen_client": visit.text("client"),
            "events": await self._activity.last(visit, Wish()),
            "knows_who": not visit.principal.is_anonymous,
            "concerns": await self._access.concerns(visit),
        }
        if sees_server:
            summary, as_of = await shelves.summary.read()
            ever = await self._history.total_history()
            chosen = RANGES.get(visit.text("range")) or RANGES["day"]
            values |= {
                "concerns": [
                    *await server.concerns(shelves, states, site_is_known=bool(visit.base_url)),
                    *values["concerns"],
                ],
                "summary": summary,
                "held": reduce(Totals.plus, summary.repositories.values(), Totals()),
                "total": total,
                "as_of": as_of,
                "since": server.started_at if ever is None else ever.at,
                "sparks": await last_day(self._history, time.time()),
                "ranges": RANGES,
                "traffic": await traffic_over(self._history, chosen, time.time()),
            }
        return visit.page("dashboard.html", **values)

    async def _mount(
        self, visit: Visit, shelf: Shelf, traffic: Traffic | None, states: Mapping[str, UpstreamState]
    ) -> Mount:
        shelves, default = self._shelves, shelf.default
        listed = shelves.listed(visit.principal, shelf)
        counted = all(shelves.may_count(visit.principal, one) for one in shelf.repositories)
        return Mount(
            shelf,
            shelves.site(visit, shelf, default),
            len(listed),
            await shelves.totals(default) if counted else None,
            traffic,
            tuple(self._server.upstreams(shelves, default, states)) if traffic is not None else (),
        )


def _first_lines(visit: Visit, mounts: Sequence[Mount]) -> dict[str, Any]:
    """The lines to begin with, of all clients of all formats."""
    found: list[Snippet] = []
    for one in mounts:
        made = one.shelf.format.browse.snippets
        found += made(one.site) if made is not None else ()
    return tabs(visit, found)
