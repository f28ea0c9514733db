"""Reading all blocks at once, with the rows that each of them counts for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nora.catalog.blocks import Block, BlockSet
from nora.catalog.sqlite import admin_queries

if TYPE_CHECKING:
    from nora.catalog.sqlite.engine import Connection


def block_of(
    id: int,  # noqa: A002
    format: str,  # noqa: A002
    repository: str | None,
    name: str,
    versions: str,
    digest: str,
    reason: str,
    by: str,
    created_at: float,
) -> Block:
    """A block of the columns that the queries select. The spellings of a version are one a line."""
    version, *spellings = versions.split("\n")
    return Block(
        id=id,
        format=format,
        repository=repository or "",
        name=name,
        version=version,
        spellings=tuple(spellings),
        digest=digest,
        reason=reason,
        by=by,
        created_at=created_at,
    )


def read_blocks(db: Connection, before: BlockSet) -> BlockSet:
    """Those of now. What was read `before` is not read again where others were only added: each change is
    followed by this in every process, and there may be thousands. Raises sqlite3.Error."""
    rows = db.execute(admin_queries.READ_BLOCKS, (before.last_id,)).fetchall()
    if before and _is_all_else(db, before, len(rows)):
        found = before
    else:
        found = BlockSet()
        rows = db.execute(admin_queries.READ_BLOCKS, (0,)).fetchall() if before.last_id else rows
    if rows:
        places = _Places(db)
        for *columns, repository, aliases in rows:
            block = block_of(*columns)
            where = places.of_format(block.format) if repository is None else places.below(repository)
            found.add(block, where, aliases.split(",") if aliases else ())
    return found


def _is_all_else(db: Connection, before: BlockSet, added: int) -> bool:
    """Whether all that is there beside so many blocks is what was there before."""
    count: int = db.execute(admin_queries.COUNT_BLOCKS).fetchone()[0]
    return count == len(before) + added and not before.may_gain_digests


class _Places:
    """Which rows belong to a repository: its own, those of its members, and those of the sources of both,
    which are called after their proxy (see nora.model.RepositorySpec.source_name)."""

    def __init__(self, db: Connection) -> None:
        self._names: dict[int, str] = {}
        self._formats: dict[str, set[int]] = {}
        self._members: dict[int, list[int]] = {}
        self._below: dict[int, frozenset[int]] = {}
        for number, name, format_name, members in db.execute(admin_queries.READ_ROWS).fetchall():
            self._names[number] = name
            self._formats.setdefault(format_name, set()).add(number)
            self._members[number] = [int(one) for one in members.split(",")] if members else []

    def of_format(self, name: str) -> frozenset[int] | None:
        """All of a format; None, for all there are, where none is said."""
        return frozenset(self._formats.get(name, ())) if name else None

    def below(self, repository: int) -> frozenset[int]:
        """Those that are read through a repository: the same object each time, as there may be thousands."""
        found = self._below.get(repository)
        if found is None:
            found = self._below[repository] = self._find_below(repository)
        return found

    def _find_below(self, repository: int) -> frozenset[int]:
        own = {repository, *self._members[repository]}
        proxies = tuple(f"{self._names[number]} " for number in own)
        return frozenset(own | {number for number, name in self._names.items() if name.startswith(proxies)})
