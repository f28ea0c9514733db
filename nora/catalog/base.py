"""What every catalog engine offers. The values that go in and come out are in nora.catalog.records.

The catalog is the truth about hosted repositories: packages, versions, tags, files, and which blob each
file is. It knows no protocol. Reads of a point cost microseconds and may be awaited on the event loop;
a write returns when it is committed, and - unless its docstring says otherwise - durable. Every write is
one transaction. Names and versions compare as bytes.

All methods raise StorageFailed (or StorageBusy, StorageFull) when the engine fails; an absence is None,
False or an empty list, never an exception, unless a docstring says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from nora.catalog.records import (
    Blob,
    Cached,
    File,
    NewBlob,
    NewCached,
    NewFile,
    Package,
    PackageFile,
    Publication,
    Referrer,
    Token,
    Upload,
    Version,
)
from nora.model import Digest, Repository, RepositorySpec


class Catalog(Protocol):
    """The protocol of a catalog engine. See the module's docstring for what holds for all methods."""

    # -- repositories ------------------------------------------------------------------------------

    async def sync_repositories(self, specs: Sequence[RepositorySpec]) -> dict[str, Repository]:
        """Make the rows agree with the configuration, and return the repositories by name.

        A repository that is no longer declared keeps its rows and is not returned. Raises ConfigError
        when a name is declared with another format or kind while it holds packages, and for a group
        with a member that is absent, a group itself, or of another format.
        """
        ...

    # -- packages ----------------------------------------------------------------------------------

    async def has_package(self, repository_id: int, package: str) -> bool:
        """Whether the package is known: from its first upload on, even an unfinished one."""
        ...

    async def list_packages(self, repository_id: int, after: str, limit: int, prefix: str = "") -> list[str]:
        """Names of the packages that hold at least one version, after `after`, in byte order."""
        ...

    async def find_package(self, repository_id: int, package: str) -> Package | None:
        """A package. Point lookup, cheap when asked again, also of what is absent: it is what says that a
        document is still right, and whether a name may be asked of an upstream."""
        ...

    async def update_package(
        self, repository_id: int, package: str, document: bytes, *, before: bytes | None = None
    ) -> bool:
        """Replace the document of a package; False when there is no such package, or when `before` is given
        and its document is another one by now. Moves its revision."""
        ...

    async def claim_package(self, repository_id: int, package: str) -> None:
        """Make a package known before its first file, and owned if the repository is hosted."""
        ...

    async def release_package(self, repository_id: int, package: str) -> bool:
        """Give the name back to the upstreams; False when it was not owned. Its files stay. The next upload,
        mount or claim owns it again. Moves its revision."""
        ...

    async def list_known_packages(self, repository_id: int, after: str, limit: int) -> list[str]:
        """As `list_packages`, with those that hold files without versions (cached documents) as well.
        A package that holds neither is not listed: `find_package` knows it."""
        ...

    async def list_owned_packages(self, repository_id: int, after: str, limit: int) -> list[str]:
        """Names that are owned, whether they hold anything or not, after `after`, in byte order."""
        ...

    # -- files of packages with many ---------------------------------------------------------------

    async def add_files(
        self, repository_id: int, files: Sequence[NewFile], lease_seconds: float
    ) -> list[Blob] | None:
        """Add files - one at least - all or none, with the versions they belong to.

        Returns the live blob rows, in the order of the files (see `publish` about their generations). The
        package holds them, and is owned from here on when the repository is hosted.

        None when the first of them is there already with the same bytes: nothing is written, whatever the
        others are. One of the others that is there already with the same bytes stays as it is. Raises
        Conflict when a path has other bytes, or had been deleted for good; nothing is written then.
        """
        ...

    async def list_package_files(self, repository_id: int, package: str) -> list[PackageFile]:
        """All files of a package, by path as bytes, as of one moment. In a reader thread when there are many:
        some 60 ms for ten thousand. Times are exact to 0.1 ms."""
        ...

    async def list_versions(self, repository_id: int, package: str) -> list[Version]:
        """All versions of a package, by name as bytes. As `list_package_files`."""
        ...

    async def update_version(
        self, repository_id: int, package: str, version: str, *, state: str | None, document: bytes | None
    ) -> bool:
        """Replace what is given; False when there is no such version. Moves the package's revision."""
        ...

    async def delete_files(self, repository_id: int, paths: Sequence[str], *, for_good: bool) -> int:
        """Remove files, and versions that have none left with their tags and references; how many files there
        were. `for_good`: a tombstone keeps `add_files` from using each of the paths again, also those that
        had no file. The package stays known and owned, and lets go of bytes that it does not need otherwise.
        """
        ...

    # -- what comes from upstreams -----------------------------------------------------------------

    async def find_cached(self, repository_id: int, path: str) -> Cached | None:
        """What is cached at a path, fresh or not. Point lookup, cheap when asked again. A file that was
        published, not fetched, is not cached."""
        ...

    async def put_cached(self, repository_id: int, entry: NewCached, lease_seconds: float) -> Blob:
        """Keep what was fetched; returns the live blob row (see `publish` about its generation).

        Not durable by itself: it could be fetched again. With a package, that holds the blob from then on and
        its revision moves; the package and version of what was at the path before let go of it. Raises
        BlobNotFound as `publish` does, ValueError in a repository that is no proxy.
        """
        ...

    async def touch_cached(
        self,
        repository_id: int,
        path: str,
        *,
        validators: Mapping[str, str] | None,
        fetched_at: float,
        fresh_until: float,
    ) -> bool:
        """What is cached was found to be right still; `validators` replace the old ones when given. Not
        durable by itself. False when it is gone."""
        ...

    async def drop_cached(self, repository_id: int, path: str) -> bool:
        """The upstream has it no more: as `delete_files`, but only for what is cached. Whether there was
        anything."""
        ...

    async def has_reference(self, repository_id: int, package: str, digest: str) -> bool:
        """Whether a version of the package refers to this content (config, layer or child, by the digest that
        was published). Point lookup, cheap when asked again."""
        ...

    async def note_file_uses(self, uses: Mapping[int, float]) -> None:
        """Record when files (by id) were last used: of two times the later one. Not durable by itself."""
        ...

    async def list_idle_cached(self, repository_id: int, unused_since: float, limit: int) -> list[str]:
        """Paths of cached documents (those that are not for good) last used and fetched before then, those
        unused for longest first. To be fetched for the first time is a use."""
        ...

    # -- files, versions, tags ---------------------------------------------------------------------

    async def find_file(self, repository_id: int, path: str) -> File | None:
        """The file at a path. Point lookup."""
        ...

    async def find_tagged_file(self, repository_id: int, package: str, tag: str) -> File | None:
        """The file of the version that a tag points to. Point lookup."""
        ...

    async def find_version_file(self, repository_id: int, package: str, digest: Digest) -> File | None:
        """The file of a package whose bytes have this digest, in whatever algorithm it was published."""
        ...

    async def list_tags(self, repository_id: int, package: str, after: str, limit: int) -> list[str]:
        """Tags after `after` (exclusive; it need not exist), in byte order."""
        ...

    async def list_referrers(
        self,
        repository_id: int,
        package: str,
        subject: str,
        artifact_type: str | None,
        after: str,
        limit: int,
    ) -> list[Referrer]:
        """Versions whose subject is `subject`, by version after `after`, in byte order."""
        ...

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

    async def delete_version(self, repository_id: int, package: str, version: str) -> bool:
        """Remove a version, its file, its references and every tag that points to it.

        The package lets go of the bytes of the file, unless another of its versions needs them.
        """
        ...

    async def delete_tag(self, repository_id: int, package: str, tag: str) -> bool:
        """Remove a tag; the version stays."""
        ...

    # -- blobs -------------------------------------------------------------------------------------

    async def find_blob(self, digest: Digest) -> Blob | None:
        """A live blob by any of its digests, whoever holds it."""
        ...

    async def find_linked_blob(self, repository_id: int, package: str, digest: Digest) -> Blob | None:
        """A live blob by any of its digests, if the package holds it. Point lookup."""
        ...

    async def add_blob(
        self,
        blob: NewBlob,
        repository_id: int,
        package: str,
        lease_seconds: float,
        upload_id: str | None = None,
    ) -> Blob:
        """Insert or renew the row of a blob, link it to the package, and end the upload it came by.

        Returns the live row: see `publish` about its generation. Raises UploadNotFound when
        `upload_id` is given and that session is gone; nothing is written then.
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

    async def unlink_blob(self, repository_id: int, package: str, digest: Digest) -> bool:
        """Take a blob out of a package. The bytes stay until collection finds nobody holding them."""
        ...

    async def renew_leases(self, links: Iterable[tuple[int, str, Digest]], lease_seconds: float) -> None:
        """Extend the leases of (repository, package, digest). Not durable by itself: a batch of hints."""
        ...

    # -- uploads -----------------------------------------------------------------------------------

    async def open_upload(
        self, upload_id: str, repository_id: int, package: str, algorithm: str, limit: int
    ) -> Upload:
        """Open a session; the package is known (and owned) from here on. Survives a crash of the
        process, not necessarily one of the machine. Raises TooManyRequests at `limit` open sessions."""
        ...

    async def find_upload(self, upload_id: str) -> Upload | None:
        """A session by its id."""
        ...

    async def save_upload(self, upload_id: str, offset: int, hashes: dict[str, str]) -> bool:
        """Record that `offset` bytes are durable in the session's file; False when it is gone.

        Survives a crash of the process, not necessarily one of the machine: an older offset then stands.
        """
        ...

    async def close_upload(self, upload_id: str) -> bool:
        """Forget a session; False when there was none."""
        ...

    async def count_uploads(self) -> int:
        """How many sessions are open."""
        ...

    async def list_idle_uploads(self, idle_seconds: float, limit: int) -> list[Upload]:
        """Sessions without progress for so long."""
        ...

    # -- tokens and secrets ------------------------------------------------------------------------

    async def add_token(self, token: Token) -> None:
        """Store a token."""
        ...

    async def find_token(self, secret_hash: str) -> Token | None:
        """The token with this secret, expired or not. Point lookup; revocation is seen at once by all
        processes, `last_used_at` is not."""
        ...

    async def find_token_by_id(self, token_id: str) -> Token | None:
        """A token by its public id. Point lookup, as fresh as `find_token`."""
        ...

    async def list_tokens(self, user: str | None, after: str, limit: int) -> list[Token]:
        """Tokens of a user, or of all, by id after `after`."""
        ...

    async def revoke_token(self, token_id: str, user: str | None) -> bool:
        """Remove a token, if it is of this user when one is given; whether there was one."""
        ...

    async def note_token_uses(self, uses: Mapping[str, float]) -> None:
        """Record when tokens (by id) were last used. Not durable by itself."""
        ...

    async def secret(self, name: str) -> bytes:
        """32 random bytes under a name, made when first asked for: the same for all processes, for good."""
        ...

    # -- the engine --------------------------------------------------------------------------------

    async def check(self) -> None:
        """Raise StorageFailed, StorageFull or StorageBusy unless a write can be committed now."""
        ...

    async def close(self) -> None:
        """Finish what is queued and let go of the engine."""
        ...
