"""Search over the names of packages of all formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nora.ui.listings import Listed, read_page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from blacksheep import Response

    from nora.catalog.base import Catalog
    from nora.model import Repository
    from nora.ui.shelves import Shelf, Shelves
    from nora.ui.visit import Visit

MOST_OF_ONE: Final = 20
"""Results of one repository; the page of its format has the others."""


@dataclass(frozen=True, slots=True)
class Results:
    """What one repository has."""

    shelf: Shelf
    repository: Repository
    packages: Sequence[Listed]
    has_more: bool


class SearchPage:
    """The page."""

    def __init__(self, catalog: Catalog, shelves: Shelves) -> None:
        self._catalog = catalog
        self._shelves = shelves

    async def page(self, visit: Visit) -> Response:
        """The answer."""
        text = visit.text("q").strip()
        found = [one async for one in self._search(visit, text)] if text else []
        return visit.page("search.html", text=text, results=found)

    async def _search(self, visit: Visit, text: str) -> AsyncIterator[Results]:
        for shelf in self._shelves.all():
            for repository in self._shelves.listed(visit.principal, shelf):
                packages, has_more = await self._in(visit, repository, shelf.format.fold(text))
                if packages:
                    yield Results(shelf, repository, packages, has_more)

    async def _in(self, visit: Visit, repository: Repository, text: str) -> tuple[list[Listed], bool]:
        """The name itself, names that begin so, and names with the text in them."""
        hosted = {one.id for one in repository.hosted}
        first: dict[str, Listed] = {}
        for row in repository.row_ids:
            blocks = self._catalog.blocks()
            for name in await self._catalog.list_packages(row, "", MOST_OF_ONE, prefix=text.lower()):
                if self._shelves.may_read(visit.principal, repository, name) and not (
                    blocks and blocks.is_hidden(row, name)
                ):
                    first.setdefault(name, Listed(name, row, row in hosted))
        page = await read_page(
            self._catalog, self._shelves, visit.principal, repository, text, "", MOST_OF_ONE
        )
        found = {**{name: first[name] for name in sorted(first)}, **{one.name: one for one in page.packages}}
        ordered = sorted(found.values(), key=lambda one: (one.name != text, one.name not in first, one.name))
        return ordered[:MOST_OF_ONE], page.after is not None or len(ordered) > MOST_OF_ONE
