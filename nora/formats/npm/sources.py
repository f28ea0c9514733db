"""Where a package is: the hosted repositories that have it, and the packuments of upstreams."""

from __future__ import annotations

from contextlib import suppress

from nora.catalog.base import Catalog
from nora.catalog.blocks import Hidden
from nora.errors import Blocked, Denied, NotFound, PackageNotFound
from nora.formats.base import Services
from nora.formats.npm.documents import Part
from nora.formats.npm.held import held_stored, held_versions
from nora.formats.npm.hosted import README, hosted_stored, latest_of, offered, path_of
from nora.formats.npm.names import PackageName
from nora.formats.npm.upstream import Index
from nora.formats.sources import CachedPart, HostedPart, Sources
from nora.model import Repository
from nora.proxy.offload import offload
from nora.resolve import Candidate, Resolution

MOST_TAGS = 1000


class Finder:
    """Finds the sources of packages."""

    def __init__(self, services: Services, index: Index) -> None:
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._resolver = services.resolver
        self._index = index

    async def find(self, repository: Repository, name: PackageName) -> Sources:
        """Raises PackageNotFound; Denied for a name of ours that nothing was published under; UpstreamFailed
        when a source that may have it could not be asked."""

        async def look(one: Repository) -> HostedPart | None:
            package = await self._catalog.find_package(one.id, name)
            if package is None or not await self.has_versions(one, name):
                return None
            blocks = self._catalog.blocks()
            blocks.check(one.id, name)
            return HostedPart(one, package, blocks.hidden(one.id, name))

        async def ask(candidate: Candidate) -> CachedPart | None:
            source = candidate.source
            document = await self._index.document(source, name)
            hidden = self._catalog.blocks().hidden(source.id, name)
            if self._index.is_online(source):
                return None if document is None else CachedPart(document, None, hidden, source_id=source.id)
            package = await self._catalog.find_package(source.id, name)
            if package is None:
                return None
            if document is None:  # it may have been dropped, and tarballs be here
                rows = await self._catalog.list_package_files(source.id, name)
                if not held_versions(rows):
                    return None
            return CachedPart(document, (source.id, package.revision), hidden, source_id=source.id)

        resolution = await self._resolver.resolve(repository, name)
        hosted = await self._resolver.every_hosted(repository, look)
        cached = await self._resolver.every(resolution, ask)
        if not hosted and not cached:
            raise absent(resolution)
        return Sources(tuple(hosted), tuple(cached))

    async def parts(self, name: PackageName, sources: Sources) -> list[Part]:
        """The packuments of the sources in their stored form."""
        found = [await self.hosted(part) for part in sources.hosted]
        for part in sources.cached:
            rows = [] if part.held is None else await self._catalog.list_package_files(part.held[0], name)
            held = None if part.held is None else held_versions(rows)
            if part.document is None:
                work = sum(len(row.document) for row in rows)
                stored = await offload(held_stored, name, rows, weight=work)
            else:
                stored = await self._index.stored(part.document.cached.blob)
            hidden = await with_digests(self._catalog, part.source_id, name, part.hidden)
            found.append(Part(stored, held, hidden))
        return found

    async def hosted(self, part: HostedPart) -> Part:
        """The packument of a hosted package."""
        package, number = part.package, part.repository.id
        hidden = await with_digests(self._catalog, number, package.name, part.hidden)
        versions = await self._catalog.list_versions(number, package.name)
        names = {one.name for one in offered(versions, hidden)}
        tags = {tag: to for tag, to in (await self.tags(number, package.name)).items() if to in names}
        if "latest" not in tags and (latest := latest_of(versions, hidden)) is not None:
            tags["latest"] = latest
        readme = await self._readme(number, package.name, tags.get("latest"))
        work = sum(len(one.document) for one in versions)
        stored = await offload(hosted_stored, package, versions, tags, readme, weight=work)
        return Part(stored, None, hidden)

    async def tags(self, repository_id: int, name: str) -> dict[str, str]:
        """The tags of a hosted package, without those of what is blocked."""
        found = {}
        for tag in await self._catalog.list_tags(repository_id, name, "", MOST_TAGS):
            with suppress(Blocked):
                file = await self._catalog.find_tagged_file(repository_id, name, tag)
                if file is not None and file.version is not None:
                    found[tag] = file.version
        return found

    async def has_versions(self, hosted: Repository, name: PackageName) -> bool:
        """Whether anything is left of it. Usually there is a `latest`, which is cheap to see."""
        with suppress(Blocked):
            if await self._catalog.find_tagged_file(hosted.id, name, "latest") is not None:
                return True
        return bool(await self._catalog.list_versions(hosted.id, name))

    async def _readme(self, repository_id: int, name: str, version: str | None) -> str:
        if version is None:
            return ""
        file = await self._catalog.find_file(repository_id, path_of(name, version) + README)
        return "" if file is None else (await self._blobs.read(file.blob)).decode("utf-8", "replace")


async def with_digests(
    catalog: Catalog, repository_id: int, name: str, hidden: Hidden | None
) -> Hidden | None:
    """What is blocked of a package, and the versions whose bytes are: packuments do not know the sha256 of a
    tarball, which a block is usually by, and the rows of those that are here do."""
    if hidden is None or not hidden.digests:
        return hidden
    rows = await catalog.list_package_files(repository_id, name)
    versions = {row.version for row in rows if row.version and row.blob.digest in hidden.digests}
    return hidden._replace(versions=hidden.versions | versions)


def absent(resolution: Resolution) -> NotFound | Denied:
    """What is said of a package that is not here. For a name of ours not that there is none: clients with
    another registry behind this one would look there."""
    if resolution.ours:
        return Denied(f"{resolution.name} is a name of this registry, and nothing was published under it")
    return PackageNotFound(f"there is no package {resolution.name}")
