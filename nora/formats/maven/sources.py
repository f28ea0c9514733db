"""Where metadata comes from: the hosted repositories that have an artifact, and what upstreams say of it."""

from __future__ import annotations

from itertools import chain
from typing import Final, NamedTuple

import orjson

from nora.auth.authorizer import Authorizer
from nora.catalog.records import Package
from nora.formats.base import Services
from nora.formats.maven.cached import CachedFiles
from nora.formats.maven.document import Listed, Said, absent
from nora.formats.maven.metadata import Plugin
from nora.formats.maven.names import Metadata, PackageName
from nora.formats.maven.resource import Resource
from nora.formats.maven.upstream import Index
from nora.formats.sources import CachedPart, HostedPart, Sources
from nora.model import Repository
from nora.resolve import Candidate, Resolution

PAGE: Final = 1000


class Parts(NamedTuple):
    """What a document is made of."""

    sources: Sources
    """Of the artifact."""
    plugins: tuple[HostedPart, ...]
    """Packages of the group that are plugins."""
    has_versions: bool
    """Whether who asks may read the artifact."""
    has_plugins: bool
    """Whether who asks may read all of the group."""

    @property
    def key(self) -> tuple[object, ...]:
        """Changes with every change of the document."""
        plugins = tuple(one.key for one in self.plugins)
        return self.sources.key, plugins, self.has_versions, self.has_plugins


class Finder:
    """Finds the parts of documents."""

    def __init__(self, services: Services, authorizer: Authorizer, index: Index, cached: CachedFiles) -> None:
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._resolver = services.resolver
        self._index = index
        self._cached = cached

    async def find(self, resource: Resource, about: Metadata) -> Parts:
        """Raises PackageNotFound; Blocked; UpstreamFailed when a source may have it and cannot be asked."""
        repository, package, group = resource.repository, about.package, about.group
        has_versions = package is not None and self._may_read(resource, package)

        async def look(hosted: Repository) -> HostedPart | None:
            if package is None or not has_versions:
                return None
            found = await self._catalog.find_package(hosted.id, package)
            if found is None:
                return None
            blocks = self._catalog.blocks()
            blocks.check(hosted.id, package, versions=(about.version,) if about.version else ())
            return HostedPart(hosted, found, blocks.hidden(hosted.id, package))

        hosted = await self._resolver.every_hosted(repository, look)
        plugins = await self._plugins(resource, group) if group else ()
        # A group with plugins of ours is ours: nobody else gives prefixes to what is in it
        is_ours = bool(plugins) and not self._resolver.patterns.is_extended(repository.format, group)
        has_plugins = bool(group) and not is_ours and self._may_read(resource, f"{group}:*")
        is_asked = has_plugins or has_versions
        if is_ours and package is not None:
            is_asked = has_versions and await self._resolver.is_known(repository, package)
        cached = await self._said(repository, about) if is_asked else []
        if not hosted and not plugins and not cached:
            raise absent(about, self._resolver.offline_hint(repository))
        return Parts(Sources(tuple(hosted), tuple(cached)), plugins, has_versions, has_plugins)

    async def read(self, about: Metadata, parts: Parts) -> list[list[Listed] | Said]:
        """What the parts say, for `make_document`."""
        hosted = parts.sources.hosted
        found: list[list[Listed] | Said] = [await self._rows(one.repository.id, about) for one in hosted]
        for part in parts.sources.cached:
            if part.held is not None:
                found.append(await self._rows(part.held[0], about))
            if part.document is not None:
                body = await self._blobs.read(part.document.cached.blob)
                hidden = part.hidden.versions if part.hidden else frozenset()
                has_versions = parts.has_versions and part.held is None
                found.append(Said(body, hidden, has_versions, parts.has_plugins))
        return found

    async def _rows(self, repository_id: int, about: Metadata) -> list[Listed]:
        """The files of the artifact that are here."""
        if about.package is None:
            return []
        hidden = self._catalog.blocks().hidden(repository_id, about.package)
        return [
            Listed(row.path, row.version, row.created_at)
            for row in await self._catalog.list_package_files(repository_id, about.package)
            if row.version is not None and not (hidden and hidden.has(row.version, row.blob.digest))
        ]

    # -- upstreams ---------------------------------------------------------------------------------------

    async def _said(self, repository: Repository, about: Metadata) -> list[CachedPart]:
        """What upstreams say."""

        async def ask(candidate: Candidate) -> CachedPart | None:
            source = candidate.source
            document = await self._index.metadata(source, about, candidate.name)
            hidden = self._catalog.blocks().hidden(source.id, about.package or candidate.name)
            if self._index.is_online(source):
                if document is not None:
                    return CachedPart(document, None, hidden)
                if about.version and about.package is not None:
                    await self._cached.check_absent(candidate, about.package)
                return None
            package = about.package and await self._catalog.find_package(source.id, about.package)
            held = (source.id, package.revision) if package else None
            return CachedPart(document, held, hidden) if document or held else None

        return await self._resolver.every(await self._resolve(repository, about), ask)

    async def _resolve(self, repository: Repository, about: Metadata) -> Resolution:
        """Whom to ask for a document. Where it may be about a group, its path tells of the artifact and of
        the group: what is said of either counts."""
        package, group = about.package, about.group
        if not group:
            assert package is not None
            return await self._resolver.resolve(repository, package)
        if package is None or (self._is_said(repository, group) and not self._is_said(repository, package)):
            return await self._resolver.resolve(repository, group, also=(package,) if package else ())
        return await self._resolver.resolve(repository, package, also=(group,))

    def _is_said(self, repository: Repository, name: str) -> bool:
        """Whether the configuration says of which source a name is."""
        sources = self._resolver.sources_of(repository)
        return any(one.is_named(name) or one.is_merged(name) for one in sources)

    # -- plugins -----------------------------------------------------------------------------------------

    async def _plugins(self, resource: Resource, group: str) -> tuple[HostedPart, ...]:
        """The packages of a group whose prefixes are known, in all hosted repositories."""

        async def look(hosted: Repository) -> list[HostedPart]:
            found, after = [], ""
            while names := await self._catalog.list_packages(hosted.id, after, PAGE, f"{group}:"):
                packages = await self._catalog.find_packages([(hosted.id, name) for name in names])
                found += [
                    HostedPart(hosted, one)
                    for one in packages
                    if one is not None and b'"plugin"' in one.document and self._may_read(resource, one.name)
                ]
                after = names[-1]
            return found

        return tuple(chain.from_iterable(await self._resolver.every_hosted(resource.repository, look)))

    def _may_read(self, resource: Resource, package: str) -> bool:
        return self._authorizer.may_read(resource.principal, resource.repository, package)


def plugin_of(package: Package) -> Plugin:
    """What is known of a hosted plugin."""
    said = orjson.loads(package.document)["plugin"]
    return Plugin(PackageName.of(package.name).artifact, said["prefix"], said["name"])
