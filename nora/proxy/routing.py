"""Which repositories are asked for a name: the one choke point in front of every upstream.

    members = await services.routing.members(repository, "corp-lib")
    members.hosted     are read first; they merge with each other
    members.proxies    come after them, in this order; there are none when the name is internal

A name is internal when a hosted repository owns it - from its first upload on, until it is released - or when
a reserved pattern has it, before anything was uploaded. An internal name is never asked of an upstream, in no
route and by no task, so that it is in nobody's log. `proxy.extend` names the exceptions.

A proxy keeps quiet about the names of every hosted repository that it shares a group with, whichever way it
is asked: through one of these groups, or by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from nora.patterns import path_matcher

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.config import ProxySettings
    from nora.model import Repository

REMEMBERED_NAMES = 4096
Fold = Callable[[str], str]
"""See `nora.formats.base.Format.fold`."""
Matchers = tuple[re.Pattern[str], ...]


@dataclass(frozen=True, slots=True)
class Members:
    """Where a name is looked for."""

    hosted: tuple[Repository, ...]
    proxies: tuple[Repository, ...]
    """Empty when the name is internal and not extended."""
    internal: bool
    """Whether the name is owned or reserved. Not looked up where there is no proxy: then it is False."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """The answers for the names of a repository."""

    opened: Members
    """For names that are nobody's here."""
    internal: Members
    extended: Members
    """For names that are internal, and extended."""
    owners: tuple[Repository, ...]
    """The hosted repositories whose names its proxies are not asked for."""


class Routing:
    """The decisions of one server."""

    def __init__(
        self,
        catalog: Catalog,
        repositories: Iterable[Repository],
        settings: ProxySettings,
        folds: Mapping[str, Fold],
    ) -> None:
        """`folds` says by format how its names are spelled, for formats that take some names as the same."""
        self._catalog = catalog
        self._patterns = Patterns(settings.reserved, settings.extend, folds)
        everything = tuple(repositories)
        self._plans = {one.id: _plan(one, everything) for one in everything}

    async def members(self, repository: Repository, package: str, *also: str) -> Members:
        """Where `package` of a repository (hosted, proxy or group) is looked for.

        `also` are other names under which an upstream would be asked for it (without a prefix, with
        `library/`): where one of these is internal, so is the package. Raises StorageFailed: what cannot be
        looked up is not asked of others.
        """
        plan = self._plans[repository.id]
        if not plan.opened.proxies:
            return plan.opened
        found, patterns, kind = plan.opened, self._patterns, repository.format
        for name in (package, *also):
            if patterns.is_reserved(kind, name) or await self._is_owned(plan, name):
                if not patterns.is_extended(kind, name):
                    return plan.internal
                found = plan.extended
        return found

    async def _is_owned(self, plan: _Plan, name: str) -> bool:
        for owner in plan.owners:
            package = await self._catalog.find_package(owner.id, name)
            if package is not None and package.owned:
                return True
        return False


def _plan(repository: Repository, everything: Iterable[Repository]) -> _Plan:
    readable = repository.readable
    proxies = tuple(one for one in readable if one.kind == "proxy")
    asked = {one.id for one in proxies}
    owners = {
        member.id: member
        for group in everything
        if any(member.id in asked for member in group.readable)
        for member in group.readable
        if member.kind == "hosted"
    }
    hosted = tuple(one for one in readable if one.kind == "hosted")
    return _Plan(
        opened=Members(hosted, proxies, internal=False),
        internal=Members(hosted, (), internal=True),
        extended=Members(hosted, proxies, internal=True),
        owners=tuple(owners.values()),
    )


class Patterns:
    """What `proxy.reserved` and `proxy.extend` say about names."""

    def __init__(
        self, reserved: Iterable[str], extended: Iterable[str], folds: Mapping[str, Fold] | None = None
    ) -> None:
        self._reserved = tuple(spelling for one in reserved for spelling in _spellings(one))
        self._extended = tuple(spelling for one in extended for spelling in _spellings(one))
        self._folds = folds or {}
        self._matchers = cache(self._make_matchers)
        self.is_reserved = lru_cache(REMEMBERED_NAMES)(self._is_reserved)
        self.is_extended = lru_cache(REMEMBERED_NAMES)(self._is_extended)

    def _is_reserved(self, format_name: str, name: str) -> bool:
        """Whether a reserved pattern has a name; here the case never matters."""
        fold, reserved, _ = self._matchers(format_name)
        folded = fold(name).lower()
        return any(one.fullmatch(folded) for one in reserved)

    def _is_extended(self, format_name: str, name: str) -> bool:
        fold, _, extended = self._matchers(format_name)
        folded = fold(name)
        return any(one.fullmatch(folded) for one in extended)

    def _make_matchers(self, format_name: str) -> tuple[Fold, Matchers, Matchers]:
        """Of a format: how it spells names, what reserves and what extends them."""
        fold = self._folds.get(format_name, str)
        reserved = tuple(path_matcher(fold(one).lower()) for one in self._reserved)
        return fold, reserved, tuple(path_matcher(fold(one)) for one in self._extended)


def _spellings(pattern: str) -> tuple[str, ...]:
    """`com.corp.**` is all that is below `com.corp`: that itself and its artifacts, `com.corp:lib`, too."""
    stem = pattern.removesuffix(".**")
    return (pattern,) if stem == pattern else (stem, pattern, f"{stem}:**", f"{stem}/**")
