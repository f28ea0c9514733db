"""Where a crate is: the hosted repositories that have it, and the index files of upstreams that list it."""

from __future__ import annotations

from dataclasses import dataclass

from nora.catalog.records import Package
from nora.errors import PackageNotFound
from nora.formats.base import Services
from nora.formats.cargo.hosted import Spellings
from nora.formats.cargo.index import hosted_file, only
from nora.formats.cargo.names import CrateName
from nora.formats.cargo.upstream import Index
from nora.http.send import Header
from nora.model import Repository
from nora.proxy.answers import NO_CACHE, age_headers
from nora.proxy.base import Document
from nora.resolve import Candidate, Source


@dataclass(frozen=True, slots=True)
class HostedPart:
    """A crate in a hosted repository."""

    repository: Repository
    package: Package


@dataclass(frozen=True, slots=True)
class CachedPart:
    """A crate as an upstream has it."""

    document: Document
    held: tuple[Source, int] | None
    """Of a source that is not asked: the revision of the crate in its rows. Only versions that are here are
    offered then."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that the index file of a crate is made of, in the order of precedence."""

    hosted: tuple[HostedPart, ...]
    cached: tuple[CachedPart, ...]

    @property
    def key(self) -> tuple[object, ...]:
        """Changes with every change of the file; the same for every process."""
        return (
            *((part.repository.id, part.package.id, part.package.revision) for part in self.hosted),
            *((part.document.cached.blob.id, part.held and part.held[1]) for part in self.cached),
        )

    def headers(self, *, public: bool) -> tuple[Header, ...]:
        """How long clients may keep it: not at all what is hosted, so that what was published is there for
        the next command."""
        if self.hosted:
            return (NO_CACHE,)
        return age_headers([part.document for part in self.cached], public=public)


class Finder:
    """Finds the sources of crates."""

    def __init__(self, services: Services, index: Index) -> None:
        self._catalog = services.catalog
        self._resolver = services.resolver
        self._index = index
        self._spellings = Spellings(services.catalog)

    async def find(self, repository: Repository, crate: CrateName, *, exactly: bool = False) -> Sources:
        """`exactly`: spelled as it is asked for, but for capitals. Raises PackageNotFound; UpstreamFailed
        when a source that may have it could not be asked."""

        async def look(one: Repository) -> HostedPart | None:
            package = await self._spellings.find(one, crate, exactly=exactly)
            return None if package is None else HostedPart(one, package)

        async def ask(candidate: Candidate) -> CachedPart | None:
            source = candidate.source
            document = await self._index.file(source, crate)
            if document is None or self._index.is_online(source):
                return None if document is None else CachedPart(document, None)
            package = await self._catalog.find_package(source.id, crate)
            return CachedPart(document, (source, 0 if package is None else package.revision))

        resolution = await self._resolver.resolve(repository, crate)
        hosted = await self._resolver.every_hosted(repository, look)
        cached = await self._resolver.every(resolution, ask)
        if not hosted and not cached:
            raise absent(crate)
        return Sources(tuple(hosted), tuple(cached))

    async def files(self, crate: CrateName, sources: Sources) -> list[bytes]:
        """The index files of the sources."""
        found = [
            hosted_file(await self._catalog.list_versions(part.repository.id, crate))
            for part in sources.hosted
        ]
        for part in sources.cached:
            file = await self._index.read(part.document)
            if part.held is not None:
                rows = await self._catalog.list_package_files(part.held[0].id, crate)
                file = only(file, {row.version for row in rows if row.version is not None})
            found.append(file)
        return found


def absent(crate: CrateName) -> PackageNotFound:
    """What is said of a crate that is not here: cargo takes it for an answer, and does not ask again."""
    return PackageNotFound(f"there is no crate {crate.spelled}")
