"""Forgetting backups of a folder or a bucket: the oldest go, and the blobs that no other one needs.

Nothing is removed before every manifest that is kept has been read to its end and has the digest that it
says: what one that is damaged needs nobody can tell. A backup that goes is none from the first step on, so
that whoever is killed leaves only too much, and the next one removes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from nora.upkeep.backups.manifest import BackupFailed, Opened, listed_names, parse_object_name

PASSES: Final = "0123456789abcdef"
"""First digits of digests: a sixteenth of the names that are kept is in memory at a time."""


class Shelf(Protocol):
    """Backups that share their blobs. Its methods block, and raise StorageFailed, BackupFailed."""

    def backups(self) -> list[str]:
        """The finished ones, the oldest first."""
        ...

    def manifest(self, backup: str) -> Opened:
        """What lists all that one needs."""
        ...

    def remove(self, backup: str) -> None:
        """All of one but its blobs."""
        ...

    def objects(self, start: str) -> Iterator[str]:
        """The names of blobs whose digests begin so."""
        ...

    def remove_object(self, name: str) -> None:
        """A blob."""
        ...


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed."""

    backups: Sequence[str]
    blobs: int


def prune(shelf: Shelf, keep: int) -> Pruned:
    """Keep the newest ones, so many. The lock of the place is held: no backup is being written there. Raises
    BackupFailed before anything is removed, StorageFailed."""
    found = shelf.backups()
    kept, old = found[-keep:], found[:-keep]
    for one in kept:
        for _ in _needed(shelf, one, ""):
            pass
    for one in old:
        shelf.remove(one)
    removed = 0
    for start in PASSES:
        needed = {name for one in kept for name in _needed(shelf, one, start)}
        for name in shelf.objects(start):
            if name not in needed and parse_object_name(name) is not None:
                shelf.remove_object(name)
                removed += 1
    return Pruned(old, removed)


def _needed(shelf: Shelf, backup: str, start: str) -> Iterator[str]:
    """The blobs of a backup whose digests begin so. Raises BackupFailed at the end of a damaged manifest."""
    try:
        for name in listed_names(shelf.manifest(backup)):
            blob = parse_object_name(name)
            if blob is not None and blob[0].encoded.startswith(start):
                yield name
    except BackupFailed as error:
        raise BackupFailed(f"{backup} is to be kept, and what it needs cannot be told: {error}") from error
