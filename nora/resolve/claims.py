"""Who may make a name ours. From then on no source is asked for it, in any group of that repository.

Every first write under a name claims it: an upload, an opened session, a mount. A name that a source has
served is used by somebody already, so it is for administrators, unless a reserved pattern has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from nora.errors import Denied
from nora.observability.audit import note, note_claim

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.config import ProxySettings
    from nora.model import Principal, Repository
    from nora.resolve.resolution import Resolver
    from nora.resolve.sources import Source


class Write(Protocol):
    """A request that writes to a repository."""

    @property
    def scope(self) -> dict[str, Any]:
        """The ASGI scope."""
        ...

    @property
    def principal(self) -> Principal:
        """Who is asking."""
        ...

    @property
    def repository(self) -> Repository:
        """Where."""
        ...


MayAdminister = Callable[["Principal", "Repository", str], bool]


class Claims:
    """The decisions of one server."""

    def __init__(
        self,
        catalog: Catalog,
        resolver: Resolver,
        repositories: Iterable[Repository],
        settings: ProxySettings,
        may_administer: MayAdminister,
    ) -> None:
        self._catalog = catalog
        self._patterns = resolver.patterns
        self._rule = settings.claims
        self._may_administer = may_administer
        self._sources = _sources_beside(repositories, resolver)

    async def require(
        self, write: Write, name: str, spelled: Mapping[int, str] | None = None, *, also: Iterable[str] = ()
    ) -> None:
        """That a request may write to a package; if that claims the name, the audit log is told.

        `spelled`: what sources (by the id of their rows) call the package, where that may differ. `also` are
        further names that belong to whoever has this one; one that ends in a slash stands for all that begin
        so. Raises Denied, saying whom to ask for what.
        """
        target = write.repository.writable
        sources = () if target is None else self._sources.get(target.id, ())
        if target is None or not sources:
            return
        own = await self._catalog.find_package(target.id, name)
        if own is not None and own.owned:
            return
        there = [(one.id, (spelled or {}).get(one.id, name)) for one in sources]
        served = await self._catalog.find_packages(there)
        by = [(one, name) for one, package in zip(sources, served, strict=True) if package is not None]
        by = by or await self._served(sources, also)
        refusal = "" if self._patterns.is_reserved(target.format, name) else self._refusal(target, name, by)
        may_administer = self._may_administer(write.principal, write.repository, name)
        if refusal and not (may_administer and (by or self._rule == "admin")):
            note(write.scope, "claim", target.name, name)
            raise Denied(refusal)
        note_claim(write.scope, target.name, name)

    def has_sources(self, target: Repository) -> bool:
        """Whether a hosted repository is beside sources, so that it has to be known which names are its own
        when nothing is under them any more. For formats whose files belong to no package."""
        return bool(self._sources.get(target.id))

    async def hidden_sources(self, target: Repository, name: str) -> list[str]:
        """The upstreams from which a name of a hosted repository has come before, of which nothing is seen
        any more. They are not asked: whoever serves a name of ours should not learn of it."""
        sources = self._sources.get(target.id, ())
        if not sources or self._patterns.is_extended(target.format, name):
            return []
        served = await self._catalog.find_packages([(one.id, name) for one in sources])
        return [one.setting.url for one, package in zip(sources, served, strict=True) if package is not None]

    async def _served(self, sources: Iterable[Source], names: Iterable[str]) -> list[tuple[Source, str]]:
        """Sources, each with one of the names that it has served."""
        found = []
        for source in sources:
            for name in names:
                if name.endswith("/"):
                    following = await self._catalog.list_known_packages(source.id, name, 1)
                    found += [(source, one) for one in following if one.startswith(name)]
                elif any(await self._catalog.find_packages([(source.id, name)])):
                    found.append((source, name))
        return found

    def _refusal(self, target: Repository, name: str, by: list[tuple[Source, str]]) -> str:
        """What is said to who may not; empty where everybody who writes may."""
        ask = f"ask an administrator for `nora package claim {target.name} {name}`"
        for source, served in by:
            return f"{served} is served here from {source.setting.url}: to make {name} a name of yours, {ask}"
        if self._rule == "admin":
            return f"new names are for administrators here (proxy.claims): {ask}"
        if self._rule == "reserved":
            return f"new names are those of proxy.reserved here (proxy.claims): {ask}"
        return ""


def _sources_beside(repositories: Iterable[Repository], resolver: Resolver) -> dict[int, tuple[Source, ...]]:
    """By the id of a hosted repository: the sources that it shares a group with."""
    found: dict[int, dict[int, Source]] = {}
    for group in repositories:
        for member in group.hosted:
            found.setdefault(member.id, {}).update({one.id: one for one in resolver.sources_of(group)})
    return {number: tuple(sources.values()) for number, sources in found.items()}
