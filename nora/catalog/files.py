"""Files: what is at a path of a repository."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nora.catalog.records import Blob, DirectoryEntry, File, LaterFiles, NewFile, PackageFile
from nora.model import Digest


class Files(Protocol):
    """The files of repositories. See nora.catalog.base for what holds for all methods."""

    async def find_file(self, repository_id: int, path: str, *, blocked: bool = False) -> File | None:
        """The file at a path. Point lookup. `blocked`: also one that is blocked, for who removes it."""
        ...

    async def remove_ended(self, limit: int) -> int:
        """Remove files whose time is over, which nobody finds any more; how many, at most `limit`."""
        ...

    async def find_paths(self, repository_id: int, paths: Sequence[str]) -> set[str]:
        """Which of some hundred paths a file is at."""
        ...

    async def find_version_file(
        self, repository_id: int, package: str, digest: Digest, *, blocked: bool = False
    ) -> File | None:
        """The file of a package whose bytes have this digest, in whatever algorithm it was published.
        `blocked` as in `find_file`."""
        ...

    async def list_package_files(self, repository_id: int, package: str) -> list[PackageFile]:
        """All files of a package, by path as bytes, as of one moment. In a reader thread when there are many:
        some 60 ms for ten thousand. Times are exact to 0.1 ms."""
        ...

    async def list_later_files(
        self, repository_id: int, package: str, after: int, limit: int
    ) -> LaterFiles | None:
        """The files of a package that were made after a look at it (`LaterFiles.last`), without reading the
        others. In a reader thread. None: there is no such package."""
        ...

    async def list_directory(
        self, repository_id: int, directory: str, after: str, limit: int
    ) -> list[DirectoryEntry]:
        """What a directory has, by name after `after`, in byte order; names of directories end in a slash.

        `directory` is a path without a slash at its end, or "". It costs a lookup for each entry, however
        much is beneath them. Empty for what is no directory: there are none without files. Files whose time
        is over may be among them still.
        """
        ...

    async def put_file(
        self, repository_id: int, file: NewFile, *, replace: bool, expected: str | None = None
    ) -> Blob:
        """Put a file that belongs to no package at a path; returns the live blob row (see `publish`).

        Without `replace` the same bytes again change nothing, but that they stay for as long as is said now
        if that is longer; other bytes, or a path that was deleted for good, raise Conflict. `expected`: the
        digest (sha256) of what must be there now, "*" for anything, "" for nothing; else PreconditionFailed.
        Raises BlobNotFound as `publish` does.
        """
        ...

    async def put_files(self, repository_id: int, files: Sequence[NewFile], *, replace: bool) -> list[Blob]:
        """As `put_file` for some thousands, all of them or none."""
        ...

    async def delete_files(
        self, repository_id: int, paths: Sequence[str], *, for_good: bool, expected: str | None = None
    ) -> int:
        """Remove files, and versions that have none left with their tags and references; how many files there
        were. `for_good`: a tombstone keeps whoever may not replace from using each of the paths again, also
        those that had no file. The package stays known and owned, and lets go of bytes that it does not need
        otherwise. `expected`: the digest (sha256) that each must have; else PreconditionFailed, and nothing
        is removed.
        """
        ...
