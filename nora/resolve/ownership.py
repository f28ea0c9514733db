"""The names that are ours, as administrators see and change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nora.errors import NotFound, quoted
from nora.resolve.patterns import Fold
from nora.resolve.repositories import find_repository

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.model import Repository
    from nora.resolve.resolution import Resolver


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a name comes from."""

    name: str
    """As its format spells it."""
    is_owned: bool
    owner: str
    """The hosted repository behind the one that was asked that owns it; empty: another one does, or none."""
    is_reserved: bool
    sources: tuple[tuple[str, bool], ...]
    """The upstreams that may be asked for it, in order, and whether it is pinned to them."""
    passed: tuple[str, ...]
    """The upstreams that are not asked because it is that of one before them."""


class Ownership:
    """The names that hosted repositories own."""

    def __init__(
        self,
        catalog: Catalog,
        repositories: Mapping[str, Repository],
        resolver: Resolver,
        folds: Mapping[str, Fold],
    ) -> None:
        """`folds` says by format how names are spelled (see `nora.formats.base.Format.fold`)."""
        self._catalog = catalog
        self._repositories = repositories
        self._resolver = resolver
        self._folds = folds

    def hosted(self, name: str) -> Repository:
        """The hosted repository that a name means. Raises NotFound."""
        found = self._repositories.get(name)
        target = None if found is None else found.writable
        if target is None:
            raise NotFound(f"there is no repository {quoted(name)} that packages are uploaded to")
        return target

    def repository(self, name: str) -> Repository:
        """A repository of any kind. Raises NotFound."""
        return find_repository(self._repositories, name)

    async def list(self, repository: Repository, after: str, limit: int) -> list[str]:
        """Names after `after`, in byte order."""
        return await self._catalog.list_owned_packages(repository.id, after, limit)

    async def claim(self, repository: Repository, name: str) -> str:
        """Make a name the hosted repository's, whatever upstreams have served under it; how it is spelled."""
        spelled = self._spelled(repository, name)
        await self._catalog.claim_package(repository.id, spelled)
        return spelled

    async def release(self, repository: Repository, name: str) -> str:
        """Give a name back to the upstreams; how it is spelled. Raises NotFound when it is not owned."""
        spelled = self._spelled(repository, name)
        if not await self._catalog.release_package(repository.id, spelled):
            raise NotFound(f"{repository.name} owns no package {quoted(spelled)}")
        return spelled

    async def origin(self, repository: Repository, name: str) -> Origin:
        """Where a name comes from, in a repository of any kind."""
        spelled = self._spelled(repository, name)
        resolution = await self._resolver.resolve(repository, spelled)
        hosted = await self._catalog.find_packages([(one.id, spelled) for one in repository.hosted])
        owners = [
            one.name
            for one, package in zip(repository.hosted, hosted, strict=True)
            if package is not None and package.owned
        ]
        return Origin(
            spelled,
            resolution.ours or bool(owners),
            owners[0] if owners else "",
            self._resolver.patterns.is_reserved(repository.format, spelled),
            tuple((one.source.setting.url, one.pinned) for one in resolution.candidates),
            tuple(one.setting.url for one in resolution.passed),
        )

    def _spelled(self, repository: Repository, name: str) -> str:
        return self._folds.get(repository.format, str)(name)
