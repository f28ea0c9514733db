"""The web API beside publishing: yank, search, and what there is to know of a crate, as tools ask for it.

Everything is made of the lines of the index, and of what was said at publication.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import orjson
from blacksheep import Content, Response

from nora.auth.authorizer import Authorizer
from nora.catalog.blocks import Hidden
from nora.catalog.records import PackageFile, Version
from nora.errors import BadRequest, VersionNotFound
from nora.formats.base import Services
from nora.formats.cargo.documents import (
    crate_document,
    dependencies_document,
    newest,
    version_document,
    versions_document,
)
from nora.formats.cargo.errors import JSON
from nora.formats.cargo.hosted import about, spelling
from nora.formats.cargo.index import YANKED, offered
from nora.formats.cargo.names import canonical, parse_version
from nora.formats.cargo.owners import require_owner
from nora.formats.cargo.releases import RULES, YANK
from nora.formats.cargo.resource import Resource
from nora.formats.cargo.sources import Finder, absent
from nora.formats.releases import Releases
from nora.formats.sources import HostedPart, Sources
from nora.http.fields import NO_STORE, json_answer
from nora.model import Principal, Repository
from nora.proxy.offload import offload
from nora.resolve import Candidate
from nora.resolve.listing import Names

MOST_FOUND: Final = 100
USUALLY_FOUND: Final = 10
LONGEST_QUERY: Final = 200
LINE_WORK: Final = 4
"""How much more work it is to read the lines of an index than to pass them on."""


class Api:
    """The endpoints."""

    def __init__(self, services: Services, authorizer: Authorizer, finder: Finder) -> None:
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._finder = finder
        self._releases = Releases(services.catalog, RULES)
        self._resolver = services.resolver
        self._listed = Names(services.catalog)
        self._render_cache = services.render_cache

    async def yank(self, resource: Resource) -> Response:
        """`cargo yank`."""
        target, version = await self._owned(resource, "yank")
        await self._releases.mark(target, resource.crate, version, YANK, "")
        return json_answer({"ok": True})

    async def unyank(self, resource: Resource) -> Response:
        """`cargo yank --undo`."""
        target, version = await self._owned(resource, "unyank")
        await self._releases.unmark(target, resource.crate, version)
        return json_answer({"ok": True})

    async def _owned(self, resource: Resource, verb: str) -> tuple[Repository, str]:
        crate, version, target = resource.crate, parse_version(resource.version), resource.writable
        resource.audit("write", f"{crate.spelled} {version} {verb}")
        package = await self._catalog.find_package(target.id, crate)
        if package is None:
            raise absent(crate)
        require_owner(self._authorizer, resource, package)
        return target, version

    # -- search ----------------------------------------------------------------------------------------

    async def search(self, resource: Resource) -> Response:
        """`cargo search`: crates whose names have all words of the query, hosted or cached here."""
        query = resource.parameter("q") or ""
        if len(query) > LONGEST_QUERY:
            raise BadRequest(f"q is a text of at most {LONGEST_QUERY} characters")
        words = [canonical(word) for word in query.replace("+", " ").split()]  # cargo joins words by it
        per_page = min(_number(resource, "per_page", USUALLY_FOUND), MOST_FOUND)
        first = (_number(resource, "page", 1) - 1) * per_page
        names = [
            name
            for name in await self._names(resource.repository, resource.principal)
            if all(word in name for word in words)
        ]
        names.sort(key=lambda name: (name not in words, name))
        found = [await self._found(resource.repository, name) for name in names[first : first + per_page]]
        crates = [orjson.Fragment(one) for one in found if one is not None]
        return json_answer({"crates": crates, "meta": {"total": len(names)}})

    async def _names(self, repository: Repository, principal: Principal) -> Iterable[str]:
        names = await self._listed.of(repository)
        if not principal.scopes:
            return names
        return [name for name in names if self._authorizer.may_read(principal, repository, name)]

    async def _found(self, repository: Repository, name: str) -> bytes | None:
        """What a search shows of a crate, as JSON; nobody is asked for it."""

        async def look(hosted: Repository) -> bytes | None:
            async def make(hidden: Hidden | None) -> bytes:
                versions = offered(await self._catalog.list_versions(hosted.id, name), hidden)
                work = sum(len(one.document) for one in versions)
                return await offload(shown_of_hosted, name, versions, weight=work)

            return await self._shown(hosted, name, make)

        async def held(candidate: Candidate) -> bytes | None:
            source = candidate.source.repository

            async def make(hidden: Hidden | None) -> bytes:
                rows = await self._catalog.list_package_files(source.id, name)
                return await offload(
                    shown_of_held, rows, hidden, weight=sum(len(row.document) for row in rows)
                )

            return await self._shown(source, name, make)

        found = await self._resolver.find_hosted(repository, look)
        if found is None:
            found = await self._resolver.held(await self._resolver.resolve(repository, name), held)
        return found

    async def _shown(
        self, repository: Repository, name: str, make: Callable[[Hidden | None], Awaitable[bytes]]
    ) -> bytes | None:
        """What `make` makes of a crate in a repository, once for each revision of it."""
        package = await self._catalog.find_package(repository.id, name)
        if package is None:
            return None
        hidden = self._catalog.blocks().hidden(repository.id, name)
        key = ("found crate", HostedPart(repository, package, hidden).key)
        return await self._render_cache.piece(key, lambda: make(hidden)) or None

    # -- what there is to know of a crate --------------------------------------------------------------

    async def crate(self, resource: Resource) -> Response:
        """A crate with all of its versions."""
        sources = await self._finder.find(resource.repository, resource.crate)
        return await self._document(resource, sources, crate_document)

    async def versions(self, resource: Resource) -> Response:
        """All versions of a crate."""
        sources = await self._finder.find(resource.repository, resource.crate)
        return await self._document(resource, sources, versions_document)

    async def version(self, resource: Resource) -> Response:
        """One version of a crate."""
        sources = await self._finder.find(resource.repository, resource.crate)
        return await self._document(resource, sources, version_document, resource.version)

    async def dependencies(self, resource: Resource) -> Response:
        """What a version needs."""
        sources = await self._finder.find(resource.repository, resource.crate)
        return await self._document(resource, sources, dependencies_document, resource.version)

    async def _document(
        self, resource: Resource, sources: Sources, make: Callable[..., bytes | None], *arguments: object
    ) -> Response:
        parts = await self._finder.parts(resource.crate, sources)
        weight = LINE_WORK * sum(one.weight for one in parts)
        document = await offload(make, parts, *arguments, weight=weight)
        if document is None and resource.version:
            raise VersionNotFound(f"there is no version {resource.version} of {resource.crate.spelled}")
        if document is None:
            raise absent(resource.crate)
        return Response(200, [NO_STORE], Content(JSON, document))


def shown_of_hosted(name: str, versions: list[Version]) -> bytes:
    """What a search shows of the versions of a crate; empty where there are none."""
    if not versions:
        return b""
    live = [one.name for one in versions if one.state != YANKED]
    last = newest(live or [one.name for one in versions])
    said = next(about(one) for one in versions if one.name == last)
    return _shown(spelling(versions) or name, last, said.get("description", ""))


def shown_of_held(rows: Sequence[PackageFile], hidden: Hidden | None) -> bytes:
    """What a search shows of a crate by its files that are here; empty where nothing of them is offered."""
    here = [
        (row.path.split("/")[1], row.version)
        for row in rows
        if row.version is not None and not (hidden is not None and hidden.has(row.version, row.blob.digest))
    ]
    return _shown(here[0][0], newest([version for _, version in here]), "") if here else b""


def _shown(name: str, version: str, description: str) -> bytes:
    return orjson.dumps({"name": name, "max_version": version, "description": description})


def _number(resource: Resource, name: str, otherwise: int) -> int:
    text = resource.parameter(name)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 8 and int(text)):
        raise BadRequest(f"{name} is a whole number from 1 on")
    return int(text)
