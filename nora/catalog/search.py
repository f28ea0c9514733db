"""Search over the names of packages, for people who look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

MayShow = Callable[[int, str], bool]
"""Whether somebody may know of a package (repository, name). It is called in another thread, and must be as
quick as a read."""


@dataclass(frozen=True, slots=True)
class FoundPackage:
    """A package that fits what was searched for."""

    repository_id: int
    name: str
    pulls: int
    """By how many clients it was fetched; see `Uses`."""
    last_pulled_at: float | None


@dataclass(frozen=True, slots=True)
class FoundPackages:
    """A part of what fits."""

    packages: tuple[FoundPackage, ...]
    """The best first."""
    has_more: bool
    """Whether more fit that may be shown."""
    is_complete: bool
    """False while names that were here before they could be searched are still being read."""


@dataclass(frozen=True, slots=True)
class FoundTag:
    """A tag that fits what was searched for."""

    repository_id: int
    package: str
    tag: str
    version: str
    """What it means."""
    pulls: int
    """Of the package."""


@dataclass(frozen=True, slots=True)
class FoundContent:
    """Where bytes are held whose digest was searched for."""

    repository_id: int
    package: str | None
    version: str | None
    """Of the package; None: it holds them without that they are a version of it, or its file."""
    path: str | None
    """Of the file that they are, if they are one."""
    digest: str
    """The sha256 of all of them."""
    size: int


class Search(Protocol):
    """See nora.catalog.base for what holds for all methods."""

    async def find_names(
        self, text: str, repositories: Sequence[int], may_show: MayShow, *, skip: int, limit: int
    ) -> FoundPackages:
        """Packages of some repositories that hold anything and have all words of a text in their names, in
        whatever case, the best first (see nora.catalog.names); also those that were published a moment ago.
        Where these are few, those with similar words follow. In a reader thread.

        Where very many fit, those that are best are found: exact names, beginnings, and what is used most.
        Words of one or two letters alone are found in these only.
        """
        ...

    async def find_tags(
        self, tag: str, words: Sequence[str], repositories: Sequence[int], may_show: MayShow, *, limit: int
    ) -> list[FoundTag]:
        """Tags that begin with a text, of packages that have all words in their names, `tag` itself first,
        then those of what is used most. In a reader thread. Where very many fit, some of them."""
        ...

    async def find_contents(
        self, digest: str, repositories: Sequence[int], may_show: MayShow, *, limit: int
    ) -> list[FoundContent]:
        """Where content is held whose digest, in any algorithm that is known of it, begins with a text
        (`sha256:0123abcd`). `may_show` is asked with the path of a file that has no package. In a reader
        thread."""
        ...

    async def index_tags(self, limit: int) -> bool:
        """Make tags that were here before they could be searched quick to find, at most `limit`; whether
        there are more. Not durable by itself."""
        ...

    async def index_names(self, limit: int) -> bool:
        """Make the next names quick to find, at most `limit`; whether there are more. Whoever searches finds
        some thousand of them without that. Not durable by itself."""
        ...
