"""Tags: names of a package that point to one of its versions."""

from __future__ import annotations

from typing import Protocol

from nora.catalog.records import File, TagWrite


class Tags(Protocol):
    """The tags of packages. See nora.catalog.base for what holds for all methods."""

    async def find_tagged_file(self, repository_id: int, package: str, tag: str) -> File | None:
        """The file of the version that a tag points to. Point lookup."""
        ...

    async def list_tags(self, repository_id: int, package: str, after: str, limit: int) -> list[str]:
        """Tags after `after` (exclusive; it need not exist), in byte order."""
        ...

    async def set_tag(self, repository_id: int, package: str, tag: TagWrite, version: str) -> bool:
        """Let a tag point to a version; False when there is no such version. Moves the package's revision.

        Raises Conflict and PreconditionFailed as `publish` does for its tags.
        """
        ...

    async def delete_tag(self, repository_id: int, package: str, tag: str) -> str | None:
        """Remove a tag; the version stays. Returns which it was, None when there was no such tag."""
        ...
