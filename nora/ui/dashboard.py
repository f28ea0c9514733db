"""The first page: is it well, what is in it, how is it used. On an empty registry: what to type first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nora.catalog.records import Totals
from nora.ui.tabs import tabs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blacksheep import Response

    from nora.formats.browsing import Site, Snippet
    from nora.ui.server import ServerView, ShownUpstream, Traffic
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

    def __init__(self, shelves: Shelves, server: ServerView) -> None:
        self._shelves = shelves
        self._server = server

    async def page(self, visit: Visit) -> Response:
        """The answer."""
        shelves, server = self._shelves, self._server
        sees_server = shelves.may_see_server(visit.principal)
        total, traffic = server.traffic(shelves)
        mounts = [
            await self._mount(visit, shelf, traffic[shelf.format.name] if sees_server else None)
            for shelf in shelves.all()
        ]
        is_empty = all(one.totals is not None and not one.totals.bytes for one in mounts)
        values: dict[str, Any] = {
            "mounts": mounts,
            "is_empty": is_empty,
            **_first_lines(visit, mounts),
            "sees_server": sees_server,
        }
        if sees_server:
            summary, as_of = await shelves.summary.read()
            values |= {
                "concerns": await server.concerns(shelves, site_is_known=bool(visit.base_url)),
                "summary": summary,
                "packages": sum(one.packages for one in summary.repositories.values()),
                "traffic": total,
                "as_of": as_of,
                "started_at": server.started_at,
            }
        return visit.page("dashboard.html", **values)

    async def _mount(self, visit: Visit, shelf: Shelf, traffic: Traffic | None) -> Mount:
        shelves, default = self._shelves, shelf.default
        listed = shelves.listed(visit.principal, shelf)
        counted = all(shelves.may_count(visit.principal, one) for one in shelf.repositories)
        return Mount(
            shelf,
            shelves.site(visit, shelf, default),
            len(listed),
            await shelves.totals(default) if counted else None,
            traffic,
            tuple(self._server.upstreams(shelves, default)) if traffic is not None else (),
        )


def _first_lines(visit: Visit, mounts: Sequence[Mount]) -> dict[str, Any]:
    """The lines to begin with, of all clients of all formats."""
    found: list[Snippet] = []
    for one in mounts:
        made = one.shelf.format.browse.snippets
        found += made(one.site) if made is not None else ()
    return tabs(visit, found)
