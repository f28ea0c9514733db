"""Blocks: administrators say what is neither served nor fetched, and may not be pushed.

Bytes are blocked by their digest, names as a whole or by version; in a repository with all that is read
through it, or everywhere. The rows decide (see nora.catalog.blocks), when they are read or written.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from nora.catalog.blocks import Block
from nora.errors import BadRequest, NotFound
from nora.resolve.purging import PartRules, check_digest
from nora.resolve.repositories import find_repository

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.model import Digest, Repository
    from nora.resolve.patterns import Fold

LONGEST_REASON: Final = 200


class Blocking:
    """What administrators do to blocks."""

    def __init__(
        self,
        catalog: Catalog,
        repositories: Mapping[str, Repository],
        folds: Mapping[str, Fold],
        rules: Mapping[str, PartRules],
    ) -> None:
        """`folds` and `rules` say by format how names and versions are spelled."""
        self._catalog = catalog
        self._repositories = repositories
        self._folds = folds
        self._rules = rules

    async def block_digest(self, digest: Digest, repository: str, *, reason: str, by: str) -> Block:
        """Bytes; without a repository everywhere. Raises NotFound, BadRequest."""
        check_digest(digest)
        if repository:
            find_repository(self._repositories, repository)
        return await self._catalog.add_block(
            Block(
                repository=repository,
                digest=digest,
                reason=_checked(reason),
                by=by,
                created_at=time.time(),
            )
        )

    async def block_name(
        self, repository: str, name: str, version: str, *, everywhere: bool, reason: str, by: str
    ) -> Block:
        """A name, or a version of it; `everywhere`: in all repositories of the format of that one. Raises
        NotFound, BadRequest."""
        if not repository or not name:
            raise BadRequest("say what to block: a name in a repository, or a digest")
        if not f"{name}{version}".isprintable():
            raise BadRequest("a name and a version are of printable characters")
        found = find_repository(self._repositories, repository)
        rules = self._rules.get(found.format) or PartRules()
        folded = rules.fold_version(version) if version else ""
        return await self._catalog.add_block(
            Block(
                format=found.format,
                repository="" if everywhere else found.name,
                name=self._folds.get(found.format, str)(name),
                version=folded,
                spellings=rules.spellings(folded) if version else (),
                reason=_checked(reason),
                by=by,
                created_at=time.time(),
            )
        )

    async def list(self, after: int, limit: int) -> list[Block]:
        """By id, after that."""
        return await self._catalog.list_blocks(after, limit)

    async def lift(self, block_id: int) -> Block:
        """Forget a block. Raises NotFound."""
        found = await self._catalog.lift_block(block_id)
        if found is None:
            raise NotFound(f"there is no block {block_id}")
        return found


def _checked(reason: str) -> str:
    """It is told to who is refused, on one line. Raises BadRequest."""
    if not reason.strip() or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise BadRequest(f"say a reason: one line of at most {LONGEST_REASON} characters")
    return reason.strip()
