"""Histories: all that is known of a package at one moment, by which it is decided what of it goes; and how
that goes, only as long as nothing of the package has changed since."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Content(NamedTuple):
    """Bytes that a version has as files, or refers to."""

    digest: str
    size: int
    """0 where they are not here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionHistory:
    """A version, and what it consists of."""

    name: str
    published_at: float
    """Seconds since the epoch, as all times here."""
    subject: str | None = None
    """The version that it is about."""
    last_pulled_at: float | None = None
    paths: tuple[str, ...] = ()
    """Of its files."""
    contents: tuple[Content, ...] = ()
    """Of its files."""
    references: tuple[Content, ...] = ()
    """What it needs beside; the digest of one may be the name of another version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagHistory:
    """A tag, what it means, and since when."""

    name: str
    version: str
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageHistory:
    """A package at one moment."""

    name: str
    revision: int
    versions: tuple[VersionHistory, ...]
    tags: tuple[TagHistory, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Going:
    """What of a package is removed."""

    tags: Sequence[str] = ()
    versions: Sequence[str] = ()
    """As `delete_version` removes them."""
    for_good: Sequence[str] = ()
    """Paths that are never used again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileHistory:
    """A file that belongs to no package."""

    path: str
    content: Content
    created_at: float
    last_used_at: float | None


class Histories(Protocol):
    """See nora.catalog.base for what holds for all methods."""

    async def read_package_history(self, repository_id: int, package: str) -> PackageHistory | None:
        """A package as of one moment, versions and tags by name as bytes. In a reader thread."""
        ...

    async def list_file_histories(self, repository_id: int, after: str, limit: int) -> list[FileHistory]:
        """Files that belong to no package, by path after `after`, in byte order; those whose time is over may
        be among them. In a reader thread."""
        ...

    async def remove_seen(self, repository_id: int, package: str, seen: int, going: Going) -> int:
        """Remove it, all or nothing; what is not there (any more) is passed over. Returns the revision of the
        package.

        Raises PackageChanged, and removes nothing, when its revision is not `seen` any more.
        """
        ...

    async def remove_decided(
        self, repository_id: int, package: str, decide: Callable[[PackageHistory], Going]
    ) -> None:
        """Remove what `decide` says, in the transaction that has read the history: for a package that changes
        faster than it can be looked at. All writers wait meanwhile. `decide` runs in another thread."""
        ...

    async def remove_files_seen(
        self, repository_id: int, files: Sequence[tuple[str, str]], *, for_good: bool
    ) -> list[str]:
        """Remove files that belong to no package and still have the digest (sha256) that is given, as
        `delete_files` does; the paths of those that were removed."""
        ...
