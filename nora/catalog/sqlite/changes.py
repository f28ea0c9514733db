"""What each write does, inside a transaction that the writer began. Errors undo the change alone."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import orjson

from nora.catalog import queries
from nora.catalog.base import Blob, Upload
from nora.catalog.sqlite.rows import blob_of, row_of
from nora.errors import (
    BlobNotFound,
    Conflict,
    MissingReferences,
    PreconditionFailed,
    TooManyRequests,
    UploadNotFound,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nora.catalog.base import NewBlob, Publication, TagWrite, Token
    from nora.catalog.sqlite.engine import Connection
    from nora.model import Digest

_RETRY_UPLOAD_SECONDS = 10
SECRET_BYTES = 32


def find_blob(db: Connection, digest: str) -> tuple[int, str, int, int] | None:
    """Id, sha256, size and generation of the live blob with this digest."""
    query = queries.FIND_BLOB if digest.startswith("sha256:") else queries.FIND_BLOB_BY_ALIAS
    row = db.execute(query, (digest,)).fetchone()
    return row[:4] if row else None


def publish(db: Connection, publication: Publication, lease_seconds: float) -> Blob:
    """See Catalog.publish."""
    now = time.time()
    package = _ensure_package(db, publication.repository_id, publication.package, now)
    _check_references(db, package, publication)
    for tag in publication.tags:
        _check_tag(db, package, publication.version, tag)
    blob = _ensure_linked_blob(db, publication.blob, package, now, lease_seconds)
    version, added = _put_version(db, package, publication, now)
    place = (publication.repository_id, publication.path, publication.path.rpartition("/")[0])
    content = (blob.id, blob.size, publication.media_type)
    db.execute(queries.PUT_FILE, (*place, package, version, *content, now))
    needs = [(version, r.digest, r.role, package) for r in publication.references if r.role != "subject"]
    if needs:
        db.executemany(queries.INSERT_REFERENCE, needs)
    if publication.tags:
        db.executemany(queries.PUT_TAG, [(package, tag.name, version, now) for tag in publication.tags])
    db.execute(queries.TOUCH_PACKAGE, (added, package))
    return blob


def delete_version(db: Connection, repository_id: int, package: str, version: str) -> bool:
    """See Catalog.delete_version. The link of its own bytes goes too, unless the package still needs them."""
    package_id = _find(db, queries.FIND_PACKAGE, (repository_id, package))
    version_id = package_id and _find(db, queries.FIND_VERSION, (package_id, version))
    if not version_id:
        return False
    blobs = db.execute(queries.FIND_VERSION_BLOBS, (version_id,)).fetchall()
    db.execute(queries.DELETE_VERSION, (version_id,))  # tags, files and references by cascade
    for blob_id, digest in blobs:
        if _find(db, queries.HAS_FILE_OF_BLOB, (blob_id, package_id)) is None and (
            _find(db, queries.HAS_REFERENCE, (package_id, digest)) is None
        ):
            db.execute(queries.DELETE_LINK, (package_id, blob_id))
    db.execute(queries.TOUCH_PACKAGE, (-1, package_id))
    return True


def delete_tag(db: Connection, repository_id: int, package: str, tag: str) -> bool:
    """See Catalog.delete_tag."""
    package_id = _find(db, queries.FIND_PACKAGE, (repository_id, package))
    if package_id is None or not db.execute(queries.DELETE_TAG, (package_id, tag)).rowcount:
        return False
    db.execute(queries.TOUCH_PACKAGE, (0, package_id))
    return True


def add_blob(
    db: Connection,
    blob: NewBlob,
    repository_id: int,
    package: str,
    lease_seconds: float,
    upload_id: str | None,
) -> Blob:
    """See Catalog.add_blob."""
    now = time.time()
    if upload_id is not None and not close_upload(db, upload_id):
        raise UploadNotFound("the upload was finished, cancelled or has expired")
    return _ensure_linked_blob(db, blob, _ensure_package(db, repository_id, package, now), now, lease_seconds)


def mount_blob(
    db: Connection,
    digest: Digest,
    sources: Sequence[tuple[int, str]],
    repository_id: int,
    package: str,
    lease_seconds: float,
) -> Blob | None:
    """See Catalog.mount_blob."""
    blob = find_blob(db, digest)
    if blob is None or not any(_holds(db, source, blob[0]) for source in sources):
        return None
    now = time.time()
    return _link(db, _ensure_package(db, repository_id, package, now), blob, now + lease_seconds)


def unlink_blob(db: Connection, repository_id: int, package: str, digest: Digest) -> bool:
    """See Catalog.unlink_blob."""
    package_id = _find(db, queries.FIND_PACKAGE, (repository_id, package))
    blob = find_blob(db, digest)
    return bool(package_id and blob and db.execute(queries.DELETE_LINK, (package_id, blob[0])).rowcount)


def renew_leases(db: Connection, links: Iterable[tuple[int, str, Digest]], lease_seconds: float) -> None:
    """See Catalog.renew_leases."""
    until = time.time() + lease_seconds
    for repository_id, package, digest in links:
        package_id = _find(db, queries.FIND_PACKAGE, (repository_id, package))
        blob = find_blob(db, digest)
        if package_id is not None and blob is not None:
            db.execute(queries.RENEW_LINK, (until, package_id, blob[0], until))


def open_upload(
    db: Connection, upload_id: str, repository_id: int, package: str, algorithm: str, limit: int
) -> Upload:
    """See Catalog.open_upload."""
    if db.execute(queries.COUNT_UPLOADS).fetchone()[0] >= limit:
        raise TooManyRequests(f"all {limit} upload sessions are in use", _RETRY_UPLOAD_SECONDS)
    now = time.time()
    package_id = _ensure_package(db, repository_id, package, now)
    db.execute(queries.INSERT_UPLOAD, (upload_id, package_id, algorithm, "{}", now, now))
    return Upload(upload_id, repository_id, package, algorithm, 0, {}, now)


def save_upload(db: Connection, upload_id: str, offset: int, hashes: dict[str, str]) -> bool:
    """See Catalog.save_upload."""
    values = (offset, orjson.dumps(hashes).decode(), time.time(), upload_id)
    return bool(db.execute(queries.SAVE_UPLOAD, values).rowcount)


def close_upload(db: Connection, upload_id: str) -> bool:
    """See Catalog.close_upload."""
    return bool(db.execute(queries.DELETE_UPLOAD, (upload_id,)).rowcount)


def add_token(db: Connection, token: Token) -> None:
    """See Catalog.add_token."""
    db.execute(queries.INSERT_TOKEN, row_of(token))


def revoke_token(db: Connection, token_id: str, user: str | None) -> bool:
    """See Catalog.revoke_token."""
    if user is None:
        return db.execute(queries.DELETE_TOKEN, (token_id,)).rowcount > 0
    return db.execute(queries.DELETE_TOKEN_OF_OWNER, (token_id, user)).rowcount > 0


def note_token_uses(db: Connection, uses: Mapping[str, float]) -> None:
    """See Catalog.note_token_uses: of two times the later one stays."""
    db.executemany(queries.NOTE_TOKEN_USE, [(when, token_id, when) for token_id, when in uses.items()])


def make_secret(db: Connection, name: str) -> bytes:
    """The secret of this name, made if there is none: under the write lock, so that there is one only."""
    db.execute(queries.INSERT_SECRET, (name, os.urandom(SECRET_BYTES)))
    value: bytes = db.execute(queries.FIND_SECRET, (name,)).fetchone()[0]
    return value


def probe(db: Connection) -> None:
    """Write something that is never read."""
    db.execute(queries.WRITE_PROBE, (time.time(),))


# -- parts -------------------------------------------------------------------------------------------------


def _find(db: Connection, query: str, values: tuple[object, ...]) -> int | None:
    row = db.execute(query, values).fetchone()
    return row[0] if row else None


def _ensure_package(db: Connection, repository_id: int, name: str, now: float) -> int:
    found = _find(db, queries.FIND_PACKAGE, (repository_id, name))
    if found is None:
        found = _find(db, queries.INSERT_PACKAGE, (name, now, repository_id))
    assert found is not None, f"there is no repository {repository_id}"
    return found


def _holds(db: Connection, source: tuple[int, str], blob_id: int) -> bool:
    package_id = _find(db, queries.FIND_PACKAGE, source)
    return package_id is not None and _find(db, queries.HAS_LINK, (package_id, blob_id)) is not None


def _ensure_linked_blob(
    db: Connection, new: NewBlob | Blob, package: int, now: float, lease_seconds: float
) -> Blob:
    blob = find_blob(db, new.digest)
    if isinstance(new, Blob):
        if blob is None or blob[0] != new.id:
            raise BlobNotFound(f"{new.digest} is not there any more")
        return _link(db, package, blob, now + lease_seconds)
    if blob is None:
        values = (new.digest, new.size, new.xxh3, new.generation, now)
        blob = (db.execute(queries.INSERT_BLOB, values).fetchone()[0], new.digest, new.size, new.generation)
    for alias in new.aliases:
        db.execute(queries.INSERT_ALIAS, (alias, blob[0]))
    return _link(db, package, blob, now + lease_seconds)


def _link(db: Connection, package: int, blob: tuple[int, str, int, int], lease_until: float) -> Blob:
    row = db.execute(queries.PUT_LINK, (package, blob[0], lease_until)).fetchone()
    return blob_of(*blob, row[0])


def _check_references(db: Connection, package: int, publication: Publication) -> None:
    missing: dict[str, None] = {}
    for reference in publication.references:
        if reference.required and not _has_content(db, package, reference.digest):
            missing[reference.digest] = None
    if missing:
        raise MissingReferences(tuple(missing))


def _has_content(db: Connection, package: int, digest: str) -> bool:
    blob = find_blob(db, digest)
    return blob is not None and _find(db, queries.HAS_LINK, (package, blob[0])) is not None


def _check_tag(db: Connection, package: int, version: str, tag: TagWrite) -> None:
    if tag.replace and tag.expected is None:
        return
    row = db.execute(queries.FIND_TAG, (package, tag.name)).fetchone()
    current: str = row[0] if row else ""
    if tag.expected is not None and current != tag.expected and not (tag.expected == "*" and current):
        raise PreconditionFailed(f"the tag {tag.name} points to {current or 'nothing'}")
    if not tag.replace and current not in ("", version):
        raise Conflict(f"the tag {tag.name} points to {current} and may not be moved")


def _put_version(db: Connection, package: int, publication: Publication, now: float) -> tuple[int, int]:
    """The id of the version, and how many the package has gained: 1 or 0."""
    subject = next((r.digest for r in publication.references if r.role == "subject"), None)
    version = _find(db, queries.FIND_VERSION, (package, publication.version))
    if version is not None:
        values = (publication.artifact_type, subject, now, publication.document, version)
        db.execute(queries.RENEW_VERSION, values)
        db.execute(queries.CLEAR_REFERENCES, (version,))
        return version, 0
    row = db.execute(
        queries.INSERT_VERSION,
        (package, publication.version, publication.artifact_type, subject, now, now, publication.document),
    ).fetchone()
    return row[0], 1
