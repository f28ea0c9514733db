"""Importing what another NORA has fetched, beside what is here: objects first, then the rows, newest document
wins. What is there already is not written again, so whoever was interrupted runs it again.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace
from math import isinf
from typing import TYPE_CHECKING, Final

from nora._speedups import Hasher
from nora.blobs.files import LockedTempFile
from nora.blobs.hashes import new_generation
from nora.blobs.layout import DIRECTORY_MODE, FILE_MODE
from nora.catalog.records import Blob, NewBlob
from nora.catalog.sqlite.caches import CachedRows
from nora.catalog.sqlite.schema import SCHEMA_VERSION
from nora.errors import BlobNotFound, Blocked, CatalogUnusable, StorageFailed
from nora.upkeep.backups.archive import translated
from nora.upkeep.backups.manifest import (
    CATALOG,
    MOST_NAMED,
    BackupFailed,
    Checked,
    Opened,
    Source,
    parse_object_name,
)
from nora.upkeep.backups.reading import Reading
from nora.upkeep.backups.restore import copy_member

if TYPE_CHECKING:
    from io import BufferedReader

    from nora.blobs.layout import Layout
    from nora.blobs.local import LocalBlobStore
    from nora.blobs.s3 import S3BlobStore
    from nora.catalog.base import Catalog
    from nora.catalog.records import NewCached, Release
    from nora.catalog.sqlite.caches import CachedPackage, CachedRepository
    from nora.model import Digest, Repository
    from nora.upkeep.progress import Progress

AT_ONCE: Final = 8
"""Objects on their way into the store, and packages on theirs into the catalog."""
USES: Final = 500
"""In one change of the catalog."""


@dataclass(slots=True)
class Imported:
    """What an import has done."""

    checked: Checked
    written: int = 0
    """Blobs that were not here before."""
    files: int = 0
    """Files and documents that are new here, or newer than those that were."""
    known: int = 0
    """Files and documents that were here, or newer here."""
    left_out: list[str] = field(default_factory=list)
    """What is not here now and why, as far as MOST_NAMED."""
    missing: int = 0
    """How many these are."""

    def leave_out(self, what: str, count: int = 1) -> None:
        """It is not imported."""
        self.missing += count
        if len(self.left_out) < MOST_NAMED:
            self.left_out.append(what)


class Import:
    """One import into a store that may be in use. No object may be removed meanwhile: the removal lock is
    held."""

    def __init__(
        self,
        catalog: Catalog,
        store: LocalBlobStore | S3BlobStore,
        layout: Layout,
        proxies: Mapping[str, Repository],
        progress: Progress,
        *,
        lease_seconds: float,
        keep_going: bool,
    ) -> None:
        """`proxies` are the repositories that may be filled, by name. `keep_going`: without what is
        damaged."""
        self._catalog = catalog
        self._store = store
        self._layout = layout
        self._proxies = proxies
        self._progress = progress
        self._lease = lease_seconds
        self._keep_going = keep_going
        self._workspace = layout.catalog.with_name(layout.catalog.name + ".import")
        self._rows_file = self._workspace / CATALOG
        self._brought: dict[bytes, int] = {}
        """Generations of objects that are here without a row, by sha256."""
        self._puts: set[asyncio.Task[None]] = set()
        self._uses: dict[int, float] = {}
        self._objects_wrong = 0

    async def run(self, source: Source) -> Imported:
        """Do it. Raises BackupFailed, StorageFailed, StorageFull; no row was written then but of whole
        packages."""
        reading = await asyncio.to_thread(Reading, source, self._progress)
        _check_suitable(reading)
        self._done = Imported(reading.checked)
        try:
            try:
                await self._read_all(reading)
                await self._wait_for_puts(0)
            finally:
                for put in self._puts:
                    put.cancel()
                await asyncio.gather(*self._puts, return_exceptions=True)
            if reading.checked.wrong > self._objects_wrong:
                raise BackupFailed("\n".join(reading.checked.problems))
            await self._merge()
        finally:
            await asyncio.to_thread(shutil.rmtree, self._workspace, ignore_errors=True)
        return self._done

    # -- objects -----------------------------------------------------------------------------------

    async def _read_all(self, reading: Reading) -> None:
        members = reading.members()
        while (member := await asyncio.to_thread(next, members, None)) is not None:
            named = parse_object_name(member.name)
            if named is not None:
                await self._take_object(reading, member, *named)
            elif member.name == CATALOG:
                await asyncio.to_thread(self._take_rows, reading, member)
            else:
                await asyncio.to_thread(reading.take, member)

    async def _take_object(self, reading: Reading, member: Opened, digest: Digest, generation: int) -> None:
        """Compare the bytes of an object, and put them into the store unless they are there."""
        live = await self._catalog.find_blob(digest)
        if live is not None and not await self._store.looks_damaged(live):
            await self._compare(reading, member, None, Hasher())
            return
        there = Blob(0, digest, member.size, generation)
        if await self._catalog.find_objects([(digest, generation)]):
            there = Blob(0, digest, member.size, new_generation())  # that name goes with another row
        elif live is None and not await self._store.looks_damaged(there):  # of a run that was interrupted
            if await self._compare(reading, member, None, Hasher()):
                self._brought[bytes.fromhex(digest.encoded)] = generation
            return
        await asyncio.to_thread(self._store.disk.require_room, member.size)
        copy = LockedTempFile(self._layout.temp(new_generation()))
        hasher, is_given = Hasher("sha256"), False
        try:
            if await self._compare(reading, member, copy, hasher):
                await self._wait_for_puts(AT_ONCE - 1)
                new = NewBlob(digest, member.size, hasher.xxh3(), there.generation)
                self._puts.add(asyncio.ensure_future(self._put(copy, new, live)))
                is_given = True
        finally:
            if copy.made and not is_given:
                copy.discard()

    async def _compare(
        self, reading: Reading, member: Opened, copy: LockedTempFile | None, hasher: Hasher
    ) -> bool:
        """Whether a member is whole; its bytes are in `copy` then. Raises BackupFailed where it has to be."""
        problem = await asyncio.to_thread(copy_member, reading, member, copy, hasher)
        if problem:
            self._objects_wrong += 1
            if not self._keep_going:
                raise BackupFailed(f"{problem} (--keep-going imports all that is whole)")
        return not problem

    async def _put(self, copy: LockedTempFile, new: NewBlob, live: Blob | None) -> None:
        try:
            await self._store.remove(new)  # what is there under this name is damaged
            await self._store.adopt(copy, new)
        finally:
            copy.discard()
        self._done.written += 1
        self._brought[bytes.fromhex(new.digest.encoded)] = new.generation
        if live is not None:  # its object is lost
            await self._catalog.replace_object(live, new)

    async def _wait_for_puts(self, most: int) -> None:
        while len(self._puts) > most:
            done, self._puts = await asyncio.wait(self._puts, return_when=asyncio.FIRST_COMPLETED)
            for put in done:
                put.result()

    def _take_rows(self, reading: Reading, member: Opened) -> None:
        shutil.rmtree(self._workspace, ignore_errors=True)  # a killed one has left it
        with translated():
            self._workspace.mkdir(DIRECTORY_MODE)
        with translated(), open(self._rows_file, "xb", opener=_for_owner) as file:
            reading.take(member, file.write)

    # -- rows --------------------------------------------------------------------------------------

    async def _merge(self) -> None:
        try:
            rows = await asyncio.to_thread(CachedRows, self._rows_file)
            repositories = await asyncio.to_thread(rows.repositories)
            self._progress.expect(int(sum(one.size for one in repositories)), "rows")
            for one in repositories:
                await self._merge_repository(rows, one)
        except CatalogUnusable as error:
            raise BackupFailed(str(error)) from error
        uses = list(self._uses.items())
        for start in range(0, len(uses), USES):
            await self._catalog.note_file_uses(dict(uses[start : start + USES]))
        await self._catalog.check()  # durable, and so is all before it

    async def _merge_repository(self, rows: CachedRows, one: CachedRepository) -> None:
        target = self._proxies.get(one.name)
        if target is None or target.format != one.format:
            if one.files:
                told = f"{one.files} files of {one.name}: this NORA has no such source of {one.format}"
                self._done.leave_out(f"{told} (have it in the configuration, and import again)", one.files)
            return
        names = await asyncio.to_thread(rows.absences, one.id)
        for start in range(0, len(names), USES):
            await self._catalog.note_absences([(target.id, name) for name in names[start : start + USES]])
        waiting: set[asyncio.Task[None]] = set()
        packages = rows.packages(one.id, target.id)
        try:
            while (package := await asyncio.to_thread(next, packages, None)) is not None:
                waiting.add(asyncio.ensure_future(self._merge_package(target, package)))
                waiting = await _finished(waiting, AT_ONCE - 1)
            await _finished(waiting, 0)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        alone = rows.alone(one.id)
        while (entry := await asyncio.to_thread(next, alone, None)) is not None:
            await self._guarded(one.name, entry.path, self._merge_entry(target.id, entry))

    async def _merge_package(self, target: Repository, package: CachedPackage) -> None:
        """What a version needs comes before it, and the documents that lead there last."""
        place = target.id, package.name
        for blob in package.held:
            await self._guarded(target.name, f"{package.name} {blob.digest}", self._hold(place, blob))
        for release in package.releases:
            what = f"{package.name} {release.version}"
            await self._guarded(target.name, what, self._merge_release(release))
        for entry in package.entries:
            await self._guarded(target.name, entry.path, self._merge_entry(target.id, entry))
        if package.document is not None and package.document != b"{}":
            await self._catalog.update_package(*place, package.document, before=b"{}")

    async def _guarded(self, repository: str, what: str, merging: Awaitable[None]) -> None:
        try:
            await merging
        except (_LeftOut, Blocked) as error:
            self._done.leave_out(f"{repository}: {what}: {error}")
        except BlobNotFound:
            self._done.leave_out(f"{repository}: {what}: its bytes were removed here meanwhile: import again")

    async def _hold(self, place: tuple[int, str], blob: NewBlob) -> None:
        if await self._catalog.find_linked_blob(*place, blob.digest) is None:
            await self._catalog.add_blob(await self._stored(blob, place), *place, self._lease)

    async def _merge_release(self, release: Release) -> None:
        self._progress.advance(sum(one.blob.size for one in release.files))
        there = [await self._catalog.find_file(release.repository_id, file.path) for file in release.files]
        is_here = all(
            one is not None and one.blob.digest == file.blob.digest
            for one, file in zip(there, release.files, strict=True)
        )
        if not is_here:
            place = release.repository_id, release.package
            files = [replace(one, blob=await self._stored(one.blob, place)) for one in release.files]
            await self._catalog.publish(replace(release, files=tuple(files)), self._lease)
        self._count(len(release.files), is_new=not is_here)
        for file in release.files:
            found = await self._catalog.find_file(release.repository_id, file.path)
            if found is not None:
                self._uses[found.id] = time.time()

    async def _merge_entry(self, repository: int, entry: NewCached) -> None:
        self._progress.advance(entry.blob.size)
        here = await self._catalog.find_cached(repository, entry.path)
        is_same = here is not None and here.blob.digest == entry.blob.digest
        if here is not None and not is_same and isinf(here.fresh_until):
            raise _LeftOut(f"it has other bytes here, {here.blob.digest}, which stay")
        is_new = here is None or entry.fetched_at > here.fetched_at
        if is_new:
            place = None if entry.package is None else (repository, entry.package)
            stored = await self._stored(entry.blob, place)
            await self._catalog.put_cached(repository, replace(entry, blob=stored), self._lease)
            here = await self._catalog.find_cached(repository, entry.path)
        self._count(1, is_new=is_new)
        if here is not None:
            self._uses[here.id] = time.time()

    def _count(self, files: int, *, is_new: bool) -> None:
        if is_new:
            self._done.files += files
        else:
            self._done.known += files

    async def _stored(self, blob: NewBlob | Blob, place: tuple[int, str] | None) -> NewBlob | Blob:
        """A blob of the archive as it is here: the row that there is, or what is to become one."""
        assert isinstance(blob, NewBlob), "of a row of the archive"
        live = await self._catalog.find_blob(blob.digest)
        generation = self._brought.get(bytes.fromhex(blob.digest.encoded))
        if live is not None:
            if not blob.aliases or place is None:
                return live
            await self._catalog.add_blob(live, *place, self._lease)  # from here on it stays
            generation = live.generation
        if generation is None:
            raise _LeftOut("its bytes are not in the archive")
        new = NewBlob(blob.digest, blob.size, blob.xxh3, generation)
        return new if not blob.aliases else await self._named(new, blob.aliases)

    async def _named(self, new: NewBlob, aliases: tuple[Digest, ...]) -> NewBlob:
        """With its other digests, once they are found to be right: others serve bytes by them."""

        def compare(path: str) -> bool:
            with open(path, "rb") as file:
                return all(_is_digest_of(one, file) for one in aliases)

        try:
            async with self._store.local_copy(new) as path:
                is_right = await asyncio.to_thread(compare, path)
        except OSError as error:
            raise StorageFailed(f"{new.digest} cannot be read: {error.strerror}") from error
        if not is_right:
            raise _LeftOut("the archive gives it another digest than its bytes have")
        return NewBlob(new.digest, new.size, new.xxh3, new.generation, aliases)


class _LeftOut(Exception):
    """Something cannot be imported; the message says why."""


def _check_suitable(reading: Reading) -> None:
    header = reading.header
    if not header.is_cache:
        raise BackupFailed(
            "this is a backup of a whole store, not an export of what was mirrored: put it back by "
            "`nora restore`, or make an archive by `nora mirror export`"
        )
    if header.schema > SCHEMA_VERSION:
        raise BackupFailed(
            f"the archive has schema version {header.schema}, this NORA knows versions up to "
            f"{SCHEMA_VERSION}: import it with the NORA that made it, or a newer one"
        )


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, FILE_MODE)


def _is_digest_of(digest: Digest, file: BufferedReader) -> bool:
    file.seek(0)
    return hashlib.file_digest(file, digest.algorithm).hexdigest() == digest.encoded


async def _finished(waiting: set[asyncio.Task[None]], most: int) -> set[asyncio.Task[None]]:
    """Those that are not done, when at most so many are left. Raises what one of them has raised."""
    while len(waiting) > most:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    return waiting
