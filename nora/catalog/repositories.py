"""Repositories: the rows of what the configuration declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nora.model import Repository, RepositorySpec


class Repositories(Protocol):
    """The repositories of a catalog. See nora.catalog.base for what holds for all methods."""

    async def sync_repositories(self, specs: Sequence[RepositorySpec]) -> dict[str, Repository]:
        """Make the rows agree with the configuration, and return the repositories by name.

        A repository that is no longer declared keeps its rows and is not returned. Raises ConfigError
        when a name is declared with another format or kind while it holds packages, and for a group
        with a member that is absent, a group itself, or of another format.
        """
        ...
