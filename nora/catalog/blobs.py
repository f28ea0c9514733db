"""Blobs: which bytes there are, and which packages hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from nora.catalog.records import Blob, NewBlob
from nora.model import Digest


class Blobs(Protocol):
    """The rows of blobs. See nora.catalog.base for what holds for all methods."""

    async def find_blob(self, digest: Digest) -> Blob | None:
        """A live blob by any of its digests, whoever holds it."""
        ...

    async def find_linked_blob(self, repository_id: int, package: str, digest: Digest) -> Blob | None:
        """A live blob by any of its digests, if the package holds it. Point lookup."""
        ...

    async def add_blob(
        self,
        blob: NewBlob | Blob,
        repository_id: int,
        package: str,
        lease_seconds: float,
        upload_id: str | None = None,
    ) -> Blob:
        """Insert or renew the row of a blob, link it to the package, and end the upload it came by.

        Returns the live row: see `publish` about its generation. Raises UploadNotFound when
        `upload_id` is given and that session is gone, BlobNotFound as `publish` does; nothing is written
        then.
        """
        ...

    async def replace_object(self, lost: Blob, new: NewBlob) -> Blob | None:
        """Let a live row name another object of the same bytes, because the one it names is lost.

        Returns the live row: of another object than `new` when somebody else was first, None when the blob is
        no longer live.
        """
        ...

    async def mount_blob(
        self,
        digest: Digest,
        sources: Sequence[tuple[int, str]],
        repository_id: int,
        package: str,
        lease_seconds: float,
    ) -> Blob | None:
        """Link to the package a live blob that one of the sources (repository, package) holds, else None."""
        ...

    async def list_blob_holders(self, digest: Digest, limit: int) -> list[tuple[int, str]]:
        """Some packages (repository, package) that hold a blob."""
        ...

    async def unlink_blob(
        self, repository_id: int, package: str, digest: Digest, *, kept: Callable[[str], bool] | None = None
    ) -> bool:
        """Take a blob out of a package. The bytes stay until collection finds nobody holding them.

        Raises Conflict when a tag for which `kept` says so needs it.
        """
        ...

    async def renew_leases(self, links: Iterable[tuple[int, str, Digest]], lease_seconds: float) -> None:
        """Extend the leases of (repository, package, digest). Not durable by itself: a batch of hints."""
        ...
