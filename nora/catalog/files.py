"""Files: what is at a path of a repository."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nora.catalog.records import Blob, File, NewFile, PackageFile
from nora.model import Digest


class Files(Protocol):
    """The files of repositories. See nora.catalog.base for what holds for all methods."""

    async def find_file(self, repository_id: int, path: str) -> File | None:
        """The file at a path. Point lookup."""
        ...

    async def find_version_file(self, repository_id: int, package: str, digest: Digest) -> File | None:
        """The file of a package whose bytes have this digest, in whatever algorithm it was published."""
        ...

    async def list_package_files(self, repository_id: int, package: str) -> list[PackageFile]:
        """All files of a package, by path as bytes, as of one moment. In a reader thread when there are many:
        some 60 ms for ten thousand. Times are exact to 0.1 ms."""
        ...

    async def add_files(
        self, repository_id: int, files: Sequence[NewFile], lease_seconds: float
    ) -> list[Blob] | None:
        """Add files - one at least - all or none, with the versions they belong to.

        Returns the live blob rows, in the order of the files (see `publish` about their generations). The
        package holds them, and is owned from here on when the repository is hosted.

        None when the first of them is there already with the same bytes: nothing is written, whatever the
        others are. One of the others that is there already with the same bytes stays as it is. Raises
        Conflict when a path has other bytes, or had been deleted for good; nothing is written then.
        """
        ...

    async def delete_files(self, repository_id: int, paths: Sequence[str], *, for_good: bool) -> int:
        """Remove files, and versions that have none left with their tags and references; how many files there
        were. `for_good`: a tombstone keeps `add_files` from using each of the paths again, also those that
        had no file. The package stays known and owned, and lets go of bytes that it does not need otherwise.
        """
        ...
