"""Looking whether what the rows say is so: which objects there should be, and when each was last compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nora.catalog.records import Blob


@dataclass(frozen=True, slots=True)
class BlobUse:
    """A file that is made of a blob, or a package that holds it."""

    repository_id: int
    package: str | None
    path: str | None
    """None: the package holds it otherwise, as a layer."""


class Verification(Protocol):
    """See nora.catalog.base for what holds for all methods. Times are seconds since the epoch."""

    async def measure_blobs(self) -> tuple[int, int]:
        """How many live blobs there are, and their bytes."""
        ...

    async def list_blobs(self, after: int, limit: int, *, verified_before: float) -> list[Blob]:
        """Live blobs with ids above `after`, by id, that were not found right since."""
        ...

    async def list_shard(self, shard: str) -> list[Blob]:
        """All live blobs whose digests begin with two hexadecimal digits, by digest: those of one folder of
        objects."""
        ...

    async def note_verified(self, blobs: Sequence[Blob], at: float) -> None:
        """The objects of these blobs were found right. Not durable by itself."""
        ...

    async def list_blob_uses(self, blob: Blob, limit: int) -> list[BlobUse]:
        """Some files and packages that have a blob."""
        ...

    async def check_rows(self, limit: int) -> list[str]:
        """What is wrong with the rows themselves, for people: damage of the file, rows that lead nowhere.
        All of the catalog is read."""
        ...
