"""Where a crate is: the hosted repositories that have it, and the index files of upstreams that list it."""

from __future__ import annotations

from nora.catalog.records import PackageFile
from nora.errors import PackageNotFound
from nora.formats.base import Services
from nora.formats.cargo.hosted import Spellings
from nora.formats.cargo.index import Part
from nora.formats.cargo.names import CrateName
from nora.formats.cargo.upstream import Index, crate_folder
from nora.formats.sources import CachedPart, HostedPart, Sources
from nora.model import Repository
from nora.resolve import Candidate


class Finder:
    """Finds the sources of crates."""

    def __init__(self, services: Services, index: Index) -> None:
        self._catalog = services.catalog
        self._resolver = services.resolver
        self._index = index
        self._spellings = Spellings(services.catalog)

    async def find(self, repository: Repository, crate: CrateName, *, exactly: bool = False) -> Sources:
        """`exactly`: spelled as it is asked for, but for capitals. Raises PackageNotFound; Blocked;
        UpstreamFailed when a source that may have it could not be asked."""

        async def look(one: Repository) -> HostedPart | None:
            package = await self._spellings.find(one, crate, exactly=exactly)
            if package is None:
                return None
            blocks = self._catalog.blocks()
            blocks.check(one.id, crate)
            return HostedPart(one, package, blocks.hidden(one.id, crate))

        async def ask(candidate: Candidate) -> CachedPart | None:
            source = candidate.source
            document = await self._index.file(source, crate)
            hidden = self._catalog.blocks().hidden(source.id, crate)
            if self._index.is_online(source):
                return None if document is None else CachedPart(document, None, hidden)
            package = await self._catalog.find_package(source.id, crate)
            if package is None or (document is None and not await self._rows(source.id, crate)):
                return None
            return CachedPart(document, (source.id, package.revision), hidden)

        resolution = await self._resolver.resolve(repository, crate)
        hosted = await self._resolver.every_hosted(repository, look)
        cached = await self._resolver.every(resolution, ask)
        if not hosted and not cached:
            raise absent(crate, self._resolver.offline_hint(repository))
        return Sources(tuple(hosted), tuple(cached))

    async def parts(self, crate: CrateName, sources: Sources) -> list[Part]:
        """What the sources have, for `parts_file`."""
        found = []
        for hosted in sources.hosted:
            versions = await self._catalog.list_versions(hosted.repository.id, crate)
            found.append(Part(versions=tuple(versions), hidden=hosted.hidden))
        for part in sources.cached:
            file = b"" if part.document is None else await self._index.read(part.document)
            if part.held is None:
                found.append(Part(file, hidden=part.hidden))
                continue
            rows = await self._rows(part.held[0], crate)
            held = frozenset((row.version or "", row.blob.digest.encoded) for row in rows)
            found.append(Part(file, rows=() if file else tuple(rows), held=held, hidden=part.hidden))
        return found

    async def _rows(self, source_id: int, crate: CrateName) -> list[PackageFile]:
        """The crate files that are here."""
        folder = crate_folder(crate)
        rows = await self._catalog.list_package_files(source_id, crate)
        return [row for row in rows if row.version is not None and row.path.startswith(folder)]


def absent(crate: CrateName, hint: str = "") -> PackageNotFound:
    """What is said of a crate that is not here; `hint`: why not. Also of a name of ours: cargo looks before
    it publishes the first version, and nowhere else."""
    return PackageNotFound(f"there is no crate {crate.spelled}{hint}")
