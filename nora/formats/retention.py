"""Retention: what of all repositories goes by the rules of the configuration (nora.retention), and how.

What was published is removed as a DELETE of it does: rows, never objects, and names that are never used again
stay so. It goes only as it was when that was decided: the package has the revision of the look, the file its
digest; else it is looked at again. What is cached is purged, where a rule names its repository.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nora.blobs.scratch import ScratchLayout
from nora.catalog.histories import Going
from nora.config import repository_specs
from nora.errors import PackageChanged
from nora.formats import discover
from nora.formats.administration import make_purging
from nora.observability.audit import Note
from nora.proxy.negative_cache import NegativeCache
from nora.resolve.purging import Wanted
from nora.retention.directories import by_directory
from nora.retention.plan import Counting, Removal, plan_directory, plan_package
from nora.retention.rules import NumberedRule, rules_for

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.catalog.histories import FileHistory, PackageHistory
    from nora.config import Config
    from nora.formats.base import Format
    from nora.model import Repository
    from nora.resolve.purging import Purging

PAGE: Final = 1000
PLANNED_ON_THE_LOOP: Final = 200
"""Versions of a package that are looked at where requests are answered: in a millisecond."""
REMOVED_AT_ONCE: Final = 50
"""Things that go in one transaction, for which others wait."""
ATTEMPTS: Final = 3
"""Looks at a package that changes; then others wait for one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Rows that rules may be about."""

    repository: Repository
    """Where they are read: a hosted one, or a proxy."""
    row: Repository
    """Itself, or one of the sources of a proxy."""
    names: frozenset[str]
    """What rules may call it."""
    format: Format
    counting: Counting


@dataclass(frozen=True, slots=True)
class Planned:
    """What goes of a package, or of a directory, in this order; never nothing."""

    place: Place
    package: str
    """Or the directory, without a slash."""
    removals: tuple[Removal, ...]
    revision: int = 0
    """Of the package, when that was decided."""


@dataclass(slots=True)
class Totals:
    """How much goes, or went."""

    packages: int = 0
    """And directories."""
    tags: int = 0
    versions: int = 0
    files: int = 0
    bytes: int = 0
    """What nothing else of the same package needs."""

    def __str__(self) -> str:
        return (
            f"{self.versions} versions, {self.tags} tags and {self.files} files of {self.packages} packages, "
            f"{self.bytes} bytes"
        )

    def add(self, removals: Sequence[Removal]) -> None:
        """More of one package."""
        self.packages += 1
        for one in removals:
            self.tags += len(one.tags)
            self.versions += len(one.versions)
            self.files += len(one.paths)
            self.bytes += one.bytes


Tell = Callable[[Place, str, Removal], None]
"""Told of everything that has gone: where, of which package, what."""


def note_of(place: Place, package: str, removal: Removal) -> Note:
    """What the audit log says of something that has gone, with the rule."""
    name = removal.name if place.format.browse.is_directory else f"{package} {removal.name}"
    digest = next((one for one in removal.versions if place.counting.by_tags), removal.digest)
    return Note("delete", place.repository.name, f"{name} ({removal.rule})", digest)


class Retention:
    """The rules of a configuration, over a catalog."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        repositories: Mapping[str, Repository],
        forget_absences: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
        looked: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`forget_absences` as in `make_purging`; `looked` is told how many packages and directories were
        looked at."""
        self.rules = config.retention.rules
        self.is_enabled = config.retention.enabled
        self._config = config
        self._catalog = catalog
        self._repositories = repositories
        self._purging: Purging = make_purging(catalog, repositories, forget_absences)
        self._clock = clock
        self._looked = looked
        self._looks = 0

    async def plan(self) -> AsyncGenerator[Planned, None]:
        """What would go now, package by package. Raises StorageFailed."""
        for place in self._places() if self.rules else ():
            of_place = self._directories(place) if place.format.browse.is_directory else self._packages(place)
            async for planned in of_place:
                yield planned

    async def apply(self, tell: Tell) -> Totals:
        """Remove it, in the order of the plan; how much that was. What changes meanwhile is decided anew.
        Raises StorageFailed: what has gone until then has been told."""
        totals = Totals()
        async for planned in self.plan():
            gone: list[Removal] = []
            try:
                if planned.place.counting.is_cached:
                    await self._purge(planned, gone)
                elif planned.place.format.browse.is_directory:
                    await self._remove_files(planned, gone)
                else:
                    await self._remove(planned, gone)
            finally:  # what has gone is told, whatever has become of the rest
                for one in gone:
                    tell(planned.place, planned.package, one)
            if gone:
                totals.add(gone)
        return totals

    # -- where ---------------------------------------------------------------------------------------------

    def _places(self) -> Iterator[Place]:
        """All rows that some rule may be about, by the names of their repositories."""
        formats = {one.name: one for one in discover()}
        for name in sorted(self._repositories):
            repository = self._repositories[name]
            served = formats[repository.format]
            if repository.kind == "hosted":
                groups = {
                    one.name
                    for one in self._repositories.values()
                    if one.kind == "group" and repository.id in one.hosted_ids
                }
                names = frozenset({served.name, name} | groups)
                yield from self._place(repository, (repository,), names, served)
            elif repository.kind == "proxy" and not served.browse.is_directory:
                yield from self._place(repository, repository.sources, frozenset({name}), served)

    def _place(
        self, repository: Repository, rows: Sequence[Repository], names: frozenset[str], served: Format
    ) -> Iterator[Place]:
        is_cached = repository.kind == "proxy"
        fits_all = not is_cached and any(one.registry == "*" for one in self.rules)
        if not fits_all and not any(one.registry in names for one in self.rules):
            return
        counting = Counting(
            order=served.version_order,
            by_tags=served.aging.by_tags,
            is_kept=served.aging.kept_tags(self._config),
            is_cached=is_cached,
        )
        for row in rows:
            yield Place(repository, row, names, served, counting)

    def _rules(self, place: Place, name: str) -> list[NumberedRule]:
        found = rules_for(self.rules, place.names, name, place.format.fold)
        return [one for one in found if not place.counting.is_cached or one.rule.registry in place.names]

    # -- what ----------------------------------------------------------------------------------------------

    async def _packages(self, place: Place) -> AsyncIterator[Planned]:
        after = ""
        while names := await self._catalog.list_packages(place.row.id, after, PAGE):
            for name in names:
                self._count_look()
                if planned := await self._plan_package(place, name):
                    yield planned
            after = names[-1]

    def _count_look(self) -> None:
        self._looks += 1
        self._looked(self._looks)

    async def _plan_package(self, place: Place, name: str) -> Planned | None:
        rules = self._rules(place, name)
        history = await self._catalog.read_package_history(place.row.id, name) if rules else None
        if history is None:
            return None
        if len(history.versions) <= PLANNED_ON_THE_LOOP:
            removals = plan_package(history, rules, place.counting, self._clock())
        else:
            removals = await asyncio.to_thread(plan_package, history, rules, place.counting, self._clock())
        return Planned(place, name, tuple(removals), history.revision) if removals else None

    async def _directories(self, place: Place) -> AsyncIterator[Planned]:
        async for directory, files in by_directory(self._files(place)):
            self._count_look()
            rules = self._rules(place, directory)
            if rules and (removals := plan_directory(files, rules, place.counting, self._clock())):
                yield Planned(place, directory, tuple(removals))

    async def _files(self, place: Place) -> AsyncIterator[FileHistory]:
        after = ""
        while page := await self._catalog.list_file_histories(place.row.id, after, PAGE):
            for one in page:
                yield one
            after = page[-1].path

    # -- how -----------------------------------------------------------------------------------------------

    async def _remove(self, planned: Planned, gone: list[Removal]) -> None:
        """Of a hosted package."""
        place, name = planned.place, planned.package
        is_for_good = place.format.aging.for_good(self._config, place.repository)
        current: Planned | None = planned
        for _ in range(ATTEMPTS):
            if current is None:
                return
            seen, rest = current.revision, current.removals
            try:
                while rest:
                    some, rest = rest[:REMOVED_AT_ONCE], rest[REMOVED_AT_ONCE:]
                    going = _going(some, is_for_good)
                    seen = await self._catalog.remove_seen(place.row.id, name, seen, going)
                    gone += some
            except PackageChanged:
                current = await self._plan_package(place, name)
            else:
                return
        await self._remove_at_once(place, name, is_for_good, gone)

    async def _remove_at_once(
        self, place: Place, name: str, is_for_good: Callable[[str], bool], gone: list[Removal]
    ) -> None:
        """Of a package that changes all the time: what goes is decided while nobody can change it."""
        rules = self._rules(place, name)
        some: list[Removal] = []

        def decide(history: PackageHistory) -> Going:
            some[:] = plan_package(history, rules, place.counting, self._clock())[:REMOVED_AT_ONCE]
            return _going(some, is_for_good)

        while True:
            some.clear()  # of a package that is not there any more nothing is decided
            await self._catalog.remove_decided(place.row.id, name, decide)
            gone += some
            if len(some) < REMOVED_AT_ONCE:
                return

    async def _remove_files(self, planned: Planned, gone: list[Removal]) -> None:
        """Of a hosted directory."""
        place, rest = planned.place, planned.removals
        is_for_good = place.format.aging.for_good(self._config, place.repository)
        while rest:
            some, rest = rest[:REMOVED_AT_ONCE], rest[REMOVED_AT_ONCE:]
            for for_good in (True, False):
                files = [(one.name, one.digest) for one in some if is_for_good(one.name) is for_good]
                if files:
                    paths = await self._catalog.remove_files_seen(place.row.id, files, for_good=for_good)
                    gone += [one for one in some if one.name in paths]

    async def _purge(self, planned: Planned, gone: list[Removal]) -> None:
        """Of what is cached: whatever of it is needed comes again."""
        for one in planned.removals:
            for version in one.versions:
                wanted = Wanted(name=planned.package, version=version)
                await self._purging.purge_source(planned.place.row, wanted)
            gone.append(one)


def _going(removals: Sequence[Removal], is_for_good: Callable[[str], bool]) -> Going:
    return Going(
        tags=[tag for one in removals for tag in one.tags],
        versions=[version for one in removals for version in one.versions],
        for_good=[path for one in removals for path in one.paths if is_for_good(path)],
    )


async def open_retention(config: Config, catalog: Catalog) -> Retention:
    """For a command. Raises ConfigError, StorageFailed."""
    repositories = await catalog.sync_repositories(repository_specs(config))
    absences = NegativeCache(ScratchLayout(config.storage.path).negative_cache, time.time)
    return Retention(config, catalog, repositories, absences.forget_package)
