"""What of the server a visitor may see: formats, their repositories, the addresses by which clients reach
them.

Nothing here decides by itself: `nora.auth.access` does, as it does for clients.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Final

from nora.catalog.records import Totals
from nora.errors import NotFound, quoted
from nora.formats import named_repositories
from nora.formats.browsing import Site
from nora.formats.search import PackageSearch

if TYPE_CHECKING:
    from nora.auth.access import Access
    from nora.catalog.base import Catalog
    from nora.catalog.records import Summary
    from nora.config import Upstream
    from nora.formats.base import Format, Services
    from nora.http.context import RequestContext
    from nora.model import Principal, Repository

FRESH_SECONDS: Final = 2.0
PATIENCE: Final = 50
"""A summary is good for so many times what it took: the machine has other things to do."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """A format, and those of its repositories that clients name."""

    format: Format
    repositories: tuple[Repository, ...]
    """The one at the mount of the format first."""

    @property
    def default(self) -> Repository:
        """The one at the mount."""
        return self.repositories[0]


class Shelves:
    """The formats of a server."""

    def __init__(
        self, services: Services, formats: Iterable[Format], repositories: Mapping[str, Repository]
    ) -> None:
        self._services = services
        formats = tuple(formats)
        self._access: Access = services.access
        self.search = PackageSearch(services, formats, repositories)
        self._shelves = {one.name: Shelf(one, named_repositories(one, repositories)) for one in formats}
        self._by_repository = {
            repository.name: (shelf, repository)
            for shelf in self._shelves.values()
            for repository in shelf.repositories
        }
        self.summary = LatestSummary(services.catalog)

    def all(self) -> Sequence[Shelf]:
        """Those that are on, by title."""
        return sorted(self._shelves.values(), key=lambda one: one.format.title.lower())

    def shelf(self, name: str) -> Shelf:
        """That of a format. Raises NotFound."""
        found = self._shelves.get(name)
        if found is None:
            raise NotFound(f"no format {quoted(name)} is served here")
        return found

    def find(self, principal: Principal, name: str) -> tuple[Shelf, Repository]:
        """A repository by its name. Raises NotFound for one that may not be listed, too; Unauthenticated
        where somebody who is known might find it."""
        found = self._by_repository.get(name)
        if found is None or not self.may_list(principal, found[1]):
            if principal.is_anonymous:
                self._access.require(principal, "read", None, None)
            raise NotFound(f"there is no repository {quoted(name)} for you here")
        return found

    def listed(self, principal: Principal, shelf: Shelf) -> list[Repository]:
        """Those of a format that a visitor may list."""
        return [one for one in shelf.repositories if self.may_list(principal, one)]

    # -- rights --------------------------------------------------------------------------------------

    def may_see_server(self, principal: Principal) -> bool:
        """Whether what concerns no package may be seen: how much there is, who is asked for it, how it is."""
        return self._access.decide(principal, "read", None, None)

    def may_administrate(self, principal: Principal) -> bool:
        """Whether somebody is an administrator of the server."""
        return self._access.decide(principal, "admin", None, None)

    def require_administrator(self, principal: Principal) -> None:
        """Raises Unauthenticated, Denied."""
        self._access.require(principal, "admin", None, None)

    def is_open_to_all(self) -> bool:
        """Whether anybody may read something."""
        return any(
            self._access.readable_by_all(one)
            for shelf in self._shelves.values()
            for one in shelf.repositories
        )

    def may_list(self, principal: Principal, repository: Repository) -> bool:
        """Whether a visitor may know that there is a repository."""
        return self._access.decide(principal, "read", repository, None)

    def may_count(self, principal: Principal, repository: Repository) -> bool:
        """Whether all of a repository may be read: else not even how much it is is told."""
        readable = self._access.readable_by_all(repository)
        return readable or (self.may_list(principal, repository) and not principal.scopes)

    def may_read(self, principal: Principal, repository: Repository, package: str) -> bool:
        """Whether a package may be read."""
        return self._access.decide(principal, "read", repository, package)

    def require(self, principal: Principal, repository: Repository, package: str) -> None:
        """The same whether the package is there or not. Raises Unauthenticated, Denied."""
        self._access.require(principal, "read", repository, package)

    # -- addresses -----------------------------------------------------------------------------------

    def site(self, context: RequestContext, shelf: Shelf, repository: Repository) -> Site:
        """Where clients reach a repository."""
        needs_login = not self._access.readable_by_all(repository)
        served, root = shelf.format, context.site_url
        if repository == shelf.default:
            return Site(root, served.mount, needs_login=needs_login)
        if served.shares_mount:
            return Site(root, served.mount, f"{repository.name}/", needs_login)
        return Site(f"{root}/r/{repository.name}", served.mount, needs_login=needs_login)

    def upstreams(self, repository: Repository) -> Iterator[tuple[Upstream, bool]]:
        """Who is asked for what a repository has not, and whether anybody is at all."""
        resolver = self._services.resolver
        for one in resolver.sources_of(repository):
            yield one.setting, resolver.sources.is_online(one.repository)

    async def totals(self, repository: Repository) -> Totals:
        """What all that is read in a repository holds."""
        summary, _ = await self.summary.read()
        found = [summary.repositories.get(number, Totals()) for number in repository.row_ids]
        return reduce(Totals.plus, found, Totals())


class LatestSummary:
    """How much there is, as of a moment ago."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = asyncio.Lock()
        self._known: tuple[Summary, float] | None = None
        self._good_until = float("-inf")

    async def read(self) -> tuple[Summary, float]:
        """And since when that is so, in seconds since the epoch. Raises StorageFailed."""
        async with self._lock:
            began = time.monotonic()
            if self._known is None or began >= self._good_until:
                self._known = await self._catalog.summarize(), time.time()
                ended = time.monotonic()
                self._good_until = ended + max(FRESH_SECONDS, PATIENCE * (ended - began))
            return self._known
