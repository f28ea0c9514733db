"""The sources that may be asked for a name, and what asking them means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from nora.resolve.sources import Source

if TYPE_CHECKING:
    from nora.model import Repository

T = TypeVar("T")
Look = Callable[["Repository"], Awaitable[T | None]]
"""Finds something in a hosted repository."""


class Candidate(NamedTuple):
    """A source that may be asked for a name."""

    source: Source
    name: str
    """The name that the package has in the source's rows."""
    pinned: bool
    """Whether it has had the name before."""
    merged: bool
    """Whether what it has is joined with what those before it have."""
    is_last: bool
    """Whether nobody is asked after it."""

    @property
    def key(self) -> tuple[int, str]:
        """Repository and package of its rows."""
        return self.source.id, self.name


Ask = Callable[[Candidate], Awaitable[T | None]]
"""Finds something at a source, cached or not. None: the source has nothing under this name. Raises NotFound
when the name is the source's, and only this is not there; UpstreamFailed when it could not be asked."""


class Resolution(NamedTuple):
    """Where a name may come from."""

    name: str
    candidates: tuple[Candidate, ...]
    """In the order in which they are asked."""
    ours: bool
    """Whether it is owned or reserved. Not looked up where there is no source: then it is False."""
    passed: tuple[Source, ...] = ()
    """Sources that are not asked because the name is that of one before them."""
