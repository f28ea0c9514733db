"""The embedded catalog: SQLite with a write-ahead log, one file in the data directory.

Reads run where they are awaited, on one connection of the event loop's thread: microseconds, with nothing
to switch to. Writes go through the writer thread and commit in groups. Both are made when they are first
used, so that a process that forks its workers may hold the object, but must not have used it.
"""

from __future__ import annotations

import sqlite3
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

from nora.catalog import queries
from nora.catalog.base import Blob, File, Referrer, Token, Upload
from nora.catalog.sqlite import changes, preparation, repositories
from nora.catalog.sqlite.engine import Connection, connect_reader, translate
from nora.catalog.sqlite.recent import Epochs, Recent, slot_of
from nora.catalog.sqlite.rows import blob_of, file_of, token_of, upload_of
from nora.catalog.sqlite.writer import Writer
from nora.errors import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from nora.catalog.base import NewBlob, Publication
    from nora.model import Digest, Repository, RepositorySpec

T = TypeVar("T")

RECENT_ANSWERS = 4096
"""Of each kind of point read that are kept; some 700 bytes each."""

_ALL_TOKENS = (0, "")
"""What a revocation touches, in the place of a package: no repository has the id 0."""


class SQLiteCatalog:
    """See nora.catalog.base.Catalog for what the methods promise.

    One object serves one thread: that of the event loop which uses it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @staticmethod
    def prepare(path: Path, *, allow_fuse: bool = False) -> None:
        """Create or migrate the catalog, and look for damage, in bounded time.

        For the supervising process, under the lock of the data directory and before its workers start;
        nothing stays open. Raises CatalogUnusable, whose message says why and what to do. `allow_fuse`
        accepts a FUSE file system, for tests that inject faults.
        """
        preparation.prepare(path, allow_fuse=allow_fuse)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The catalog of a worker; `prepare` has run. Nothing is opened until the first call."""
        return cls(path)

    # -- repositories ------------------------------------------------------------------------------

    async def sync_repositories(self, specs: Sequence[RepositorySpec]) -> dict[str, Repository]:
        ids, known = self._loaded()
        if all(known.get(spec.name) == spec for spec in specs):  # each start but the first
            return repositories.build(specs, ids)
        return await self._write(lambda db: repositories.sync(db, specs))

    def _loaded(self) -> tuple[dict[str, int], dict[str, RepositorySpec]]:
        try:
            return repositories.load(self._reader)
        except sqlite3.Error as error:
            raise translate(error) from error

    # -- packages ----------------------------------------------------------------------------------

    async def has_package(self, repository_id: int, package: str) -> bool:
        return self._row(queries.HAS_PACKAGE, (repository_id, package)) is not None

    async def list_packages(self, repository_id: int, after: str, limit: int, prefix: str = "") -> list[str]:
        # Nothing sorts between a name and the name with a NUL; names that share a prefix are neighbours.
        start = max(after + "\0", prefix)
        rows = self._rows(queries.LIST_PACKAGES, (repository_id, start, limit))
        return [name for (name,) in rows if name.startswith(prefix)]

    # -- files, versions, tags ---------------------------------------------------------------------

    async def find_file(self, repository_id: int, path: str) -> File | None:
        key = (repository_id, path)
        found = self._recent_files.get(key)
        if found is None:
            row = self._row(queries.FIND_FILE, key)
            found = None if row is None else file_of(*row)
            if found is not None and found.package is not None:
                # Whose epoch to look at is known only now: the row counts if it is the same afterwards
                slot = slot_of(repository_id, found.package)
                epoch = self._epochs[slot]
                if self._row(queries.FIND_FILE, key) == row:
                    self._recent_files.put(key, slot, epoch, found)
        return found

    async def find_tagged_file(self, repository_id: int, package: str, tag: str) -> File | None:
        key = (repository_id, package, tag)
        found = self._recent_tags.get(key)
        if found is None:
            slot = slot_of(repository_id, package)
            epoch = self._epochs[slot]
            row = self._row(queries.FIND_TAGGED_FILE, (tag, repository_id, package))
            if row is not None:
                found = file_of(*row)
                self._recent_tags.put(key, slot, epoch, found)
        return found

    async def find_version_file(self, repository_id: int, package: str, digest: Digest) -> File | None:
        direct = digest.startswith("sha256:")
        query = queries.FIND_VERSION_FILES if direct else queries.FIND_VERSION_FILES_BY_ALIAS
        rows = self._rows(query, (digest, repository_id, package))
        if len(rows) > 1:  # published under two digests: the one that was asked for
            rows.sort(key=lambda row: row[4] != digest)
        return file_of(*rows[0]) if rows else None

    async def list_tags(self, repository_id: int, package: str, after: str, limit: int) -> list[str]:
        return [name for (name,) in self._rows(queries.LIST_TAGS, (after, repository_id, package, limit))]

    async def list_referrers(
        self,
        repository_id: int,
        package: str,
        subject: str,
        artifact_type: str | None,
        after: str,
        limit: int,
    ) -> list[Referrer]:
        if artifact_type is None:
            rows = self._rows(queries.LIST_REFERRERS, (subject, after, repository_id, package, limit))
        else:
            values = (subject, after, repository_id, package, artifact_type, limit)
            rows = self._rows(queries.LIST_REFERRERS_OF_TYPE, values)
        return [Referrer(*row) for row in rows]

    async def publish(self, publication: Publication, lease_seconds: float) -> Blob:
        touched = (publication.repository_id, publication.package)
        return await self._write(lambda db: changes.publish(db, publication, lease_seconds), touched)

    async def delete_version(self, repository_id: int, package: str, version: str) -> bool:
        return await self._write(
            lambda db: changes.delete_version(db, repository_id, package, version), (repository_id, package)
        )

    async def delete_tag(self, repository_id: int, package: str, tag: str) -> bool:
        return await self._write(
            lambda db: changes.delete_tag(db, repository_id, package, tag), (repository_id, package)
        )

    # -- blobs -------------------------------------------------------------------------------------

    async def find_blob(self, digest: Digest) -> Blob | None:
        query = queries.FIND_BLOB if digest.startswith("sha256:") else queries.FIND_BLOB_BY_ALIAS
        row = self._row(query, (digest,))
        return None if row is None else blob_of(*row)

    async def find_linked_blob(self, repository_id: int, package: str, digest: Digest) -> Blob | None:
        key = (repository_id, package, digest)
        found = self._recent_blobs.get(key)
        if found is None:
            slot = slot_of(repository_id, package)
            epoch = self._epochs[slot]
            direct = digest.startswith("sha256:")
            query = queries.FIND_LINKED_BLOB if direct else queries.FIND_LINKED_BLOB_BY_ALIAS
            row = self._row(query, (digest, repository_id, package))
            if row is not None:
                found = blob_of(*row)
                self._recent_blobs.put(key, slot, epoch, found)
        return found

    async def add_blob(
        self,
        blob: NewBlob,
        repository_id: int,
        package: str,
        lease_seconds: float,
        upload_id: str | None = None,
    ) -> Blob:
        return await self._write(
            lambda db: changes.add_blob(db, blob, repository_id, package, lease_seconds, upload_id),
            (repository_id, package),
        )

    async def mount_blob(
        self,
        digest: Digest,
        sources: Sequence[tuple[int, str]],
        repository_id: int,
        package: str,
        lease_seconds: float,
    ) -> Blob | None:
        return await self._write(
            lambda db: changes.mount_blob(db, digest, sources, repository_id, package, lease_seconds),
            (repository_id, package),
        )

    async def list_blob_holders(self, digest: Digest, limit: int) -> list[tuple[int, str]]:
        blob = await self.find_blob(digest)
        return [] if blob is None else self._rows(queries.LIST_BLOB_HOLDERS, (blob.id, limit))

    async def unlink_blob(self, repository_id: int, package: str, digest: Digest) -> bool:
        return await self._write(
            lambda db: changes.unlink_blob(db, repository_id, package, digest), (repository_id, package)
        )

    async def renew_leases(self, links: Iterable[tuple[int, str, Digest]], lease_seconds: float) -> None:
        batch = tuple(links)
        if batch:
            await self._write(
                lambda db: changes.renew_leases(db, batch, lease_seconds),
                *((repository_id, package) for repository_id, package, _ in batch),
                durable=False,
            )

    # -- uploads -----------------------------------------------------------------------------------

    async def open_upload(
        self, upload_id: str, repository_id: int, package: str, algorithm: str, limit: int
    ) -> Upload:
        return await self._write(
            lambda db: changes.open_upload(db, upload_id, repository_id, package, algorithm, limit),
            durable=False,
        )

    async def find_upload(self, upload_id: str) -> Upload | None:
        row = self._row(queries.FIND_UPLOAD, (upload_id,))
        return None if row is None else upload_of(*row)

    async def save_upload(self, upload_id: str, offset: int, hashes: dict[str, str]) -> bool:
        return await self._write(lambda db: changes.save_upload(db, upload_id, offset, hashes), durable=False)

    async def close_upload(self, upload_id: str) -> bool:
        return await self._write(lambda db: changes.close_upload(db, upload_id), durable=False)

    async def count_uploads(self) -> int:
        count: int = self._rows(queries.COUNT_UPLOADS, ())[0][0]
        return count

    async def list_idle_uploads(self, idle_seconds: float, limit: int) -> list[Upload]:
        rows = self._rows(queries.LIST_IDLE_UPLOADS, (time.time() - idle_seconds, limit))
        return [upload_of(*row) for row in rows]

    # -- tokens and secrets ------------------------------------------------------------------------

    async def add_token(self, token: Token) -> None:
        await self._write(lambda db: changes.add_token(db, token))

    async def find_token(self, secret_hash: str) -> Token | None:
        return self._token(queries.FIND_TOKEN, secret_hash)

    async def find_token_by_id(self, token_id: str) -> Token | None:
        return self._token(queries.FIND_TOKEN_BY_ID, token_id)

    def _token(self, query: str, value: str) -> Token | None:
        key = (query, value)
        found = self._recent_tokens.get(key)
        if found is None:
            slot = slot_of(*_ALL_TOKENS)
            epoch = self._epochs[slot]
            row = self._row(query, (value,))
            if row is not None:
                found = token_of(*row)
                self._recent_tokens.put(key, slot, epoch, found)
        return found

    async def list_tokens(self, user: str | None, after: str, limit: int) -> list[Token]:
        if user is None:
            rows = self._rows(queries.LIST_TOKENS, (after, limit))
        else:
            rows = self._rows(queries.LIST_TOKENS_OF_OWNER, (user, after, limit))
        return [token_of(*row) for row in rows]

    async def revoke_token(self, token_id: str, user: str | None) -> bool:
        return await self._write(lambda db: changes.revoke_token(db, token_id, user), _ALL_TOKENS)

    async def note_token_uses(self, uses: Mapping[str, float]) -> None:
        if uses:  # no epoch moves: when a token was last used is no reason to read it again
            batch = dict(uses)
            await self._write(lambda db: changes.note_token_uses(db, batch), durable=False)

    async def secret(self, name: str) -> bytes:
        row = self._row(queries.FIND_SECRET, (name,))
        if row is None:
            return await self._write(lambda db: changes.make_secret(db, name))
        value: bytes = row[0]
        return value

    # -- the engine --------------------------------------------------------------------------------

    async def check(self) -> None:
        await self._write(changes.probe)

    async def close(self) -> None:
        if "_writer" in vars(self):
            await self._writer.close()
        if "_reader" in vars(self):
            self._reader.close()

    @cached_property
    def _reader(self) -> Connection:
        return connect_reader(self._path)

    @cached_property
    def _writer(self) -> Writer:
        return Writer(self._path, self._epochs)

    @cached_property
    def _epochs(self) -> Epochs:
        try:
            return Epochs(self._path)
        except OSError as error:
            raise StorageFailed(f"the epochs of the catalog cannot be mapped: {error.strerror}") from error

    @cached_property
    def _recent_files(self) -> Recent[File]:
        return Recent(self._epochs, RECENT_ANSWERS)

    @cached_property
    def _recent_tags(self) -> Recent[File]:
        return Recent(self._epochs, RECENT_ANSWERS)

    @cached_property
    def _recent_tokens(self) -> Recent[Token]:
        return Recent(self._epochs, RECENT_ANSWERS)

    @cached_property
    def _recent_blobs(self) -> Recent[Blob]:
        return Recent(self._epochs, RECENT_ANSWERS)

    def _row(self, query: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
        """The only row, or None. The queries end with it, so that no read stays open."""
        try:
            row: tuple[Any, ...] | None = self._reader.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise translate(error) from error
        return row

    def _rows(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._reader.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise translate(error) from error

    async def _write(
        self, change: Callable[[Connection], T], *touched: tuple[int, str], durable: bool = True
    ) -> T:
        """Commit a change; `touched` are the packages (repository, name) of which answers may be kept."""
        slots = frozenset(slot_of(*package) for package in touched)
        return await self._writer.submit(change, slots, durable=durable)
