"""Which sources may be asked for a name, and asking them.

A name is *ours* when a hosted repository owns it - from its first upload on, until it is released - or a
reserved pattern has it: no source is asked for it but one that names it. Sources that *name* it are asked
alone. Else it is *pinned* to the first source that had it - that source has a package of this name in its
rows: none after it is ever asked, and one before it takes the name over by having it. A name that nobody has
had is asked of one after the other, for as long as these say that they have nothing.

A failure never hands a name on: who can make a source fail must not choose who answers instead. Only where a
source is known not to have had the name, the one that it is pinned to goes on while that source is down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from nora.errors import UpstreamFailed
from nora.resolve.candidates import Ask, Candidate, Look, Resolution
from nora.resolve.patterns import Fold, Patterns
from nora.resolve.sources import Source, Sources
from nora.resolve.walk import Teller, Walk

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.catalog.packages import Stamp
    from nora.catalog.records import Package
    from nora.config import ProxySettings
    from nora.model import Repository

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Plan:
    """What holds for all names of a repository."""

    sources: tuple[Source, ...]
    general: tuple[Source, ...]
    """Those that are asked for names without a prefix of theirs."""
    owners: tuple[Repository, ...]
    """The hosted repositories whose names its sources are not asked for."""
    hosted: tuple[Repository, ...]
    """Of its own, and in a group of its members."""
    is_plain: bool
    """One source that is asked for every name: nothing but ownership decides."""


class Resolver:
    """The decisions of one server."""

    def __init__(
        self,
        catalog: Catalog,
        repositories: Iterable[Repository],
        sources: Sources,
        settings: ProxySettings,
        folds: Mapping[str, Fold],
    ) -> None:
        self._catalog = catalog
        self.sources = sources
        self.patterns = Patterns(settings.reserved, settings.extend, folds)
        everything = tuple(repositories)
        self._plans = {one.id: _plan(one, everything, sources) for one in everything}
        self._teller = Teller()
        self._answer_seconds = float(settings.answer_timeout)

    # -- deciding ------------------------------------------------------------------------------------

    def sources_of(self, repository: Repository) -> tuple[Source, ...]:
        """The sources behind a repository, whatever the name."""
        return self._plans[repository.id].sources

    def has_sources(self, repository: Repository) -> bool:
        """Whether anybody may be asked for names of a repository."""
        return bool(self._plans[repository.id].sources)

    def offline_hint(self, repository: Repository) -> str:
        """The end of a sentence about something that is not here, where nobody may be asked for it."""
        sources = self._plans[repository.id].sources
        if not sources or any(self.sources.is_online(one.repository) for one in sources):
            return ""
        return " here, and no upstream is asked: proxy.mode is offline"

    def row_keys(
        self, repository: Repository, name: str, spelled: Mapping[int, str] | None = None
    ) -> list[tuple[int, str]]:
        """Where rows of a package may be: ids of repositories and what it is called there."""
        hosted = [(one.id, name) for one in repository.hosted]
        sources = self._plans[repository.id].sources
        there = _by_prefix(sources, name) if spelled is None else spelled
        return hosted + [(one.id, there[one.id]) for one in sources if one.id in there]

    async def is_known(
        self, repository: Repository, name: str, spelled: Mapping[int, str] | None = None
    ) -> bool:
        """Whether anything of a package is here, hosted or cached."""
        return any(await self._catalog.find_packages(self.row_keys(repository, name, spelled)))

    async def resolve(
        self,
        repository: Repository,
        name: str,
        spelled: Mapping[int, str] | None = None,
        also: Iterable[str] = (),
    ) -> Resolution:
        """Which sources may be asked for `name` of a repository (hosted, proxy or group).

        `spelled` says by source (the id of its rows) what the package is called there, where that may differ;
        a source that it lacks is not asked. `also` are further names under which an upstream would see the
        request: where one of them is ours, so is the name; where another source names it, nobody is asked.
        Raises StorageFailed: what cannot be looked up is not asked of others.
        """
        plan = self._plans[repository.id]
        if not plan.sources:
            return Resolution(name, (), ours=False)
        if plan.is_plain and spelled is None and not also:
            return await self._resolve_plain(plan, repository.format, name)
        there = _by_prefix(plan.sources, name) if spelled is None else spelled
        sources = [one for one in plan.sources if one.id in there]
        names = {name, *there.values(), *also}
        owned = [(owner.id, one) for owner in plan.owners for one in names]
        held = [] if plan.is_plain else [(one.id, there[one.id]) for one in sources]
        packages = await self._catalog.find_packages(owned + held)
        ours, extended = self._is_ours(repository.format, names, owned, packages[: len(owned)])
        named = [one for one in sources if one.is_named(name, there[one.id])]
        if named:
            sources = named
        elif ours and not extended:
            return Resolution(name, (), ours=True)
        elif any(one.id not in there and one.is_named(*names) for one in plan.general):
            # It is sent elsewhere by what it begins with, where it would be seen as the name of another one
            return Resolution(name, (), ours, passed=tuple(sources))
        else:
            sources = [one for one in sources if not one.names]
        pinned = {key for key, package in zip(held, packages[len(owned) :], strict=True) if package}
        return _ordered(name, sources, there, pinned, ours=ours)

    async def _resolve_plain(self, plan: _Plan, kind: str, name: str) -> Resolution:
        """The usual case, at little cost."""
        packages = await self._catalog.find_packages([(owner.id, name) for owner in plan.owners])
        ours = self.patterns.is_reserved(kind, name)
        for package in packages:
            ours = ours or (package is not None and package.owned)
        if ours and not self.patterns.is_extended(kind, name):
            return Resolution(name, (), ours=True)
        return Resolution(name, (Candidate(plan.sources[0], name, False, False, True),), ours)

    def _is_ours(
        self,
        kind: str,
        names: Iterable[str],
        owned: Iterable[tuple[int, str]],
        packages: Iterable[Package | None],
    ) -> tuple[bool, bool]:
        """Whether one of the names is ours, and whether all that are ours are extended."""
        ours = {
            key[1]
            for key, package in zip(owned, packages, strict=True)
            if package is not None and package.owned
        }
        ours |= {one for one in names if self.patterns.is_reserved(kind, one)}
        return bool(ours), all(self.patterns.is_extended(kind, one) for one in ours)

    # -- finding -------------------------------------------------------------------------------------

    async def find_hosted(self, repository: Repository, look: Look[T]) -> T | None:
        """What the first hosted member has that has it."""
        for one in self._plans[repository.id].hosted:
            found = await look(one)
            if found is not None:
                return found
        return None

    def hosted_stamp(self, repository: Repository, package: str) -> Stamp | None:
        """How things stand with a package in all hosted members: what `find_hosted` finds of it from now on
        is true as long as that holds. None while it changes."""
        return self._catalog.stamp([(one.id, package) for one in self._plans[repository.id].hosted])

    def stamp(
        self, repository: Repository, package: str, also: Iterable[str] = (), paths: Iterable[str] = ()
    ) -> Stamp | None:
        """As `hosted_stamp`, of all rows that say whose a package is and what is cached of it: what upstreams
        said of it is fresh for a time besides. `also`: as in `resolve`; `paths`: of cached files that are of
        no package."""
        plan = self._plans[repository.id]
        rows = {(one.id, package) for one in (*plan.hosted, *plan.owners)}
        rows.update((one.id, name) for one in plan.owners for name in also)
        rows.update((one.id, path) for one in plan.sources for path in paths)
        return self._catalog.stamp([*rows, *_by_prefix(plan.sources, package).items()])

    async def every_hosted(self, repository: Repository, look: Look[T]) -> list[T]:
        """What each hosted member has, in order: they merge with each other."""
        found = [await look(one) for one in self._plans[repository.id].hosted]
        return [one for one in found if one is not None]

    async def first(self, resolution: Resolution, ask: Ask[T]) -> T | None:
        """What the source of the name has, which nobody makes up for; None: it is absent.

        Raises NotFound as `ask` does; UpstreamFailed when the walk ends because a source fails.
        """
        found = await self._walk(resolution, ask, only_first=True)
        return found[0] if found else None

    async def every(self, resolution: Resolution, ask: Ask[T]) -> list[T]:
        """What the source of the name has, and what is joined with it, in order. Raises as `first`."""
        return await self._walk(resolution, ask, only_first=False)

    async def held(self, resolution: Resolution, look: Ask[T]) -> T | None:
        """The first of what `look` finds in the rows of the candidates. It must ask nobody."""
        for candidate in resolution.candidates:
            found = await look(candidate)
            if found is not None:
                return found
        return None

    async def _walk(self, resolution: Resolution, ask: Ask[T], *, only_first: bool) -> list[T]:
        if not resolution.candidates:
            return []
        if blocks := self._catalog.blocks():
            for candidate in resolution.candidates:
                blocks.check(*candidate.key)
        if len(resolution.candidates) == 1 and not resolution.passed:  # there is nothing to decide
            [candidate] = resolution.candidates
            try:
                answer = await ask(candidate)
            except UpstreamFailed as error:
                error.source = candidate.source.setting.url
                raise
            return [] if answer is None else [answer]
        walk = Walk(resolution, ask, self._catalog, self.sources, self._teller, self._answer_seconds)
        return await walk.run(only_first=only_first)


def _by_prefix(sources: Iterable[Source], name: str) -> dict[int, str]:
    """The sources that a name does not send elsewhere: a prefix is of one source only."""
    prefixed = {one.id: one.setting.prefix for one in sources if one.setting.prefix is not None}
    meant = [number for number, prefix in prefixed.items() if name.startswith(f"{prefix}/")]
    return {one.id: name for one in sources if (one.id in meant if meant else one.id not in prefixed)}


def _ordered(
    name: str,
    sources: list[Source],
    there: Mapping[int, str],
    pinned: set[tuple[int, str]],
    *,
    ours: bool,
) -> Resolution:
    """The sources up to the one that the name is pinned to, and those that are joined with it."""
    asked: list[tuple[Source, bool, bool]] = []
    passed: list[Source] = []
    is_settled = False
    for source in sources:
        key = source.id, there[source.id]
        merged = bool(asked) and source.is_merged(name, key[1])
        if is_settled and not merged:
            passed.append(source)
            continue
        asked.append((source, key in pinned, merged))
        is_settled = is_settled or key in pinned
    candidates = tuple(
        Candidate(source, there[source.id], is_pinned, merged, number == len(asked))
        for number, (source, is_pinned, merged) in enumerate(asked, 1)
    )
    return Resolution(name, candidates, ours, tuple(passed))


def _plan(repository: Repository, everything: Iterable[Repository], sources: Sources) -> _Plan:
    found = sources.of(repository)
    asked = {one.id for one in found}
    owners = {
        member.id: member
        for group in everything
        if any(one.id in asked for one in group.proxied)
        for member in group.hosted
    }
    is_plain = len(found) == 1 and not found[0].names and found[0].setting.prefix is None
    general = tuple(one for one in found if one.setting.prefix is None)
    return _Plan(found, general, tuple(owners.values()), repository.hosted, is_plain)
