"""The names of the packages of a repository, over all that is read there."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.model import Repository

LISTED_AT_ONCE: Final = 1000
LISTED_SECONDS: Final = 5.0
"""A list of more names than that is read anew every few seconds only."""
PAGE: Final = 1000
"""Rows that are read at once on the event loop."""


async def package_names(catalog: Catalog, repository: Repository) -> AsyncIterator[str]:
    """What is hosted, then what is cached of each source, each in byte order: a name may come again.
    Those that are blocked are left out."""
    hosted = {one.id for one in repository.hosted}
    for number in repository.row_ids:
        listed = catalog.list_packages if number in hosted else catalog.list_known_packages
        after = ""
        while names := await listed(number, after, PAGE):
            blocks = catalog.blocks()
            for name in names:
                if not (blocks and blocks.is_hidden(number, name)):
                    yield name
            after = names[-1]


class Names:
    """The names of all packages of repositories, for lists and searches."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._listed: dict[int, tuple[Sequence[str], float]] = {}
        """By the id of a repository, and until when they are good enough."""

    async def of(self, repository: Repository) -> Sequence[str]:
        """Each once, in byte order."""
        names, until = self._listed.get(repository.id, ((), 0.0))
        if time.monotonic() >= until:
            names = sorted({name async for name in package_names(self._catalog, repository)})
            seconds = LISTED_SECONDS if len(names) > LISTED_AT_ONCE else 0.0
            self._listed[repository.id] = names, time.monotonic() + seconds
        return names
