"""The pages of hosted projects in their stored form: after an upload only what it brought is read.

A large project is kept as a value between the makings of its page. Every upload moves the revision of its
package by one and makes a file and its core metadata; where that is all that has happened since, these are
added. Everything else - a file was deleted, a version yanked, the status changed - has all rows read again.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from nora.formats.pypi.hosted import YANKED, project_of
from nora.formats.pypi.index import Project, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nora.catalog.base import Catalog
    from nora.catalog.records import LaterFiles, Package, PackageFile, Version
    from nora.formats.pypi.names import ProjectName
    from nora.model import Repository

MANY_ROWS: Final = 100
"""Files of which a page is made on the loop: a millisecond."""
KEPT_FILES: Final = 25_000
"""Of all projects that are kept: some 15 MB."""
MOST_LATER: Final = 256
_FILES_OF_AN_UPLOAD: Final = 2
_NEVER: Final = 1 << 62
"""After every file: for the revision alone."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A project as it was at a revision of its package."""

    project: Project
    yanked: frozenset[str]
    """Versions of which a new file would be yanked at once."""
    at: LaterFiles

    def has_only_gained(self, later: LaterFiles) -> bool:
        """Whether nothing but uploads has happened since."""
        gained, new = later.revision - self.at.revision, later.files
        return (
            len(new) == gained * _FILES_OF_AN_UPLOAD
            and later.count == self.at.count + len(new)
            and len(new) < MOST_LATER
            and not any(row.version in self.yanked for row in new)
        )


class HostedPages:
    """The projects that one worker has made pages of."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: OrderedDict[int, _Known] = OrderedDict()

    async def stored(self, repository: Repository, package: Package, name: ProjectName) -> bytes:
        """The page of a project in its stored form."""
        known = self._known.get(package.id)
        if known is not None:
            later = await self._later(repository, name, known.at.last)
            if later is not None and known.has_only_gained(later):
                project = _grown(known.project, package, name, later.files)
                self._keep(package.id, _Known(project, known.yanked, later))
                return await asyncio.to_thread(encode, project)
        return await self._read(repository, package, name)

    async def _read(self, repository: Repository, package: Package, name: ProjectName) -> bytes:
        rows = await self._catalog.list_package_files(repository.id, name)
        versions = await self._catalog.list_versions(repository.id, name)
        if len(rows) <= MANY_ROWS:
            return encode(project_of(name, package, rows, versions))
        now = await self._later(repository, name, _NEVER)
        project, stored = await asyncio.to_thread(_made, name, package, rows, versions)
        if now is not None and now.revision == package.revision:  # nothing has happened while it was read
            yanked = frozenset(one.name for one in versions if one.state == YANKED)
            self._keep(package.id, _Known(project, yanked, now))
        return stored

    async def _later(self, repository: Repository, name: ProjectName, after: int) -> LaterFiles | None:
        return await self._catalog.list_later_files(repository.id, name, after, MOST_LATER)

    def _keep(self, package: int, known: _Known) -> None:
        """As long as there is room; that of who asks least goes first."""
        self._known[package] = known
        self._known.move_to_end(package)
        while sum(len(one.project.files) for one in self._known.values()) > KEPT_FILES:
            self._known.popitem(last=False)


def _made(
    name: ProjectName, package: Package, rows: Sequence[PackageFile], versions: Sequence[Version]
) -> tuple[Project, bytes]:
    project = project_of(name, package, rows, versions)
    return project, encode(project)


def _grown(project: Project, package: Package, name: ProjectName, later: Sequence[PackageFile]) -> Project:
    """With what uploads have brought, each where a reading of all rows would have it."""
    files, versions = [*project.files], [*project.versions]
    for file in project_of(name, package, later, ()).files:
        insort(files, file, key=lambda one: one.filename)
    for version in {row.version: None for row in later if row.version is not None}:
        if version not in project.versions:
            insort(versions, version)
    return replace(project, files=files, versions=versions)
