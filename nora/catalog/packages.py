"""Packages: the names of a repository, who owns them, and what their format remembers of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nora.catalog.records import Package


class Stamp(Protocol):
    """How things stood with some packages."""

    def holds(self) -> bool:
        """Whether nothing of them has changed since, in any process, nor what is blocked."""
        ...


class Packages(Protocol):
    """The packages of a catalog. See nora.catalog.base for what holds for all methods."""

    async def has_package(self, repository_id: int, package: str) -> bool:
        """Whether the package is known: from its first upload on, even an unfinished one."""
        ...

    async def find_package(self, repository_id: int, package: str) -> Package | None:
        """A package. Point lookup, cheap when asked again, also of what is absent: it is what says that a
        document is still right, and whether a name may be asked of an upstream."""
        ...

    def stamp(self, keys: Sequence[tuple[int, str]]) -> Stamp | None:
        """How things stand with packages (repository, name), whether they exist or not: what is read of them
        from now on is true as long as the stamp holds. None while one of them changes."""
        ...

    async def list_packages(self, repository_id: int, after: str, limit: int, prefix: str = "") -> list[str]:
        """Names of the packages that hold at least one version, after `after`, in byte order."""
        ...

    async def list_known_packages(self, repository_id: int, after: str, limit: int) -> list[str]:
        """As `list_packages`, with those that hold files without versions (cached documents) as well.
        A package that holds neither is not listed: `find_package` knows it."""
        ...

    async def list_owned_packages(self, repository_id: int, after: str, limit: int) -> list[str]:
        """Names that are owned, whether they hold anything or not, after `after`, in byte order."""
        ...

    async def find_packages(self, keys: Sequence[tuple[int, str]]) -> list[Package | None]:
        """The packages of several repositories (id, name), in one read. As cheap as `find_package`."""
        ...

    async def find_absences(self, keys: Sequence[tuple[int, str]]) -> set[tuple[int, str]]:
        """Those of these names (repository, package) of which `note_absences` was told."""
        ...

    async def note_absences(self, keys: Sequence[tuple[int, str]]) -> None:
        """Remember for good that upstreams had nothing under these names when a later one was found to have
        them. Not durable by itself."""
        ...

    async def update_package(
        self, repository_id: int, package: str, document: bytes, *, before: bytes | None = None
    ) -> bool:
        """Replace the document of a package; False when there is no such package, or when `before` is given
        and its document is another one by now. Moves its revision."""
        ...

    async def claim_package(self, repository_id: int, package: str) -> None:
        """Make a package known before its first file, and owned if the repository is hosted."""
        ...

    async def release_package(self, repository_id: int, package: str) -> bool:
        """Give the name back to the upstreams; False when it was not owned. Its files stay. The next upload,
        mount or claim owns it again. Moves its revision."""
        ...
