"""Formats, their packages, and one package: the pages that people browse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from nora.errors import NotFound, quoted
from nora.formats.browsing import Tagged
from nora.formats.operations import Subject
from nora.formats.releases import LIVE, status_of
from nora.ui.holdings import find_holdings, versions_of
from nora.ui.listings import PAGE, Order, read_ordered, read_page
from nora.ui.operations import offers, offers_of_files
from nora.ui.readme import rendered
from nora.ui.tabs import install_lines, tabs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blacksheep import Response

    from nora.formats.base import Services
    from nora.formats.browsing import Contents, Part
    from nora.formats.operations import Operations
    from nora.model import Repository
    from nora.ui.files import FilePages
    from nora.ui.holdings import Held, ShownVersion
    from nora.ui.operations import Offer
    from nora.ui.server import ServerView
    from nora.ui.shelves import Shelf, Shelves
    from nora.ui.uploads import UploadPages
    from nora.ui.visit import Visit

MOST_TAGS: Final = 200
"""Of a package that is shown by its versions."""
MOST_FILES: Final = 100
ACTIVE: Final = "active"
"""The status of a package of which nothing is said."""


class PackagePages:
    """The pages."""

    def __init__(
        self,
        services: Services,
        shelves: Shelves,
        server: ServerView,
        files: FilePages,
        operations: Operations,
        uploads: UploadPages,
    ) -> None:
        self._services = services
        self._catalog = services.catalog
        self._shelves = shelves
        self._server = server
        self._files = files
        self._operations = operations
        self._uploads = uploads

    async def format(self, visit: Visit) -> Response:
        """A format: its repositories, and the packages of one of them."""
        shelves, principal = self._shelves, visit.principal
        shelf = shelves.shelf(visit.value("format"))
        listed = shelves.listed(principal, shelf)
        wanted = visit.text("repository")
        chosen = next((one for one in listed if wanted in ("", one.name)), None)
        if wanted and chosen is None:
            shelves.find(principal, wanted)  # who is not known may have to log in
            raise NotFound(f"{quoted(wanted)} has no packages of {shelf.format.title}")
        if chosen is not None and shelf.format.browse.is_directory:
            return await self._files.directory(visit, shelf, chosen, "")
        values: dict[str, Any] = {"shelf": shelf, "repositories": listed, "repository": chosen}
        if chosen is not None:
            text, after = visit.text("q").strip(), visit.text("after", 1024)
            sought = shelf.format.fold(text)
            order, page = Order.of(visit.text("sort")), None
            if order is not None:
                page = await read_ordered(self._catalog, shelves, principal, chosen, sought, order, after)
            is_too_many = order is not None and page is None
            if page is None:
                order = None
                page = await read_page(self._catalog, shelves, principal, chosen, sought, after)
            outlines = await self._catalog.outline_packages([(one.row, one.name) for one in page.packages])
            counted = shelves.may_count(principal, chosen)
            sees_server = shelves.may_see_server(principal)
            values |= {
                "page": page,
                "order": order,
                "is_too_many": is_too_many,
                "outlines": outlines,
                "may_upload": self._uploads.offered(principal, chosen),
                "text": text,
                "after": after,
                "totals": await shelves.totals(chosen) if counted else None,
                "upstreams": tuple(self._server.upstreams(shelves, chosen, self._server.states()))
                if sees_server
                else (),
                **self._use(visit, shelf, chosen),
            }
        return visit.page("format.html", **values)

    def _use(self, visit: Visit, shelf: Shelf, repository: Repository) -> dict[str, Any]:
        """How clients use a repository."""
        site = self._shelves.site(visit, shelf, repository)
        made = shelf.format.browse.snippets
        return {"site": site, **tabs(visit, made(site) if made is not None else ())}

    async def package(self, visit: Visit) -> Response:
        """A package: by its tags where its format has it so, else by its versions."""
        shelves, name = self._shelves, visit.value("package")
        shelf, repository = shelves.find(visit.principal, visit.value("repository"))
        shelves.require(visit.principal, repository, name)
        by_tags = shelf.format.browse.tags is not None
        found = await find_holdings(
            self._catalog, self._services.resolver, repository, name, lists_files=not by_tags
        )
        show = self._image if by_tags else self._release
        values = await show(visit, shelf, repository, found)
        site = shelves.site(visit, shelf, repository)
        snippets = install_lines(shelf.format.browse, site, values["spelled"] or name, values["wanted"])
        return visit.page(
            "image.html" if by_tags else "package.html",
            shelf=shelf,
            repository=repository,
            name=name,
            found=found,
            sees_server=shelves.may_see_server(visit.principal),
            standing=await self._standing(repository, name),
            outages=self._server.outages(shelves, repository, (one.upstream for one in found)),
            package_offers=await self._offers(visit, repository, name),
            **values,
            **tabs(visit, snippets),
        )

    async def _standing(self, repository: Repository, name: str) -> Literal["", "ours", "kept"]:
        """Whose a name is, where others might be asked for it: `ours`, or `kept` by the source that it came
        from first."""
        resolver = self._services.resolver
        if not resolver.has_sources(repository):
            return ""
        resolution = await resolver.resolve(repository, name)
        if resolution.ours:
            return "ours"
        is_kept = bool(resolution.passed) and any(one.pinned for one in resolution.candidates)
        return "kept" if is_kept else ""

    async def _offers(self, visit: Visit, repository: Repository, name: str, **part: str) -> list[Offer]:
        """What the visitor may do to a package, or to a part of it."""
        return await offers(visit, self._operations, Subject(repository, name, **part))

    async def _release(
        self, visit: Visit, shelf: Shelf, repository: Repository, found: Sequence[Held]
    ) -> dict[str, Any]:
        versions = versions_of(shelf.format, found)
        tags: dict[str, list[str]] = {}
        for held in found:
            for tag, version in (await self._tags_of(held)).items():
                tags.setdefault(version, []).append(tag)
        wanted = visit.text("version")
        chosen = next((one for one in versions if one.name == wanted), None) or _newest(versions, tags)
        describe, description = shelf.format.browse.describe, None
        if describe is not None and chosen is not None:
            description = await describe(self._services, chosen.held.holding, chosen.name)
        readme = None
        if description is not None and description.readme is not None:
            readme = await rendered(self._services.render_cache, description.readme)
        start = _offset(visit.text("after"))
        name = visit.value("package")
        version_offers: list[Offer] = []
        file_offers: dict[str, list[Offer]] = {}
        if chosen is not None:
            subject = Subject(repository, name, chosen.name)
            version_offers = await offers(visit, self._operations, subject)
            if len(chosen.files) > 1:
                paths = [one.path for one in chosen.files[:MOST_FILES]]
                file_offers = await offers_of_files(visit, self._operations, subject, paths)
        here = [held.holding.package for held in found if held.holding.repository == repository.writable]
        status = status_of(here[0])[0] if here else None
        return {
            "package_status": status if isinstance(status, str) and status != ACTIVE else "",
            "version_offers": version_offers,
            "file_offers": file_offers,
            "versions": versions[start : start + PAGE],
            "version_count": len(versions),
            "start": start,
            "next_start": start + PAGE if start + PAGE < len(versions) else None,
            "tags": tags,
            "chosen": chosen,
            "description": description,
            "readme": readme,
            "spelled": "" if description is None else description.name,
            "wanted": "" if chosen is None else chosen.name,
            "most_files": MOST_FILES,
        }

    async def _tags_of(self, held: Held) -> Mapping[str, str]:
        row, package = held.holding.repository, held.holding.package
        found = {}
        for tag in await self._catalog.list_tags(row.id, package.name, "", MOST_TAGS):
            file = await self._catalog.find_tagged_file(row.id, package.name, tag)
            if file is not None and file.version is not None:
                found[tag] = file.version
        return found

    async def _image(
        self, visit: Visit, shelf: Shelf, repository: Repository, found: Sequence[Held]
    ) -> dict[str, Any]:
        after, wanted, version = visit.text("after"), visit.text("tag"), visit.text("version")
        list_tags = shelf.format.browse.tags
        assert list_tags is not None
        tags: dict[str, tuple[Tagged, Held]] = {}
        for held in found:
            row, package = held.holding.repository, held.holding.package.name
            for one in await list_tags(self._services, row, package, after, PAGE + 1):
                tags.setdefault(one.tag, (one, held))
        names = sorted(tags)
        shown = [tags[name] for name in names[:PAGE]]
        pulls: dict[str, tuple[int, float | None]] = {}
        for held in found:
            versions = [one.version for one, of in shown if of is held]
            row, package = held.holding.repository, held.holding.package.name
            pulls.update(await self._catalog.read_pulls(row.id, package, versions))
        contents = {one.version: await self._contents(shelf, held, one.version) for one, held in shown}
        about: list[Part] = []
        chosen = None
        for held in found if version else ():
            chosen = chosen or await self._contents(shelf, held, version)
            if shelf.format.browse.referrers is not None:
                row, package = held.holding.repository, held.holding.package.name
                about += await shelf.format.browse.referrers(self._services, row, package, version)
        name = visit.value("package")
        part_offers = [
            *(await self._offers(visit, repository, name, tag=wanted) if wanted else ()),
            *(await self._offers(visit, repository, name, version=version) if version else ()),
        ]
        reference = wanted or version or ("latest" if "latest" in tags else names[0] if names else "")
        return {
            "tags": shown,
            "pulls": pulls,
            "contents": contents,
            "part_offers": part_offers,
            "chosen": chosen,
            "about": about,
            "version": version,
            "tag": wanted,
            "after": after,
            "next_after": names[PAGE - 1] if len(names) > PAGE else None,
            "wanted": reference,
            "spelled": "",
        }

    async def _contents(self, shelf: Shelf, held: Held, version: str) -> Contents | None:
        read = shelf.format.browse.contents
        if read is None:
            return None
        return await read(self._services, held.holding.repository, held.holding.package.name, version)


def _newest(versions: Sequence[ShownVersion], tags: Mapping[str, Sequence[str]]) -> ShownVersion | None:
    """The one that clients take who say nothing."""
    tagged = [one for one in versions if "latest" in tags.get(one.name, ())]
    live = [one for one in versions if one.state == LIVE]
    return next(iter([*tagged, *live, *versions]), None)


def _offset(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0
