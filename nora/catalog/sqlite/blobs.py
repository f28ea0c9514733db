"""Blobs, and the links that say which package holds them."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

from nora.catalog.records import Blob, NewBlob
from nora.catalog.sqlite import queries
from nora.catalog.sqlite.executor import Executor, file_slot
from nora.catalog.sqlite.packages import ensure_package, find_id
from nora.catalog.sqlite.quotas import within_quota
from nora.catalog.sqlite.read_cache import RECENT_ANSWERS, ReadCache, slot_of
from nora.catalog.sqlite.rows import blob_of
from nora.catalog.sqlite.tags import check_kept
from nora.catalog.sqlite.uploads import close_upload, session_key
from nora.errors import BlobNotFound, UploadNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nora.catalog.blocks import BlockSet
    from nora.catalog.sqlite.engine import Connection
    from nora.model import Digest


class Blobs(Executor):
    """The methods of nora.catalog.blobs.Blobs."""

    async def find_blob(self, digest: Digest) -> Blob | None:
        query = queries.FIND_BLOB if digest.startswith("sha256:") else queries.FIND_BLOB_BY_ALIAS
        row = self._row(query, (digest,))
        return None if row is None else blob_of(*row)

    async def find_linked_blob(self, repository_id: int, package: str, digest: Digest) -> Blob | None:
        key = (repository_id, package, digest)
        direct = digest.startswith("sha256:")
        query = queries.FIND_LINKED_BLOB if direct else queries.FIND_LINKED_BLOB_BY_ALIAS
        # Of bytes that the package holds another package may make another digest known
        return self._cached_read(
            self._recent_blobs,
            key,
            query,
            (digest, repository_id, package),
            blob_of,
            keep_absence=direct,
        )

    async def add_blob(
        self,
        blob: NewBlob | Blob,
        repository_id: int,
        package: str,
        lease_seconds: float,
        upload_id: str | None = None,
    ) -> Blob:
        self.blocks().check(repository_id, package, digests=digests_of(blob))
        touched = [(repository_id, package)] + ([session_key(upload_id)] if upload_id is not None else [])
        return await self._write(
            lambda db: add_blob(db, blob, repository_id, package, lease_seconds, upload_id),
            *touched,
            slots=self._slots_of_digests(blob),
        )

    async def replace_object(self, lost: Blob, new: NewBlob) -> Blob | None:
        return await self._write_found(lambda db, slots: replace_object(db, slots, lost, new))

    async def mount_blob(
        self,
        digest: Digest,
        sources: Sequence[tuple[int, str]],
        repository_id: int,
        package: str,
        lease_seconds: float,
    ) -> Blob | None:
        blocks = self.blocks()
        return await self._write(
            lambda db: mount_blob(db, digest, sources, repository_id, package, lease_seconds, blocks),
            (repository_id, package),
        )

    async def list_blob_holders(self, digest: Digest, limit: int) -> list[tuple[int, str]]:
        blob = await self.find_blob(digest)
        return [] if blob is None else self._rows(queries.LIST_BLOB_HOLDERS, (blob.id, limit))

    async def unlink_blob(
        self, repository_id: int, package: str, digest: Digest, *, kept: Callable[[str], bool] | None = None
    ) -> bool:
        place = (repository_id, package)
        return await self._write(lambda db: unlink_blob(db, place, digest, kept), place)

    async def renew_leases(self, links: Iterable[tuple[int, str, Digest]], lease_seconds: float) -> None:
        batch = tuple(links)
        if batch:
            await self._write(
                lambda db: renew_leases(db, batch, lease_seconds),
                *((repository_id, package) for repository_id, package, _ in batch),
                durable=False,
            )

    @cached_property
    def _recent_blobs(self) -> ReadCache[Blob]:
        return ReadCache(self._epochs, RECENT_ANSWERS)


# -- inside of a transaction -------------------------------------------------------------------------------

Row = tuple[int, str, int, int]
"""Id, sha256, size and generation of a live blob."""


def digests_of(blob: NewBlob | Blob) -> tuple[str, ...]:
    """All that are known of some bytes."""
    return (blob.digest, *blob.aliases) if isinstance(blob, NewBlob) else (blob.digest,)


def find_blob(db: Connection, digest: str) -> Row | None:
    """The live blob with this digest."""
    query = queries.FIND_BLOB if digest.startswith("sha256:") else queries.FIND_BLOB_BY_ALIAS
    row = db.execute(query, (digest,)).fetchone()
    return row[:4] if row else None


def ensure_blob(db: Connection, new: NewBlob | Blob, now: float) -> Row:
    """The row of bytes that have just been ingested, or of a blob that is there already.

    Raises BlobNotFound when that one is not there any more.
    """
    blob = find_blob(db, new.digest)
    if isinstance(new, Blob):
        if blob is None or blob[0] != new.id:
            raise BlobNotFound(f"{new.digest} is not there any more")
        return blob
    if blob is None:
        values = (new.digest, new.size, new.xxh3, new.generation, now)
        blob = (db.execute(queries.INSERT_BLOB, values).fetchone()[0], new.digest, new.size, new.generation)
    for alias in new.aliases:
        db.execute(queries.INSERT_ALIAS, (alias, blob[0]))
    return blob


def link(db: Connection, package: int, blob: Row, lease_until: float) -> Blob:
    """Let a package hold a blob."""
    row = db.execute(queries.PUT_LINK, (package, blob[0], lease_until)).fetchone()
    return blob_of(*blob, row[0])


def let_go(db: Connection, package: int, blob: int) -> None:
    """Take a blob out of a package, unless the package still needs it: for a file or a reference."""
    if find_id(db, queries.HAS_FILE_OF_BLOB, (blob, package)) is None and (
        find_id(db, queries.HAS_REFERENCE, (package, blob)) is None
    ):
        db.execute(queries.DELETE_LINK, (package, blob))


def add_blob(
    db: Connection,
    blob: NewBlob | Blob,
    repository_id: int,
    package: str,
    lease_seconds: float,
    upload_id: str | None,
) -> Blob:
    """See Catalog.add_blob."""
    now = time.time()
    if upload_id is not None and close_upload(db, upload_id) is None:
        raise UploadNotFound("the upload was finished, cancelled or has expired")
    with within_quota(db, repository_id):
        package_id = ensure_package(db, repository_id, package, now)
        return link(db, package_id, ensure_blob(db, blob, now), now + lease_seconds)


def replace_object(db: Connection, slots: set[int], lost: Blob, new: NewBlob) -> Blob | None:
    """See Catalog.replace_object. Everybody who holds the blob has answers that name the lost object."""
    values = (new.generation, new.size, new.xxh3, lost.id, lost.generation)
    if db.execute(queries.REPLACE_OBJECT, values).rowcount:
        holders = db.execute(queries.LIST_BLOB_HOLDERS, (lost.id, -1)).fetchall()
        slots |= {slot_of(repository_id, package) for repository_id, package in holders}
        files = db.execute(queries.LIST_BLOB_FILES, (lost.id,)).fetchall()
        slots |= {file_slot(*row) for row in files}
    row = find_blob(db, new.digest)
    return None if row is None else blob_of(*row, 0.0)


def mount_blob(
    db: Connection,
    digest: Digest,
    sources: Sequence[tuple[int, str]],
    repository_id: int,
    package: str,
    lease_seconds: float,
    blocks: BlockSet,
) -> Blob | None:
    """See Catalog.mount_blob. `blocks` may be about any digest of the bytes, and about packages that have
    them: of these nothing is given."""
    blob = find_blob(db, digest)
    blocks.check(repository_id, package, digests=(digest, *(() if blob is None else (blob[1],))))
    given = [source for source in sources if not (blocks and blocks.is_hidden(*source))]
    if blob is None or not any(_holds(db, source, blob[0]) for source in given):
        return None
    now = time.time()
    with within_quota(db, repository_id):
        return link(db, ensure_package(db, repository_id, package, now), blob, now + lease_seconds)


def unlink_blob(
    db: Connection, place: tuple[int, str], digest: Digest, kept: Callable[[str], bool] | None
) -> bool:
    """See Catalog.unlink_blob."""
    package_id = find_id(db, queries.FIND_PACKAGE, place)
    blob = find_blob(db, digest)
    if not package_id or not blob:
        return False
    if kept is not None:
        aliases = [alias for (alias,) in db.execute(queries.LIST_ALIASES, (blob[0],))]
        check_kept(db, package_id, [blob[1], *aliases], kept)
    return bool(db.execute(queries.DELETE_LINK, (package_id, blob[0])).rowcount)


def renew_leases(db: Connection, links: Iterable[tuple[int, str, Digest]], lease_seconds: float) -> None:
    """See Catalog.renew_leases."""
    until = time.time() + lease_seconds
    for repository_id, package, digest in links:
        package_id = find_id(db, queries.FIND_PACKAGE, (repository_id, package))
        blob = find_blob(db, digest)
        if package_id is not None and blob is not None:
            db.execute(queries.RENEW_LINK, (until, package_id, blob[0], until))


def _holds(db: Connection, source: tuple[int, str], blob_id: int) -> bool:
    package_id = find_id(db, queries.FIND_PACKAGE, source)
    return package_id is not None and find_id(db, queries.HAS_LINK, (package_id, blob_id)) is not None
