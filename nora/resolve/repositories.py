"""Repositories by the names that people say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nora.errors import NotFound, quoted

if TYPE_CHECKING:
    from nora.model import Repository


def find_repository(repositories: Mapping[str, Repository], name: str) -> Repository:
    """The one of a name. Raises NotFound."""
    found = repositories.get(name)
    if found is None:
        raise NotFound(f"there is no repository {quoted(name)}")
    return found
