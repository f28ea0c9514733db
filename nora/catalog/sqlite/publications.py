"""Versions with one file each, the tags that point to them, and what they refer to."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

from nora.catalog.records import Blob, File, VersionAbout
from nora.catalog.sqlite import queries
from nora.catalog.sqlite.blobs import ensure_blob, find_blob, let_go, link
from nora.catalog.sqlite.executor import Executor
from nora.catalog.sqlite.files import place_of
from nora.catalog.sqlite.packages import ensure_package, find_id
from nora.catalog.sqlite.read_cache import RECENT_ANSWERS, ReadCache
from nora.catalog.sqlite.rows import file_of
from nora.errors import Conflict, MissingReferences, PreconditionFailed

if TYPE_CHECKING:
    from nora.catalog.records import Publication, TagWrite
    from nora.catalog.sqlite.engine import Connection
    from nora.model import Digest


class Publications(Executor):
    """The methods of nora.catalog.base.Catalog about publishing, tags and references."""

    async def find_tagged_file(self, repository_id: int, package: str, tag: str) -> File | None:
        key = (repository_id, package, tag)
        values = (tag, repository_id, package)
        return self._cached_read(self._recent_tags, key, queries.FIND_TAGGED_FILE, values, file_of)

    async def find_version_file(self, repository_id: int, package: str, digest: Digest) -> File | None:
        direct = digest.startswith("sha256:")
        query = queries.FIND_VERSION_FILES if direct else queries.FIND_VERSION_FILES_BY_ALIAS
        rows = self._rows(query, (digest, repository_id, package))
        if len(rows) > 1:  # published under two digests: the one that was asked for
            rows.sort(key=lambda row: row[4] != digest)
        return file_of(*rows[0]) if rows else None

    async def list_tags(self, repository_id: int, package: str, after: str, limit: int) -> list[str]:
        return [name for (name,) in self._rows(queries.LIST_TAGS, (after, repository_id, package, limit))]

    async def list_versions_about(
        self,
        repository_id: int,
        package: str,
        subject: str,
        kind: str | None,
        after: str,
        limit: int,
    ) -> list[VersionAbout]:
        if kind is None:
            rows = self._rows(queries.LIST_VERSIONS_ABOUT, (subject, after, repository_id, package, limit))
        else:
            values = (subject, after, repository_id, package, kind, limit)
            rows = self._rows(queries.LIST_VERSIONS_ABOUT_OF_KIND, values)
        return [VersionAbout(*row) for row in rows]

    async def has_reference(self, repository_id: int, package: str, digest: str) -> bool:
        key = (repository_id, package, digest)
        values = (digest, repository_id, package)
        return self._cached_read(self._recent_references, key, queries.FIND_REFERENCE, values, bool) or False

    async def publish(self, publication: Publication, lease_seconds: float) -> Blob:
        repository_id = publication.repository_id
        return await self._write(
            lambda db: publish(db, publication, lease_seconds),
            (repository_id, publication.package),
            (repository_id, publication.path),
        )

    async def delete_version(self, repository_id: int, package: str, version: str) -> bool:
        return await self._write(
            lambda db: delete_version(db, repository_id, package, version), (repository_id, package)
        )

    async def delete_tag(self, repository_id: int, package: str, tag: str) -> bool:
        return await self._write(
            lambda db: delete_tag(db, repository_id, package, tag), (repository_id, package)
        )

    @cached_property
    def _recent_tags(self) -> ReadCache[File]:
        return ReadCache(self._epochs, RECENT_ANSWERS)

    @cached_property
    def _recent_references(self) -> ReadCache[bool]:
        return ReadCache(self._epochs, RECENT_ANSWERS)


# -- inside of a transaction -------------------------------------------------------------------------------


def publish(db: Connection, publication: Publication, lease_seconds: float) -> Blob:
    """See Catalog.publish."""
    now = time.time()
    package = ensure_package(db, publication.repository_id, publication.package, now)
    _check_references(db, package, publication)
    for tag in publication.tags:
        _check_tag(db, package, publication.version, tag)
    blob = link(db, package, ensure_blob(db, publication.blob, now), now + lease_seconds)
    version, added = _put_version(db, package, publication, now)
    place = place_of(publication.repository_id, publication.path)
    content = (blob.id, blob.size, publication.media_type)
    db.execute(queries.PUT_FILE, (*place, package, version, *content, now))
    needs = [(version, r.digest, r.role, package) for r in publication.references]
    if needs:
        db.executemany(queries.INSERT_REFERENCE, needs)
    if publication.tags:
        db.executemany(queries.PUT_TAG, [(package, tag.name, version, now) for tag in publication.tags])
    db.execute(queries.TOUCH_PACKAGE, (added, package))
    return blob


def delete_version(db: Connection, repository_id: int, package: str, version: str) -> bool:
    """See Catalog.delete_version. The link of its own bytes goes too, unless the package still needs them."""
    package_id = find_id(db, queries.FIND_PACKAGE, (repository_id, package))
    version_id = package_id and find_id(db, queries.FIND_VERSION, (package_id, version))
    if not package_id or not version_id:
        return False
    blobs = db.execute(queries.FIND_VERSION_BLOBS, (version_id,)).fetchall()
    db.execute(queries.DELETE_VERSION, (version_id,))  # tags, files and references by cascade
    for blob_id, digest in blobs:
        let_go(db, package_id, blob_id, digest)
    db.execute(queries.TOUCH_PACKAGE, (-1, package_id))
    return True


def delete_tag(db: Connection, repository_id: int, package: str, tag: str) -> bool:
    """See Catalog.delete_tag."""
    package_id = find_id(db, queries.FIND_PACKAGE, (repository_id, package))
    if package_id is None or not db.execute(queries.DELETE_TAG, (package_id, tag)).rowcount:
        return False
    db.execute(queries.TOUCH_PACKAGE, (0, package_id))
    return True


def _check_references(db: Connection, package: int, publication: Publication) -> None:
    missing: dict[str, None] = {}
    for reference in publication.references:
        if reference.required and not _has_content(db, package, reference.digest):
            missing[reference.digest] = None
    if missing:
        raise MissingReferences(tuple(missing))


def _has_content(db: Connection, package: int, digest: str) -> bool:
    blob = find_blob(db, digest)
    return blob is not None and find_id(db, queries.HAS_LINK, (package, blob[0])) is not None


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
    version = find_id(db, queries.FIND_VERSION, (package, publication.version))
    if version is not None:
        values = (publication.kind, publication.subject, now, publication.document, version)
        db.execute(queries.RENEW_VERSION, values)
        db.execute(queries.CLEAR_REFERENCES, (version,))
        return version, 0
    row = db.execute(
        queries.INSERT_VERSION,
        (package, publication.version, publication.kind, publication.subject, now, now, publication.document),
    ).fetchone()
    return row[0], 1
