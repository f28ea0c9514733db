"""Where a module is: the hosted repositories that have it, and the upstreams that list it.

Of an upstream all is offered that it lists and all that is here; of one that is not asked, what is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nora.catalog.blocks import Hidden
from nora.errors import PackageNotFound, UpstreamFailed, VersionNotFound
from nora.formats.base import Services
from nora.formats.go.documents import Part
from nora.formats.go.names import ModulePath
from nora.formats.go.resource import Resource
from nora.formats.go.upstream import Index
from nora.http.send import Header
from nora.model import Repository
from nora.proxy.answers import NO_CACHE, STALE, age_headers
from nora.proxy.base import Document
from nora.resolve import Candidate, Resolution, Source


@dataclass(frozen=True, slots=True)
class Place:
    """A module in a repository."""

    repository_id: int
    revision: int
    """Of the module there: it moves with the files that are here."""
    source: Source | None = None
    """None for a hosted one."""
    document: Document | None = None
    """The list of an upstream; None: it is not asked, or fails."""
    hidden: Hidden | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Changes with every change of it."""
        listed = self.document and self.document.cached.blob.id
        return self.repository_id, self.revision, listed, self.hidden and self.hidden.key


@dataclass(frozen=True, slots=True)
class Places:
    """All of them, in the order of precedence."""

    places: Sequence[Place]
    is_failing: bool
    """Whether what is here stands in for the list of an upstream."""

    @property
    def key(self) -> tuple[object, ...]:
        """Changes with every change of what is offered; the same for every process."""
        return tuple(one.key for one in self.places)

    @property
    def documents(self) -> list[Document]:
        """The lists of upstreams."""
        return [one.document for one in self.places if one.document is not None]

    def headers(self, *, public: bool) -> tuple[Header, ...]:
        """How long clients may keep what is made of this: nothing that is hosted, so that what was published
        is there for the next command."""
        documents = self.documents
        if self.is_failing or not documents or any(one.source is None for one in self.places):
            is_stale = self.is_failing or any(one.is_stale for one in documents)
            return (NO_CACHE, *(STALE if is_stale else ()))
        return age_headers(documents, public=public)


class Finder:
    """Finds modules."""

    def __init__(self, services: Services, index: Index) -> None:
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._resolver = services.resolver
        self._index = index

    async def resolve(self, repository: Repository, module: ModulePath) -> Resolution:
        """Which sources may be asked for a module. Nobody is told of a name that is ours, be it by what comes
        after it: the go command asks for each path in which a package might be a module."""
        return await self._resolver.resolve(repository, module, also=module.related)

    async def find(self, resource: Resource) -> Places:
        """Raises PackageNotFound; Blocked; UpstreamFailed when a source that may have it could not be asked,
        and nothing of it is here."""
        repository, module = resource.repository, resource.module
        failing: list[Source] = []

        async def look(hosted: Repository) -> Place | None:
            package = await self._catalog.find_package(hosted.id, module)
            if package is None or not await self._here(hosted.id, module):
                return None
            blocks = self._catalog.blocks()
            blocks.check(hosted.id, module)
            return Place(hosted.id, package.revision, hidden=blocks.hidden(hosted.id, module))

        async def ask(candidate: Candidate) -> Place | None:
            source = candidate.source
            document = None
            try:
                document = await self._index.list(source, module, may_fetch=resource.may_fetch)
            except UpstreamFailed:
                if not await self._here(source.id, module):
                    raise
                failing.append(source)
            package = await self._catalog.find_package(source.id, module)
            is_here = package is not None and bool(await self._here(source.id, module))
            if (document is None and not is_here) or package is None:
                return None
            is_asked = resource.may_fetch and self._index.is_online(source)
            hidden = self._catalog.blocks().hidden(source.id, module)
            return Place(source.id, package.revision, source, document if is_asked else None, hidden)

        resolution = await self.resolve(repository, module)
        hosted = await self._resolver.every_hosted(repository, look)
        cached = await self._resolver.every(resolution, ask)
        if not hosted and not cached:
            raise absent(module, self._resolver.offline_hint(repository))
        return Places((*hosted, *cached), bool(failing))

    async def check_absent(self, resource: Resource, candidate: Candidate) -> None:
        """Raise NotFound where a source that lacks a version has the module: others that are asked after it
        must not make up for that."""
        if candidate.is_last or candidate.pinned:
            return
        module, may_fetch = resource.module, resource.may_fetch
        if await self._index.list(candidate.source, module, may_fetch=may_fetch) is not None:
            raise VersionNotFound(f"{module} has no such version")

    async def parts(self, module: ModulePath, places: Places) -> list[Part]:
        """What there is, for `render_list`."""
        return [await self.part(module, one) for one in places.places]

    async def part(self, module: ModulePath, place: Place) -> Part:
        """What there is in one place."""
        listed = b"" if place.document is None else await self._blobs.read(place.document.cached.blob)
        return Part(listed, await self._here(place.repository_id, module), place.hidden)

    async def _here(self, repository_id: int, module: ModulePath) -> tuple[tuple[str, str], ...]:
        """The versions whose zips are here, with the digests of these."""
        rows = await self._catalog.list_package_files(repository_id, module)
        return tuple(
            (row.version, row.blob.digest)
            for row in rows
            if row.version is not None and row.path.endswith(".zip")
        )


def absent(module: str, hint: str = "") -> PackageNotFound:
    """What is said of a module that is not here; `hint`: why not."""
    return PackageNotFound(f"there is no module {module}{hint}")
