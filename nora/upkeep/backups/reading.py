"""Reading a backup: where it is, what its first member says, and whether all of it is what it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from nora.upkeep.backups.archive import ArchiveSource
from nora.upkeep.backups.bucket import SCHEME, BucketPlace, BucketSource
from nora.upkeep.backups.folder import FolderSource
from nora.upkeep.backups.manifest import (
    CATALOG,
    HEADER,
    LARGEST_DOCUMENT,
    MANIFEST,
    SECRETS,
    BackupFailed,
    Checked,
    Header,
    MemberFailed,
    MemberReader,
    Opened,
    Source,
    Write,
    parse_object_name,
)

if TYPE_CHECKING:
    from nora.config import Config
    from nora.upkeep.progress import Progress


def open_source(place: str | Path, config: Callable[[], Config]) -> Source:
    """A backup in a file, or the newest one in a folder or a bucket, whose server is that of a configuration.
    Raises BackupFailed, BadRequest, StorageFailed, and what `config` raises."""
    if isinstance(place, str) and place.startswith(SCHEME):
        found = BucketPlace.parse(place)
        return BucketSource(found, found.open(config()))
    path = Path(place)
    return FolderSource(path) if path.is_dir() else ArchiveSource(path)


class Reading:
    """A backup that is being read, from its header on."""

    def __init__(self, source: Source, progress: Progress) -> None:
        """Raises BackupFailed when this is no backup."""
        self._members: Iterator[Opened] = iter(source.members())
        self._reader = MemberReader(progress.advance)
        first = next(self._members, None)
        if first is None or first.name != HEADER:
            raise BackupFailed("this is no backup of NORA, or its beginning is damaged")
        self.header = Header.parse(self.document(first))
        self.checked = Checked(self.header)
        progress.expect(self.header.size, "blobs")

    def members(self) -> Iterator[Opened]:
        """All but the header and the manifest: at the end of it the list of both is compared. Raises
        BackupFailed where it cannot be read on, or was cut off."""
        seen: set[str] = set()
        for member in self._members:
            if member.name == MANIFEST:
                self._reader.finish(member, self.checked)
                if CATALOG not in seen and not self.checked.wrong:
                    self.checked.add_problem(f"{CATALOG} is missing")
                return
            if parse_object_name(member.name) is None:
                if member.name not in {SECRETS, CATALOG} or member.name in seen:
                    raise BackupFailed(f"{member.name!r} is nothing that a backup of NORA has")
                seen.add(member.name)
            yield member
        raise BackupFailed(f"the backup was cut off, or is damaged at its end: {MANIFEST} is missing")

    def take(self, member: Opened, write: Write = len) -> str:
        """Read a member, and `write` its bytes; what is wrong with it, which is noted."""
        try:
            problem = self._reader.read(member, write)
        except MemberFailed as error:
            problem = str(error)
        if problem:
            self.checked.add_problem(problem)
        elif parse_object_name(member.name) is not None:
            self.checked.blobs += 1
            self.checked.size += member.size
        return problem

    def document(self, member: Opened) -> bytes:
        """All of a member that is small. Raises BackupFailed."""
        if member.size > LARGEST_DOCUMENT:
            raise BackupFailed(f"{member.name} is far too large")
        parts: list[bytes] = []
        self._reader.read(member, parts.append)
        return b"".join(parts)


def check_backup(source: Source, progress: Progress) -> Checked:
    """Read all of a backup, and compare. Raises BackupFailed when it is none."""
    reading = Reading(source, progress)
    try:
        for member in reading.members():
            reading.take(member)
    except BackupFailed as error:
        reading.checked.add_problem(str(error))
    return reading.checked


async def check_place(place: str | Path, config: Callable[[], Config], progress: Progress) -> Checked:
    """The same of a backup in a file, a folder or a bucket; see `open_source`."""
    source = await asyncio.to_thread(open_source, place, config)
    with closing(source):
        return await asyncio.to_thread(check_backup, source, progress)
