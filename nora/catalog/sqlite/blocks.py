"""The rows of blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nora.catalog import blocks
from nora.catalog.sqlite import admin_queries
from nora.catalog.sqlite.block_rows import block_of
from nora.catalog.sqlite.events import record
from nora.catalog.sqlite.executor import Executor
from nora.catalog.sqlite.read_cache import ALL_SLOTS
from nora.errors import BadRequest, NotFound

if TYPE_CHECKING:
    from nora.catalog.blocks import Block
    from nora.catalog.sqlite.engine import Connection


class BlockRows(Executor):
    """The methods of nora.catalog.blocks.BlockRows; `blocks` is one of Executor, whose reads ask it."""

    async def add_block(self, block: Block) -> Block:
        # Whatever was read before it may be blocked now
        return await self._writer.submit(lambda db: add_block(db, block), set(ALL_SLOTS), durable=True)

    async def lift_block(self, block_id: int) -> Block | None:
        return await self._writer.submit(lambda db: lift_block(db, block_id), set(ALL_SLOTS), durable=True)

    async def list_blocks(self, after: int, limit: int) -> list[Block]:
        return [block_of(*row) for row in self._rows(admin_queries.LIST_BLOCKS, (after, limit))]


# -- inside of a transaction -------------------------------------------------------------------------------


def add_block(db: Connection, block: Block) -> Block:
    """See nora.catalog.blocks.BlockRows.add_block."""
    repository = None
    if block.repository:
        repository = db.execute(admin_queries.FIND_REPOSITORY, (block.repository,)).fetchone()
        if repository is None:
            raise NotFound(f"there is no repository {block.repository}")
    if db.execute(admin_queries.COUNT_BLOCKS).fetchone()[0] >= blocks.MOST_BLOCKS:
        raise BadRequest(f"there are {blocks.MOST_BLOCKS} blocks, and may be no more: lift some of them")
    versions = "\n".join((block.version, *block.spellings))
    values = (
        *(block.format, repository and repository[0], block.name, versions, block.digest),
        *(block.reason, block.by, block.created_at),
    )
    number: int = db.execute(admin_queries.INSERT_BLOCK, values).fetchone()[0]
    _record(db, "blocked", block, repository and repository[0])
    return block_of(*db.execute(admin_queries.FIND_BLOCK, (number,)).fetchone())


def lift_block(db: Connection, block_id: int) -> Block | None:
    """See nora.catalog.blocks.BlockRows.lift_block."""
    row = db.execute(admin_queries.FIND_BLOCK, (block_id,)).fetchone()
    if row is None:
        return None
    db.execute(admin_queries.DELETE_BLOCK, (block_id,))
    block = block_of(*row)
    repository = db.execute(admin_queries.FIND_REPOSITORY, (block.repository,)).fetchone()
    _record(db, "unblocked", block, repository and repository[0])
    return block


def _record(db: Connection, kind: str, block: Block, repository_id: int | None) -> None:
    about = (repository_id, block.name, block.version)
    record(db, kind, *about, digest=block.digest, reason=block.reason, format_name=block.format)
