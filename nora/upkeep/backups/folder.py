"""Backups in a folder: blobs once for all of them, each as one file, so that the next one copies what is new.

    <folder>/blobs/sha256/<2 hex>/<hex>-<generation>
    <folder>/<time>/                    one backup: its header, catalog, secrets and manifest
    <folder>/<time>.partial/            one that is being made, or was not finished

A backup that was cut short leaves the blobs that it has copied, from which the next one goes on. A backup
that is not wanted any more is a folder to be removed; what only it needed goes when backups are pruned.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final, Self

from nora.blobs.layout import DIRECTORY_MODE, FILE_MODE
from nora.errors import StorageFailed
from nora.locks import FileLock
from nora.upkeep.backups.archive import sync_directory, written
from nora.upkeep.backups.manifest import (
    MANIFEST,
    PIECE_BYTES,
    TIME,
    BackupFailed,
    MemberFailed,
    Readable,
    listed_member,
    parse_object_name,
)

PARTIAL: Final = ".partial"


class FolderTarget:
    """See Target."""

    def __init__(self, folder: Path, created_at: float) -> None:
        """Raises StorageFailed, and BackupFailed when another backup is being written there."""
        self._folder = folder
        self._path = folder / time.strftime(TIME, time.gmtime(created_at))
        self._partial = self._path.with_name(self._path.name + PARTIAL)
        with written(self._folder):
            folder.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
        self._lock = FileLock(folder / "lock")
        if not self._lock.acquire(block=False):
            self._lock.close()
            raise BackupFailed(f"another backup is being written to {folder}")
        if self._path.exists():
            self._lock.close()
            raise BackupFailed(f"{self._path} is there already")
        with written(self._folder):
            for old in folder.glob(f"*{PARTIAL}"):
                shutil.rmtree(old)
            self._partial.mkdir(DIRECTORY_MODE)
            self.workspace = folder / "work"
            shutil.rmtree(self.workspace, ignore_errors=True)
            self.workspace.mkdir(DIRECTORY_MODE)
        self._finished = False

    def _place(self, name: str) -> Path:
        return (self._folder if parse_object_name(name) else self._partial) / name

    def has(self, name: str, size: int) -> bool:
        """See Target. Whether its bytes are right says `nora backup --verify`."""
        try:
            return self._place(name).stat().st_size == size
        except OSError:
            return False

    def add(self, name: str, file: Readable, size: int, modified_at: int) -> None:
        """See Target."""
        path = self._place(name)
        draft = path.with_name(path.name + PARTIAL)
        with written(self._folder):
            path.parent.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
            try:
                with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE), "wb") as copy:
                    while data := file.read(PIECE_BYTES):
                        copy.write(data)
                    if copy.tell() != size:
                        raise StorageFailed(f"{name} became shorter while it was copied")
                    copy.flush()
                    os.fsync(copy.fileno())  # before the name: the next backup takes it for whole
                os.utime(draft, (modified_at, modified_at))
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
            draft.replace(path)

    def finish(self) -> None:
        """See Target."""
        with written(self._folder):
            # Of what an interrupted one has left, too: its bytes are durable, and its names perhaps not
            for folder in (*self._folder.glob("blobs/*/*/"), *self._folder.glob("blobs/*/")):
                sync_directory(folder)
            for folder in self._folder.glob("blobs/"):
                sync_directory(folder)
            sync_directory(self._partial)
            self._partial.rename(self._path)
            sync_directory(self._folder)
            sync_directory(self._folder.absolute().parent)
        self._finished = True
        shutil.rmtree(self.workspace, ignore_errors=True)
        self._lock.close()

    def abandon(self) -> None:
        """See Target. The blobs stay."""
        if not self._finished:
            shutil.rmtree(self._partial, ignore_errors=True)
            shutil.rmtree(self.workspace, ignore_errors=True)
            self._lock.close()


class _Member:
    """See Opened. Opened when it is read."""

    def __init__(self, name: str, path: Path, size: int, modified_at: int) -> None:
        self.name, self.size, self.modified_at = name, size, modified_at
        self._path = path
        self._file: IO[bytes] | None = None

    def read(self, size: int) -> bytes:
        try:
            if self._file is None:
                self._file = self._path.open("rb")
            data = self._file.read(size)
        except OSError as error:
            raise MemberFailed(f"{self._path} cannot be read: {error.strerror}") from error
        if not data:
            raise MemberFailed(f"{self._path} is damaged: it is shorter than it was")
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


class FolderSource:
    """See Source. In the order of the manifest, which is that of a stream."""

    def __init__(self, folder: Path) -> None:
        """The folder of one backup, or of several: then it is the newest. Raises BackupFailed."""
        if not (folder / MANIFEST).exists():
            finished = [one.parent for one in folder.glob(f"*/{MANIFEST}") if one.parent.suffix != PARTIAL]
            if not finished:
                raise BackupFailed(f"{folder} holds no backup that was finished")
            folder = max(finished)
        self.path = folder
        self._files = ExitStack()

    def members(self) -> Iterator[_Member]:
        """See Source."""
        manifest = self.path / MANIFEST
        try:
            size = manifest.stat().st_size
            lines = self._files.enter_context(manifest.open("rb"))
            for line in lines:
                member = self._listed(line)
                if member is not None:
                    with member:
                        yield member
        except OSError as error:
            raise BackupFailed(f"{manifest} cannot be read: {error.strerror}") from error
        yield self._files.enter_context(_Member(MANIFEST, manifest, size, 0))

    def _listed(self, line: bytes) -> _Member | None:
        """What a line is about; None where it cannot be read: the digest of all lines tells of that."""
        found = listed_member(line)
        if found is None:
            return None
        name, size, modified_at = found
        folder = self.path if parse_object_name(name) is None else self.path.parent
        return _Member(name, folder / name, size, modified_at)

    def close(self) -> None:
        """See Source."""
        self._files.close()


class FolderShelf:
    """See nora.upkeep.backups.pruning.Shelf."""

    def __init__(self, folder: Path) -> None:
        """Raises BackupFailed when a backup is being written there."""
        self._folder = folder
        self._lock = FileLock(folder / "lock")
        if not self._lock.acquire(block=False):
            self._lock.close()
            raise BackupFailed(f"another backup is being written to {folder}")
        self._files = ExitStack()

    def close(self) -> None:
        """Let others write there."""
        self._files.close()
        self._lock.close()

    def backups(self) -> list[str]:
        """See Shelf."""
        found = [one.parent for one in self._folder.glob(f"*/{MANIFEST}") if one.parent.suffix != PARTIAL]
        return sorted(one.name for one in found)

    def manifest(self, backup: str) -> _Member:
        """See Shelf."""
        path = self._folder / backup / MANIFEST
        with written(self._folder):
            return self._files.enter_context(_Member(MANIFEST, path, path.stat().st_size, 0))

    def remove(self, backup: str) -> None:
        """See Shelf: its name first, durably, so that it is none from then on."""
        with written(self._folder):
            partial = self._folder / (backup + PARTIAL)  # which the next backup removes, if nobody does now
            (self._folder / backup).rename(partial)
            sync_directory(self._folder)
            shutil.rmtree(partial)

    def objects(self, start: str) -> Iterator[str]:
        """See Shelf."""
        for folder in sorted(self._folder.glob(f"blobs/sha256/{start}?")):
            for path in sorted(folder.iterdir()):
                yield path.relative_to(self._folder).as_posix()

    def remove_object(self, name: str) -> None:
        """See Shelf."""
        with written(self._folder):
            (self._folder / name).unlink()
