"""Blocks: what an administrator has said may be neither served, fetched nor pushed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

from nora.errors import Blocked

MOST_BLOCKS: Final = 10_000
"""Every process holds all of them in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One of them: bytes by their digest, or a name with a version or all of them."""

    id: int = 0
    """By which it is lifted; 0 before it is kept."""
    format: str = ""
    """Of the name, where no repository is said; empty for bytes."""
    repository: str = ""
    """What is read through it is meant; empty: all of them."""
    name: str = ""
    """As its format spells it."""
    version: str = ""
    """Of the name; empty: all of them."""
    spellings: tuple[str, ...] = ()
    """Others of the same version."""
    digest: str = ""
    """The contrary of a name."""
    reason: str
    """Who is refused is told it."""
    by: str
    created_at: float

    @property
    def what(self) -> str:
        """In words."""
        return self.digest or f"{self.name} {self.version}".rstrip()


class Hidden(NamedTuple):
    """What is left out of the documents of a package."""

    versions: frozenset[str]
    """"" for all."""
    digests: frozenset[str]
    mark: str
    """The same for the same digests."""

    @property
    def key(self) -> tuple[object, ...]:
        """The same for what is the same, in every process."""
        return tuple(sorted(self.versions)), self.mark

    def has(self, version: str | None, *digests: str) -> bool:
        """Whether this may not be listed. `digests`: those that are known of its bytes."""
        return (
            "" in self.versions
            or version in self.versions
            or not self.digests.isdisjoint(digests)
            or not self.versions.isdisjoint(digests)
        )


@dataclass(slots=True)
class _Place:
    """Where a block counts: repositories by the ids of their rows; None: in all."""

    block: Block
    rows: frozenset[int] | None
    versions: frozenset[str] = frozenset()
    """Of the name: the one that is said, in all of its spellings, by all of its digests if it is one."""

    def covers(self, repository_id: int) -> bool:
        return self.rows is None or repository_id in self.rows


@dataclass(slots=True)
class BlockSet:
    """All blocks, for look-ups in memory. It is false when there are none."""

    _names: dict[str, list[_Place]] = field(default_factory=dict)
    _digests: dict[str, list[_Place]] = field(default_factory=dict)
    _of_rows: dict[int, tuple[frozenset[str], str]] = field(default_factory=dict)
    _count: int = 0
    last_id: int = 0
    """Of the block that was kept last."""
    may_gain_digests: bool = False
    """Whether one is by a digest of which it may be found out later what the bytes are called besides."""

    def __len__(self) -> int:
        return self._count

    def add(self, block: Block, rows: frozenset[int] | None, aliases: Iterable[str] = ()) -> None:
        """A block that counts for these rows; `aliases` are other digests of the same bytes."""
        self._count += 1
        self.last_id = max(self.last_id, block.id)
        self._of_rows.clear()
        is_plain = not f"{block.digest}{block.version}".startswith("sha512:")
        self.may_gain_digests = self.may_gain_digests or not is_plain
        place = _Place(block, rows, frozenset({block.version, *block.spellings, *aliases}))
        if block.digest:
            for digest in {block.digest, *aliases}:
                self._digests.setdefault(digest, []).append(place)
        else:
            self._names.setdefault(block.name, []).append(place)

    def __bool__(self) -> bool:
        return self._count > 0

    def names(self, digest: str) -> bool:
        """Whether a block, wherever it counts, is of these bytes."""
        if digest in self._digests:
            return True
        return any(digest in place.versions for places in self._names.values() for place in places)

    def check(
        self,
        repository_id: int,
        package: str | None,
        versions: Iterable[str | None] = (),
        digests: Iterable[str] = (),
    ) -> None:
        """Raise Blocked when a package, one of these versions of it, or some of these bytes are blocked. A
        digest may be the name of a version."""
        if not self:
            return
        digests = tuple(digests)
        for digest in digests:
            for place in self._digests.get(digest, ()):
                if place.covers(repository_id):
                    raise refusal(place.block)
        if package is not None and package in self._names:
            meant = {"", *versions, *digests}
            for place in self._names[package]:
                if not meant.isdisjoint(place.versions) and place.covers(repository_id):
                    raise refusal(place.block)

    def is_hidden(self, repository_id: int, package: str) -> bool:
        """Whether a name is blocked as a whole."""
        places = self._names.get(package, ())
        return any(not one.block.version and one.covers(repository_id) for one in places)

    def hidden(self, repository_id: int, package: str) -> Hidden | None:
        """What documents about a package leave out; None where that is nothing."""
        if not self:
            return None
        places = self._names.get(package, ())
        versions = {version for one in places if one.covers(repository_id) for version in one.versions}
        digests, mark = self._hidden_digests(repository_id)
        return Hidden(frozenset(versions), digests, mark) if versions or digests else None

    def _hidden_digests(self, repository_id: int) -> tuple[frozenset[str], str]:
        """Those that are blocked in a repository, with what is the same for the same ones: found once, as
        there may be thousands."""
        found = self._of_rows.get(repository_id)
        if found is None:
            digests = [
                digest
                for digest, places in self._digests.items()
                if any(one.covers(repository_id) for one in places)
            ]
            mark = sha256(" ".join(sorted(digests)).encode()).hexdigest() if digests else ""
            found = self._of_rows[repository_id] = frozenset(digests), mark
        return found


NOTHING = BlockSet()


def refusal(block: Block) -> Blocked:
    """What is said to who asks for it."""
    return Blocked(f"{block.what} is blocked here: {block.reason} (block {block.id}, by {block.by})")


class BlockRows(Protocol):
    """The rows of blocks. See nora.catalog.base for what holds for all methods.

    While a block stands, reads of files, cached files and blobs that it is about raise Blocked, as does what
    would make them: `publish`, `add_blob`, `mount_blob`, `put_file`, `put_cached`.
    """

    def blocks(self) -> BlockSet:
        """Those of now. It costs a comparison as long as nothing has changed. Raises StorageFailed."""
        ...

    async def add_block(self, block: Block) -> Block:
        """Keep a block, which counts in all processes from then on. Raises NotFound for a repository that is
        not there, BadRequest when there are too many."""
        ...

    async def list_blocks(self, after: int, limit: int) -> list[Block]:
        """By id, after that."""
        ...

    async def lift_block(self, block_id: int) -> Block | None:
        """Forget a block; None when there is none."""
        ...
