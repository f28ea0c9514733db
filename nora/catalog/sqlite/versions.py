"""Versions: how a release becomes visible, what is listed of it, and how it goes."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

import orjson

from nora.catalog.records import NO_PACKAGE, Version, VersionAbout
from nora.catalog.sqlite import queries
from nora.catalog.sqlite.blobs import digests_of, ensure_blob, find_blob, let_go, link
from nora.catalog.sqlite.events import record
from nora.catalog.sqlite.executor import Executor
from nora.catalog.sqlite.files import find_occupant, is_there, release_former, write_file
from nora.catalog.sqlite.packages import ensure_package, find_id
from nora.catalog.sqlite.quotas import within_quota
from nora.catalog.sqlite.read_cache import RECENT_ANSWERS, ReadCache
from nora.catalog.sqlite.rows import blob_of, version_of
from nora.catalog.sqlite.tags import check_kept, check_tag
from nora.errors import Conflict, MissingReferences, PackageChanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from nora.catalog.records import Blob, Release
    from nora.catalog.sqlite.engine import Connection


LIVE = "live"
"""The state of a version of which nothing is said."""


class Versions(Executor):
    """The methods of nora.catalog.versions.Versions."""

    async def publish(self, release: Release, lease_seconds: float) -> list[Blob]:
        versions = (release.version, *(tag.name for tag in release.tags))
        digests = [digest for file in release.files for digest in digests_of(file.blob)]
        digests += [one.digest for one in release.references if one.required]
        self.blocks().check(release.repository_id, release.package, versions, digests)
        touched = {release.package, *(file.path for file in release.files)}

        def change(db: Connection) -> list[Blob]:
            with within_quota(db, release.repository_id):
                return publish(db, release, lease_seconds)

        return await self._write(
            change,
            *((release.repository_id, name) for name in touched),
            slots=self._slots_of_digests(*(file.blob for file in release.files)),
        )

    async def list_versions(self, repository_id: int, package: str) -> list[Version]:
        return await self._listing(queries.LIST_VERSIONS, repository_id, package, version_of)

    async def update_version(
        self, repository_id: int, package: str, version: str, *, state: str | None, document: bytes | None
    ) -> bool:
        place = (repository_id, package)
        return await self._write(lambda db: update_version(db, place, version, state, document), place)

    async def delete_version(
        self,
        repository_id: int,
        package: str,
        version: str,
        *,
        same_bytes: bool = False,
        kept: Callable[[str], bool] | None = None,
    ) -> bool:
        place = (repository_id, package)
        return await self._write(lambda db: delete_version(db, place, version, same_bytes, kept), place)

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
        sizes = self._rows(
            queries.LIST_SIZES_ABOUT, (subject, after, repository_id, package, kind, kind, limit + 1)
        )
        count = total = 0
        for _, size in sizes[:limit]:
            total += size
            if count and total > max_bytes:
                break
            count += 1
        if not count:
            return [], False
        rows = self._rows(
            queries.LIST_VERSIONS_ABOUT,
            (subject, after, sizes[count - 1][0], repository_id, package, kind, kind),
        )
        return [VersionAbout(*row) for row in rows], count < len(sizes)

    async def has_reference(self, repository_id: int, package: str, digest: str) -> bool:
        key = (repository_id, package, digest)
        values = (digest, repository_id, package)
        return self._cached_read(self._recent_references, key, queries.FIND_REFERENCE, values, bool) or False

    @cached_property
    def _recent_references(self) -> ReadCache[bool]:
        return ReadCache(self._epochs, RECENT_ANSWERS)


# -- inside of a transaction -------------------------------------------------------------------------------


def publish(db: Connection, release: Release, lease_seconds: float) -> list[Blob]:
    """See Versions.publish."""
    repository_id, files = release.repository_id, release.files
    there: list[bool] = []
    for file in files:
        there.append(not release.replace and is_there(db, repository_id, file))
        if there[0]:
            return [_blob_at(db, repository_id, one.path) for one in files]
    if release.seen is not None:
        _check_seen(db, release, release.seen)
    now = time.time()
    package = ensure_package(db, repository_id, release.package, now)
    _check_references(db, package, release)
    for tag in release.tags:
        check_tag(db, package, release.version, tag)
    blobs = [link(db, package, ensure_blob(db, file.blob, now), now + lease_seconds) for file in files]
    version, added = _put_version(db, package, release, now)
    gained = bool(added)
    for file, blob, is_there_already in zip(files, blobs, there, strict=True):
        if not is_there_already:
            former = None if added else find_occupant(db, repository_id, file.path)
            write_file(db, repository_id, file, (package, version), blob, now)
            is_other = former is None or (former.version_id, former.blob_id) != (version, blob.id)
            gained = gained or is_other
            if former is not None and is_other:
                release_former(db, former)
    if release.tags:
        db.executemany(queries.PUT_TAG, [(package, tag.name, version, now) for tag in release.tags])
    db.execute(queries.TOUCH_PACKAGE, (added, package))
    _record(db, release, blobs, added=bool(added), gained=gained)
    return blobs


def _record(db: Connection, release: Release, blobs: list[Blob], *, added: bool, gained: bool) -> None:
    """Write the event of a release: of one that an upstream had, when it is there for the first time."""
    if find_id(db, queries.IS_PROXY, (release.repository_id,)) is not None:
        kind = "cached" if added else ""
    else:
        kind = "published" if gained else "tagged" if release.tags else ""
    if kind:
        record(
            db,
            kind,
            release.repository_id,
            release.package,
            release.version,
            path=release.files[0].path if release.files else "",
            digest=blobs[0].digest if blobs else "",
            size=sum(blob.size for blob in blobs),
            files=len(blobs),
            tags=[tag.name for tag in release.tags],
        )


def ensure_version(db: Connection, package: int, name: str, now: float) -> tuple[int, int]:
    """The id of a version that gets a file, and how many the package has gained: 1 or 0."""
    found = find_id(db, queries.FIND_VERSION, (package, name))
    if found is not None:
        return found, 0
    row = db.execute(queries.INSERT_VERSION, (package, name, None, None, now, now, b"{}")).fetchone()
    return row[0], 1


def update_version(
    db: Connection, place: tuple[int, str], version: str, state: str | None, document: bytes | None
) -> bool:
    """See Versions.update_version."""
    package = find_id(db, queries.FIND_PACKAGE, place)
    former = package and db.execute(queries.FIND_VERSION_STATE, (package, version)).fetchone()
    if not former:
        return False
    db.execute(queries.UPDATE_VERSION, (state, document, package, version))
    db.execute(queries.TOUCH_PACKAGE, (0, package))
    if state is not None and state != former[0]:
        record(db, f"un{former[0]}" if state == LIVE else state, *place, version)
    return True


def delete_version(
    db: Connection,
    place: tuple[int, str],
    version: str,
    same_bytes: bool,
    kept: Callable[[str], bool] | None,
) -> bool:
    """See Versions.delete_version. The links of its bytes go too, unless the package still needs them."""
    package_id = find_id(db, queries.FIND_PACKAGE, place)
    version_id = package_id and find_id(db, queries.FIND_VERSION, (package_id, version))
    if not package_id or not version_id:
        return False
    chosen = {version_id: version}
    if same_bytes:
        chosen |= dict(db.execute(queries.FIND_VERSIONS_ALIKE, (package_id, version_id)).fetchall())
    if kept is not None:
        check_kept(db, package_id, [*chosen.values()], kept)
    for one in chosen:
        blobs = db.execute(queries.FIND_VERSION_BLOBS, (one,)).fetchall()
        db.execute(queries.DELETE_VERSION, (one,))  # tags, files and references by cascade
        for blob_id, _ in blobs:
            let_go(db, package_id, blob_id)
        record(db, "deleted", *place, chosen[one], digest=blobs[0][1] if blobs else "", files=len(blobs))
    db.execute(queries.TOUCH_PACKAGE, (-len(chosen), package_id))
    return True


def _blob_at(db: Connection, repository_id: int, path: str) -> Blob:
    """The blob of a path of a release that is out already."""
    occupant = find_occupant(db, repository_id, path)
    blob = occupant and find_blob(db, occupant.digest)
    if not blob:
        raise Conflict(f"{path} was deleted, and the release that it was of is there still")
    return blob_of(*blob, 0.0)


def _check_seen(db: Connection, release: Release, seen: int) -> None:
    row = db.execute(queries.GET_PACKAGE, (release.repository_id, release.package)).fetchone()
    if (NO_PACKAGE if row is None else row[3]) != seen:
        raise PackageChanged(f"{release.package} has changed meanwhile: try again")


def _check_references(db: Connection, package: int, release: Release) -> None:
    wanted = dict.fromkeys(one.digest for one in release.references if one.required)
    if wanted:
        # One statement, however many there are: at each the interpreter lock is waited for, which other
        # writers, of all processes, would wait for, too
        row = db.execute(queries.LIST_MISSING, (package, orjson.dumps([*wanted]).decode())).fetchone()
        if missing := orjson.loads(row[0]):
            raise MissingReferences(tuple(missing))


def _put_version(db: Connection, package: int, release: Release, now: float) -> tuple[int, int]:
    """The id of the version, and how many the package has gained: 1 or 0."""
    about, document = (release.kind, release.subject), release.document or b"{}"
    version = find_id(db, queries.FIND_VERSION, (package, release.version))
    if version is None:
        values = (package, release.version, *about, now, now, document)
        added = db.execute(queries.INSERT_VERSION, values).fetchone()[0]
        _put_references(db, package, added, release)
        return added, 1
    if release.replace:
        db.execute(queries.RENEW_VERSION, (*about, now, document, version))
        db.execute(queries.CLEAR_REFERENCES, (version,))
        _put_references(db, package, version, release)
    elif release.document is not None:
        current = db.execute(queries.FIND_VERSION_DOCUMENT, (version,)).fetchone()[0]
        if current != release.document:
            raise Conflict(f"{release.version} is there already, and differs")
    return version, 0


def _put_references(db: Connection, package: int, version: int, release: Release) -> None:
    if release.references:
        rows = orjson.dumps([(one.digest, one.role) for one in release.references]).decode()
        db.execute(queries.INSERT_REFERENCES, (version, package, rows))
