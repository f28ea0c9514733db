"""A package that somebody asks for, and what its format says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypedDict

from nora.errors import BadRequest, Blocked, VersionNotFound, quoted
from nora.formats.browsing import Tagged
from nora.ui.holdings import find_holdings, versions_of
from nora.ui.tabs import install_lines

if TYPE_CHECKING:
    from nora.api.call import Call
    from nora.formats.base import Services
    from nora.formats.browsing import Description, Fact
    from nora.model import Repository
    from nora.ui.holdings import Held, ShownVersion
    from nora.ui.shelves import Shelf, Shelves

MOST_LISTED: Final = 100
LONGEST_NAME: Final = 1024
LIVE: Final = "live"


class FactShown(TypedDict):
    """Something that a version says of itself."""

    label: str
    text: str
    url: str


class Line(TypedDict):
    """Lines that work as they are pasted."""

    client: str
    purpose: Literal["set up", "log in", "install", "download", "publish"]
    text: str
    file: str
    """The file that they belong into; empty: the command line."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A package that somebody may read."""

    call: Call
    shelf: Shelf
    repository: Repository
    held: Sequence[Held]

    @property
    def name(self) -> str:
        """As its rows have it."""
        return self.held[0].holding.package.name

    @property
    def versions(self) -> list[ShownVersion]:
        """The newest first."""
        return versions_of(self.shelf.format, self.held)


class Finder:
    """Who finds them."""

    def __init__(self, services: Services, shelves: Shelves) -> None:
        self._services = services
        self._catalog = services.catalog
        self._shelves = shelves

    async def find(self, call: Call) -> Asked:
        """The package of a path. Raises NotFound, Denied, Unauthenticated."""
        shelf, repository = self._shelves.find(call.principal, call.value("repository"))
        name, resolver = call.value("package"), self._services.resolver
        self._shelves.require(call.principal, repository, name)
        held = await find_holdings(self._catalog, resolver, repository, name, lists_files=True)
        return Asked(call, shelf, repository, held)

    async def tags(self, asked: Asked, after: str, limit: int) -> dict[str, str]:
        """Its first tags after one, by name, and the version that each means."""
        listing = asked.shelf.format.browse.tags
        found: dict[str, str] = {}
        for one in asked.held:
            row, name = one.holding.repository, one.holding.package.name
            if listing is not None:
                tags = await listing(self._services, row, name, after, limit)
            else:
                tags = await self._tags_in(row, name, after, limit)
            for tag in tags:
                found.setdefault(tag.tag, tag.version)
        return dict(sorted(found.items())[:limit])

    async def _tags_in(self, row: Repository, name: str, after: str, limit: int) -> list[Tagged]:
        found = []
        for tag in await self._catalog.list_tags(row.id, name, after, limit):
            try:
                file = await self._catalog.find_tagged_file(row.id, name, tag)
            except Blocked:
                continue
            if file is not None and file.version is not None:
                found.append(Tagged(tag, file.version))
        return found

    async def chosen(self, asked: Asked) -> ShownVersion:
        """The version that the query says, else the one that clients take. Raises VersionNotFound."""
        wanted, versions = asked.call.parameter("version"), asked.versions
        if wanted:
            found = next((one for one in versions if one.name == wanted), None)
        else:
            found = newest(versions, await self.tags(asked, "", MOST_LISTED))
        if found is None:
            raise VersionNotFound(f"{quoted(asked.name)} has no version {quoted(wanted or '')}".strip())
        return found

    async def describe(self, asked: Asked, version: ShownVersion | None) -> Description | None:
        """What a version says of itself."""
        describe = asked.shelf.format.browse.describe
        if describe is None or version is None:
            return None
        return await describe(self._services, version.held.holding, version.name)

    def install(
        self, asked: Asked, version: ShownVersion | None, described: Description | None
    ) -> list[Line]:
        """How clients get a version."""
        site = self._shelves.site(asked.call, asked.shelf, asked.repository)
        spelled = described.name if described is not None and described.name else asked.name
        lines = install_lines(
            asked.shelf.format.browse, site, spelled, "" if version is None else version.name
        )
        return [
            {"client": one.client, "purpose": one.purpose, "text": one.text, "file": one.file}
            for one in lines
        ]


def newest(versions: Sequence[ShownVersion], tags: dict[str, str]) -> ShownVersion | None:
    """The one that clients take who say nothing."""
    tagged = [one for one in versions if one.name == tags.get("latest")]
    live = [one for one in versions if one.state == LIVE]
    return next(iter([*tagged, *live, *versions]), None)


def shown_facts(facts: Sequence[Fact]) -> list[FactShown]:
    """As the API tells them."""
    return [{"label": one.label, "text": one.text, "url": one.url} for one in facts]


def after_of(call: Call) -> str:
    """The query's `after`. Raises BadRequest for what is longer than any name."""
    after = call.parameter("after") or ""
    if len(after) > LONGEST_NAME:
        raise BadRequest(f"after is a name of at most {LONGEST_NAME} characters")
    return after
