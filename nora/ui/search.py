"""Search over the packages of all formats, and over tags and digests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nora.formats.search import Wanted, digest_in

if TYPE_CHECKING:
    from blacksheep import Response

    from nora.formats.search import Result
    from nora.ui.shelves import Shelves
    from nora.ui.visit import Visit

PAGE: Final = 50
FARTHEST: Final = 1000
"""Results that somebody pages through: who has not found it by then types more."""
MOST_TAGS: Final = 20
MOST_CONTENTS: Final = 50
SOURCES: Final = {"": None, "hosted": True, "cached": False}


class SearchPage:
    """The page."""

    def __init__(self, shelves: Shelves) -> None:
        self._shelves = shelves
        self._search = shelves.search

    async def page(self, visit: Visit) -> Response:
        """The answer: everything that it depends on is in its address."""
        text, principal = visit.text("q").strip(), visit.principal
        chosen = {name: visit.text(name) for name in ("format", "repository", "source")}
        hosted = SOURCES.get(chosen["source"])
        wanted = Wanted(text, chosen["format"], chosen["repository"], hosted)
        skip = _number(visit.text("skip"))
        found = await self._search.find(principal, wanted, skip=skip, limit=PAGE)
        groups: dict[str, list[Result]] = {}
        for one in found.packages:
            groups.setdefault(one.place.format.name, []).append(one)
        is_first = skip == 0
        shelves = [one for one in self._shelves.all() if self._shelves.listed(principal, one)]
        shelf = next((one for one in shelves if one.format.name == chosen["format"]), None)
        return visit.page(
            "search.html",
            text=text,
            chosen=chosen,
            found=found,
            groups=[*groups.values()],
            tags=await self._search.find_tags(principal, wanted, limit=MOST_TAGS) if is_first else (),
            is_digest=bool(digest_in(text)),
            contents=await self._search.find_contents(principal, wanted, limit=MOST_CONTENTS)
            if is_first
            else (),
            shelves=shelves,
            repositories=self._shelves.listed(principal, shelf) if shelf is not None else (),
            skip=skip,
            next_skip=skip + PAGE if found.has_more and skip + PAGE < FARTHEST else None,
        )


def _number(text: str) -> int:
    return min(int(text), FARTHEST) if text.isascii() and text.isdigit() and len(text) < 6 else 0
