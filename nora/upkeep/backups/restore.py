"""Putting a backup back: blobs first, the catalog last, so that a store which looks whole is whole.

What was put back before, and is right, is not written again: whoever was interrupted runs it again.
Until the end `restore.partial` is in the data directory, and no server starts there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nora._speedups import Hasher
from nora.blobs.files import LockedTempFile
from nora.blobs.hashes import new_generation
from nora.blobs.layout import FILE_MODE
from nora.catalog.records import Blob, NewBlob
from nora.catalog.sqlite.schema import SCHEMA_VERSION
from nora.catalog.sqlite.snapshots import SECRET_TABLES, Snapshot
from nora.errors import Conflict, StorageFailed
from nora.upkeep.backups.archive import sync_directory, translated
from nora.upkeep.backups.manifest import (
    CATALOG,
    BackupFailed,
    Checked,
    Opened,
    Source,
    parse_object_name,
)
from nora.upkeep.backups.reading import Reading
from nora.upkeep.backups.sealing import Passphrase, as_bytes

if TYPE_CHECKING:
    from nora.blobs.intake import Intake
    from nora.blobs.layout import Layout
    from nora.upkeep.progress import Progress

AT_ONCE: Final = 8
"""Objects on their way into the store."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a backup is to be put back."""

    replace: bool = False
    """Whatever is stored: its catalog is put aside."""
    keep_going: bool = False
    """Whatever of the blobs is damaged: the others are put back."""
    passphrase: Passphrase | None = None
    without_secrets: bool = False


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back."""

    checked: Checked
    written: int
    """Blobs that were not there already."""
    put_aside: Path | None
    """The catalog that was there before."""
    more_secrets: Mapping[str, Any]
    """What was sealed beside the rows of the catalog."""


class Restore:
    """One restore into a data directory that nobody else uses: its lock is held."""

    def __init__(
        self,
        layout: Layout,
        store: Intake,
        progress: Progress,
        find_object: Callable[[], str | None],
        wanted: Wanted,
    ) -> None:
        """`store` need not sync: that is done at the end, for all of it."""
        self._layout = layout
        self._store = store
        self._progress = progress
        self._find_object = find_object
        self._wanted = wanted
        self._written = 0
        self._objects_wrong = 0
        self._puts: set[asyncio.Task[None]] = set()
        self._restored = Snapshot(layout.catalog.with_name(layout.catalog.name + ".restored"))
        self._secrets: dict[str, Any] = {}

    async def run(self, source: Source) -> Restored:
        """Do it. Raises BackupFailed, Conflict for a store that is not empty, StorageFailed."""
        reading = await asyncio.to_thread(Reading, source, self._progress)
        self._check_suitable(reading)
        await asyncio.to_thread(self._begin)
        try:
            await self._read_all(reading)
            while self._puts:
                await self._wait_for_puts(asyncio.ALL_COMPLETED)
        finally:
            for put in self._puts:
                put.cancel()
            await asyncio.gather(*self._puts, return_exceptions=True)
        if reading.checked.wrong > self._objects_wrong:
            raise BackupFailed("\n".join(reading.checked.problems))
        put_aside = await asyncio.to_thread(self._finish)
        more = {name: value for name, value in self._secrets.items() if name not in SECRET_TABLES}
        return Restored(reading.checked, self._written, put_aside, more)

    def _check_suitable(self, reading: Reading) -> None:
        header, wanted = reading.header, self._wanted
        if header.schema > SCHEMA_VERSION:
            raise BackupFailed(
                f"the backup has schema version {header.schema}, this NORA knows versions up to "
                f"{SCHEMA_VERSION}: restore it with the NORA that made it, or a newer one"
            )
        if header.has_secrets and wanted.passphrase is None and not wanted.without_secrets:
            raise BackupFailed(
                "the backup holds secrets: say what opens them by --passphrase-file, or leave them out by "
                "--without-secrets"
            )

    def _begin(self) -> None:
        """Mark the directory. Raises Conflict unless nothing is stored here, or what is was put here by a
        restore."""
        marker, catalog = self._layout.restoring, self._layout.catalog
        if not self._wanted.replace and not marker.exists():
            if catalog.exists() and not _is_blank(catalog):
                raise Conflict(
                    f"{self._layout.root} holds a store already: choose an empty directory (storage.path), "
                    "or let its catalog be put aside by --replace"
                )
            found = self._find_object()
            if found is not None:
                raise Conflict(
                    f"there are stored blobs already ({found}, for one): choose an empty store, or keep them "
                    "by --replace"
                )
        with translated():
            marker.write_text(
                "A restore that was not finished: run `nora restore` again.\n", encoding="utf-8"
            )
            sync_directory(marker.parent)
            self._layout.create()
            self._layout.empty_temporary()
        self._restored.remove()

    async def _read_all(self, reading: Reading) -> None:
        members = reading.members()
        while (member := await asyncio.to_thread(next, members, None)) is not None:
            named = parse_object_name(member.name)
            if named is not None:
                await self._take_object(reading, member, Blob(0, named[0], member.size, named[1]))
            elif member.name == CATALOG:
                await asyncio.to_thread(self._take_catalog, reading, member)
            elif self._wanted.passphrase is None:
                await asyncio.to_thread(reading.take, member)
            else:
                sealed = await asyncio.to_thread(reading.document, member)
                self._secrets = await asyncio.to_thread(self._wanted.passphrase.unseal, sealed)

    async def _take_object(self, reading: Reading, member: Opened, blob: Blob) -> None:
        """Compare the bytes of an object, and put them into the store unless they are there."""
        is_wanted = await self._store.is_damaged(blob)
        copy = LockedTempFile(self._layout.temp(new_generation())) if is_wanted else None
        try:
            hasher = Hasher("sha256")
            problem = await asyncio.to_thread(copy_member, reading, member, copy, hasher)
            if problem:
                self._objects_wrong += 1
                if not self._wanted.keep_going:
                    raise BackupFailed(f"{problem} (--keep-going puts back all that is whole)")
            elif copy is not None:
                while len(self._puts) >= AT_ONCE:
                    await self._wait_for_puts(asyncio.FIRST_COMPLETED)
                new = NewBlob(blob.digest, blob.size, hasher.xxh3(), blob.generation)
                self._puts.add(asyncio.ensure_future(self._put(copy, new)))
                copy = None
        finally:
            if copy is not None and copy.made:
                copy.discard()

    async def _put(self, copy: LockedTempFile, new: NewBlob) -> None:
        try:
            await self._store.remove(new)  # one of these bytes is not there, so it is damaged, or gone
            await self._store.adopt(copy, new)
            self._written += 1
        finally:
            copy.discard()

    async def _wait_for_puts(self, when: str) -> None:
        done, self._puts = await asyncio.wait(self._puts, return_when=when)
        for put in done:
            put.result()

    def _take_catalog(self, reading: Reading, member: Opened) -> None:
        with translated():
            descriptor = os.open(self._restored.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
            with open(descriptor, "wb") as file:
                reading.take(member, file.write)

    def _finish(self) -> Path | None:
        """Let the catalog have its name, when all else is durable; where the one before is now."""
        self._restored.check()
        rows = {table: self._secrets.get(table, ()) for table in SECRET_TABLES}
        self._restored.put_secrets(
            {
                table: [{name: as_bytes(value) for name, value in row.items()} for row in found]
                for table, found in rows.items()
            }
        )
        with translated():
            os.sync()
            put_aside = self._put_aside()
            self._restored.path.rename(self._layout.catalog)
            sync_directory(self._layout.catalog.parent)
            self._layout.restoring.unlink()
            sync_directory(self._layout.catalog.parent)
        return put_aside

    def _put_aside(self) -> Path | None:
        """Give the catalog that is there another name, with its log, unless it holds nothing."""
        catalog = self._layout.catalog
        if catalog.exists() and _is_blank(catalog):
            Snapshot(catalog).remove()
            return None
        aside = next(one for one in self._layout.replaced_catalogs() if not one.exists())
        Path(f"{catalog}-shm").unlink(missing_ok=True)
        for end in ("-wal", ""):
            with suppress(FileNotFoundError):
                Path(f"{catalog}{end}").rename(f"{aside}{end}")
        return aside if aside.exists() else None


def _is_blank(catalog: Path) -> bool:
    """Whether a catalog holds nothing. One that cannot be read, for which backups are put back, may hold
    something."""
    try:
        return Snapshot(catalog).is_blank()
    except StorageFailed:
        return False


def copy_member(reading: Reading, member: Opened, copy: LockedTempFile | None, hasher: Hasher) -> str:
    """Read a member, into a file if it is wanted; what is wrong with it."""
    if copy is None:
        return reading.take(member)
    with translated():
        copy.create()
        return reading.take(member, lambda data: hasher.write(copy.fd, data, hasher.size))
