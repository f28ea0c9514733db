"""A package as its visitor is shown it: the rows that clients would get it from, decided as for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nora.errors import PackageNotFound, quoted
from nora.formats.browsing import Holding
from nora.formats.releases import LIVE, reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nora.catalog.base import Catalog
    from nora.catalog.blocks import Hidden
    from nora.catalog.records import PackageFile
    from nora.config import Upstream
    from nora.formats.base import Format
    from nora.model import Repository
    from nora.resolve import Resolver


@dataclass(frozen=True, slots=True)
class Held:
    """A package in the rows of a hosted repository or of a source."""

    holding: Holding
    upstream: Upstream | None
    """Where it came from; None: it was published here."""


@dataclass(frozen=True, slots=True)
class ShownVersion:
    """A version in the list of a package."""

    name: str
    state: str
    published_at: float
    files: Sequence[PackageFile]
    held: Held
    reason: str = ""
    """Why it is in its state, if that was said."""
    pulls: int = 0
    last_pulled_at: float | None = None

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(one.blob.size for one in self.files)


async def find_holdings(
    catalog: Catalog, resolver: Resolver, repository: Repository, name: str, *, lists_files: bool
) -> list[Held]:
    """Where a package of a repository is, as clients would be answered without that an upstream is asked.
    With `lists_files` with its versions and files. Raises PackageNotFound; a blocked one is as absent."""
    places: list[tuple[Repository, str, Upstream | None]] = [(one, name, None) for one in repository.hosted]
    resolution = await resolver.resolve(repository, name)
    places += [(one.source.repository, one.name, one.source.setting) for one in resolution.candidates]
    found: list[Held] = []
    for row, package_name, upstream in places:
        package = await catalog.find_package(row.id, package_name)
        if package is None or catalog.blocks().is_hidden(row.id, package_name):
            continue
        holding = Holding(row, package)
        if lists_files:
            versions = await catalog.list_versions(row.id, package_name)
            files = await catalog.list_package_files(row.id, package_name)
            hidden = catalog.blocks().hidden(row.id, package_name)
            holding = _without(hidden, Holding(row, package, versions, files))
        found.append(Held(holding, upstream))
    if not found:
        raise PackageNotFound(f"there is no {quoted(name)} in {repository.name}")
    return found


def versions_of(shown_by: Format, found: Sequence[Held]) -> list[ShownVersion]:
    """The versions of a package, the newest first; one that several have is that of the first."""
    known: dict[str, ShownVersion] = {}
    for held in found:
        files = _by_version(held.holding, shown_by.browse.beside)
        for one in held.holding.versions:
            why = reason_of(one, one.state) if one.state != LIVE else False
            shown = ShownVersion(
                one.name,
                one.state,
                one.published_at,
                files.get(one.name, ()),
                held,
                why if isinstance(why, str) else "",
                one.pulls,
                one.last_pulled_at,
            )
            known.setdefault(one.name, shown)
    return sorted(known.values(), key=lambda one: (shown_by.version_order(one.name), one.name), reverse=True)


def _by_version(holding: Holding, beside: tuple[str, ...]) -> Mapping[str, list[PackageFile]]:
    found: dict[str, list[PackageFile]] = {}
    for file in holding.files:
        if file.version is not None and not file.path.endswith(beside or ("\0",)):
            found.setdefault(file.version, []).append(file)
    return found


def _without(hidden: Hidden | None, holding: Holding) -> Holding:
    """What is not blocked."""
    if hidden is None:
        return holding
    files = [one for one in holding.files if not hidden.has(one.version, one.blob.digest)]
    blocked = {one.version for one in holding.files} - {one.version for one in files}
    versions = [one for one in holding.versions if not hidden.has(one.name) and one.name not in blocked]
    return replace(holding, versions=versions, files=files)
