"""The names of the packages of a repository, over all that is read there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.model import Repository

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
