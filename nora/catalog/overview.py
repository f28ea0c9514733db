"""What there is, over all packages: for people who look, never for clients that fetch.

These read more than points do, so they run in a reader thread, and what they say is of one moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from nora.catalog.records import Summary


@dataclass(frozen=True, slots=True)
class Heavy:
    """A package that takes much, in a repository that has rows."""

    repository_id: int
    name: str
    versions: int
    bytes: int
    """Of all that it holds, whoever else holds it."""


@dataclass(frozen=True, slots=True)
class Idle(Heavy):
    """A package that nobody has used for long."""

    used_at: float
    """When it was pulled last, or something of it published, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class NamesFound:
    """A part of a search."""

    names: tuple[str, ...]
    after: str | None
    """Where it goes on; None: this was all of it."""


PackageOrder = Literal["versions", "bytes", "changed"]
"""By what of its outline packages are ordered."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A package in one line."""

    versions: int
    bytes: int
    latest: str | None
    """The version that was published last."""
    tag: str | None
    """The tag that was set last."""
    changed_at: float
    """When a version was published last, or else the package became known."""
    pulls: int = 0
    last_pulled_at: float | None = None
    """As those of a Version."""


class Overview(Protocol):
    """See nora.catalog.base for what holds for all methods."""

    async def summarize(self) -> Summary:
        """How much there is. It reads all rows: a second for a million packages."""
        ...

    async def heaviest_packages(self, limit: int) -> Sequence[Heavy]:
        """Those that hold the most bytes, the largest first. It reads the rows of all that packages hold."""
        ...

    async def idlest_packages(self, limit: int) -> Sequence[Idle]:
        """Those that were unused for longest, and hold anything; these first. It reads the rows of all
        versions."""
        ...

    async def search_packages(
        self, repository_id: int, text: str, after: str, limit: int, scanned: int
    ) -> NamesFound:
        """Names after `after` that have `text` in them, whatever their case, of packages that hold anything
        (as `list_known_packages`), in byte order. At most `limit`, and no more than `scanned` names are
        looked at."""
        ...

    async def order_packages(
        self, repository_ids: Sequence[int], by: PackageOrder, *, descending: bool, limit: int
    ) -> Sequence[tuple[int, str]] | None:
        """All packages that hold anything (repository, name), in an order, then by name. No index has these
        orders, so that all are looked at: None where there are more than `limit`."""
        ...

    async def outline_packages(self, keys: Sequence[tuple[int, str]]) -> Mapping[tuple[int, str], Outline]:
        """What is to be said of packages (repository, name) in one line each; those that are there."""
        ...
