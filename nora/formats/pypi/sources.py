"""Where a project is: the hosted repositories that have it, and the pages of upstreams that list it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from nora.catalog.records import Package
from nora.errors import Denied, NotFound, PackageNotFound
from nora.formats.base import Services
from nora.formats.pypi.held import held_files, held_page
from nora.formats.pypi.hosted_pages import MANY_ROWS, HostedPages
from nora.formats.pypi.index import Project, decode, merge, weight
from nora.formats.pypi.marks import is_volatile, mark_of, own_metadata
from nora.formats.pypi.names import ProjectName
from nora.formats.pypi.parts import without
from nora.formats.pypi.upstream import Index
from nora.formats.sources import CachedPart, HostedPart, Sources
from nora.model import Repository
from nora.proxy.base import Document
from nora.proxy.offload import QUICK_BYTES
from nora.resolve import Candidate, Resolution, Source


class Finder:
    """Finds the sources of projects."""

    def __init__(self, services: Services, index: Index) -> None:
        self._catalog = services.catalog
        self._resolver = services.resolver
        self._index = index
        self._pages = HostedPages(services.catalog)

    async def find(self, repository: Repository, project: ProjectName) -> Sources:
        """Raises PackageNotFound; Denied for a name of ours that nothing was uploaded under; UpstreamFailed
        and its kinds when a source that may have it could not be asked."""

        async def look(one: Repository) -> HostedPart | None:
            package = await self._catalog.find_package(one.id, project)
            if package is None:
                return None
            blocks = self._catalog.blocks()
            blocks.check(one.id, project)
            return HostedPart(one, package, blocks.hidden(one.id, project))

        async def ask(candidate: Candidate) -> CachedPart | None:
            document = await self._index.page(candidate.source, project)
            is_online = self._index.is_online(candidate.source)
            if document is None and is_online:
                return None
            package = await self._catalog.find_package(candidate.source.id, project)
            additions = b"{}" if package is None or not is_online else package.document
            if candidate.source.setting.volatile or (document and is_volatile(document.cached)):
                additions = orjson.dumps({**orjson.loads(additions), "volatile": True})
            hidden = self._catalog.blocks().hidden(candidate.source.id, project)
            if is_online and document is not None:
                return CachedPart(document, hidden=hidden, additions=additions)
            found = await self._held(candidate.source, document, package, additions)
            return found and replace(found, hidden=hidden)

        resolution = await self._resolver.resolve(repository, project)
        hosted = await self._resolver.every_hosted(repository, look)
        cached = await self._resolver.every(resolution, ask)
        if not hosted and not cached:
            raise absent(resolution, self._resolver.offline_hint(repository))
        return Sources(tuple(hosted), tuple(cached))

    async def stored(self, project: ProjectName, sources: Sources) -> list[bytes]:
        """The sources in the form in which pages are stored, for `combined`."""
        parts = [
            (await self._pages.stored(part.repository, part.package, project), part.hidden)
            for part in sources.hosted
        ]
        parts += [(await self._cached(project, part), part.hidden) for part in sources.cached]
        return [
            stored if hidden is None else await asyncio.to_thread(without, stored, hidden)
            for stored, hidden in parts
        ]

    async def _held(
        self, source: Source, document: Document | None, package: Package | None, additions: bytes
    ) -> CachedPart | None:
        """A project of a source that is not asked: its page may have been dropped, and its files be here."""
        if package is None:
            return None
        if document is None:
            rows = await self._catalog.list_package_files(source.id, package.name)
            if not any(held_files(package.name, rows)):
                return None
        return CachedPart(document, (source.id, package.revision), additions=additions)

    async def _cached(self, project: ProjectName, part: CachedPart) -> bytes:
        page = b"" if part.document is None else await self._index.stored(part.document)
        if part.held is None:
            return page
        rows = await self._catalog.list_package_files(part.held[0], project)
        if len(rows) > MANY_ROWS or weight(page) > QUICK_BYTES:
            return await asyncio.to_thread(held_page, project, page, rows)
        return held_page(project, page, rows)


def absent(resolution: Resolution, hint: str = "") -> NotFound | Denied:
    """What is said of a project that is not here; `hint`: why not. For a name of ours not that there is none:
    uv would look for it elsewhere."""
    project = resolution.name
    if resolution.ours:
        return Denied(f"{project} is a name of this registry, and nothing was published under it")
    return PackageNotFound(f"there is no project {project}{hint}")


def combined(stored: Sequence[bytes], additions: Sequence[bytes]) -> Project:
    """One project of its sources; the last ones are those of upstreams, each with its additions."""
    projects = [decode(one) for one in stored]
    first = len(projects) - len(additions)
    for place, one in enumerate(additions, first):
        projects[place] = _extended(projects[place], orjson.loads(one))
    return merge(projects)


def _extended(project: Project, additions: Mapping[str, Any]) -> Project:
    """With the core metadata that NORA has taken out of wheels itself, and with the marks that tell files
    apart where they are replaced."""
    metadata, marked = additions.get("metadata", {}), additions.get("volatile", False)
    if not metadata and not marked:
        return project
    files = []
    for file in project.files:
        own = own_metadata(additions, file.filename, file.hashes) if file.filename in metadata else None
        if own is not None:
            file = file._replace(core_metadata={"sha256": own})
        files.append(file._replace(mark=mark_of(file.hashes)) if marked else file)
    return Project(project.name, files, project.versions, project.status, project.status_reason)
