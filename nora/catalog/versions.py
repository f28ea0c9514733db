"""Versions: what of a package is published under one name, and what it refers to."""

from __future__ import annotations

from typing import Protocol

from nora.catalog.records import Blob, Publication, Version, VersionAbout


class Versions(Protocol):
    """The versions of packages. See nora.catalog.base for what holds for all methods."""

    async def publish(self, publication: Publication, lease_seconds: float) -> Blob:
        """Insert or renew a version with file, references and tags; returns the live blob row.

        The package holds the blob from then on, as if it had been added with `add_blob`.

        When the row that is live already has another generation than `publication.blob`, the caller's
        object is superfluous and the caller removes it. Publishing the same version again is no
        error. Raises MissingReferences (nothing is written), BlobNotFound (the blob that the package was
        said to hold is not there any more), Conflict (a tag that may not move),
        PreconditionFailed.
        """
        ...

    async def list_versions(self, repository_id: int, package: str) -> list[Version]:
        """All versions of a package, by name as bytes. As `list_package_files`."""
        ...

    async def update_version(
        self, repository_id: int, package: str, version: str, *, state: str | None, document: bytes | None
    ) -> bool:
        """Replace what is given; False when there is no such version. Moves the package's revision."""
        ...

    async def delete_version(self, repository_id: int, package: str, version: str) -> bool:
        """Remove a version, its file, its references and every tag that points to it.

        The package lets go of the bytes of the file, unless another of its versions needs them.
        """
        ...

    async def list_versions_about(
        self,
        repository_id: int,
        package: str,
        subject: str,
        kind: str | None,
        after: str,
        limit: int,
    ) -> list[VersionAbout]:
        """Versions about `subject`, of a kind if one is given, by version after `after`, in byte order."""
        ...

    async def has_reference(self, repository_id: int, package: str, digest: str) -> bool:
        """Whether a version of the package refers to this content (by the digest that was published).

        Point lookup, cheap when asked again.
        """
        ...
