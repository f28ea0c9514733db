"""Versions: what of a package is published under one name, and what it refers to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from nora.catalog.records import Blob, Release, Version, VersionAbout


class Versions(Protocol):
    """The versions of packages. See nora.catalog.base for what holds for all methods."""

    async def publish(self, release: Release, lease_seconds: float) -> list[Blob]:
        """Make a version visible with its files, references and tags, all or none.

        Returns the live blob rows in the order of the files. One with another generation than the NewBlob
        it is for says that the caller's object is superfluous: the caller removes it. The package holds the
        blobs from then on, as if they had been added with `add_blob`, and is owned if it is of a hosted
        repository.

        With `replace` a known version is made anew, `live`, and its paths get the bytes; other files stay.
        Without, nothing changes that is there. A new version is `live`; a known one keeps its document and
        references, and gets the files that it has not. When its first file is there already with the same
        bytes nothing is written, whatever else the release says: a client that tries again is not told of a
        conflict. Raises Conflict then for a path with other bytes, one that was deleted for good, and
        another document than the version has.

        Raises MissingReferences, BlobNotFound (the blob that the catalog was said to know is not there any
        more), Conflict (a tag that may not move), PackageChanged, PreconditionFailed. Nothing is written
        then.
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

    async def delete_version(
        self,
        repository_id: int,
        package: str,
        version: str,
        *,
        same_bytes: bool = False,
        kept: Callable[[str], bool] | None = None,
    ) -> bool:
        """Remove a version, its files, its references and every tag that points to it.

        `same_bytes`: and the versions of the package with the same bytes, which were published under another
        digest. The package lets go of the bytes of the files, unless another of its versions needs them.
        Raises Conflict, and removes nothing, when a tag for which `kept` says so needs what would go.
        """
        ...

    async def list_versions_about(
        self,
        repository_id: int,
        package: str,
        subject: str,
        kind: str | None,
        after: str,
        *,
        limit: int,
        max_bytes: int,
    ) -> tuple[list[VersionAbout], bool]:
        """Versions about `subject`, of a kind if one is given, by version after `after`, in byte order; and
        whether there are more of them.

        At most `limit`, whose documents are together no larger than `max_bytes`, but one if there is any.
        No other is read.
        """
        ...

    async def has_reference(self, repository_id: int, package: str, digest: str) -> bool:
        """Whether a version of the package refers to this content (by the digest that was published).

        Point lookup, cheap when asked again.
        """
        ...
