"""The packages of a repository: a list of them, and one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypedDict

from nora.api.finder import MOST_LISTED, FactShown, Finder, Line, after_of, newest, shown_facts
from nora.http.fields import PAGING, json_endpoint, read_limit
from nora.http.operations import Parameter
from nora.outbound import hostname_of
from nora.ui.listings import read_page

if TYPE_CHECKING:
    from nora.api.call import Call
    from nora.formats.base import Services
    from nora.http.router import Endpoint
    from nora.ui.shelves import Shelves


class PackageLine(TypedDict):
    """A package in one line."""

    name: str
    hosted: bool
    """Whether it was published here; else it came from an upstream."""
    versions: int
    bytes: int
    latest: str | None
    """The version that was published last."""
    tag: str | None
    """The tag that was set last."""
    changed_at: float


class PackagePage(TypedDict):
    """Packages of a repository, by name."""

    packages: list[PackageLine]
    after: str | None
    """What the next page is asked for with; null: this is the last."""


class PackageShown(TypedDict):
    """A package."""

    repository: str
    format: str
    name: str
    hosted: bool
    owned: bool
    """Whether the name is ours: no upstream is asked for it."""
    upstreams: list[str] | None
    """The hosts that it came from; null for who may not read the server."""
    versions: int
    bytes: int
    latest: str | None
    """The version that clients take who say nothing."""
    tags: dict[str, str]
    """The versions of the first 100 tags."""
    summary: str
    facts: list[FactShown]
    """What the latest version says of itself."""
    install: list[Line]


class PackageApi:
    """The endpoints."""

    def __init__(self, services: Services, shelves: Shelves, finder: Finder) -> None:
        self._catalog = services.catalog
        self._shelves = shelves
        self._finder = finder

    def endpoints(self) -> Iterator[Endpoint[Call]]:
        """For whoever may ask; what they may not read is not told of."""
        path = "/api/v1/repositories/{repository}/packages"
        text = Parameter("q", "Only packages that have this in their names")
        yield json_endpoint("GET HEAD", path, "read", PackagePage, self._list, query=(text, *PAGING))
        yield json_endpoint("GET HEAD", f"{path}/{{package...}}", "read", PackageShown, self._show)

    async def _list(self, call: Call) -> PackagePage:
        """List the packages of a repository, a page at a time."""
        shelf, repository = self._shelves.find(call.principal, call.value("repository"))
        text, after = call.parameter("q") or "", after_of(call)
        page = await read_page(
            self._catalog,
            self._shelves,
            call.principal,
            repository,
            shelf.format.fold(text.strip()),
            after,
            read_limit(call, MOST_LISTED),
        )
        outlines = await self._catalog.outline_packages([(one.row, one.name) for one in page.packages])
        lines: list[PackageLine] = []
        for one in page.packages:
            outline = outlines.get((one.row, one.name))
            if outline is not None:
                lines.append(
                    {
                        "name": one.name,
                        "hosted": one.is_hosted,
                        "versions": outline.versions,
                        "bytes": outline.bytes,
                        "latest": outline.latest,
                        "tag": outline.tag,
                        "changed_at": outline.changed_at,
                    }
                )
        return {"packages": lines, "after": page.after}

    async def _show(self, call: Call) -> PackageShown:
        """A package."""
        asked = await self._finder.find(call)
        held, versions = asked.held, asked.versions
        tags = await self._finder.tags(asked, "", MOST_LISTED)
        chosen = newest(versions, tags)
        described = await self._finder.describe(asked, chosen)
        hosts = dict.fromkeys(hostname_of(one.upstream.url) for one in held if one.upstream is not None)
        return {
            "repository": asked.repository.name,
            "format": asked.shelf.format.name,
            "name": asked.name,
            "hosted": any(one.upstream is None for one in held),
            "owned": any(one.holding.package.owned for one in held),
            "upstreams": [*hosts] if self._shelves.may_see_server(call.principal) else None,
            "versions": len(versions),
            "bytes": sum(one.size for one in versions),
            "latest": None if chosen is None else chosen.name,
            "tags": tags,
            "summary": described.summary if described else "",
            "facts": shown_facts(described.facts if described else ()),
            "install": self._finder.install(asked, chosen, described),
        }
