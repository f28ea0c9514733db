"""A backup as one tar archive, compressed as its name says: written and read as a stream."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from io import BufferedReader, FileIO
from pathlib import Path
from typing import IO, Any, Final, cast

import zstandard

from nora.blobs.disk import translate
from nora.blobs.layout import DIRECTORY_MODE, FILE_MODE
from nora.errors import StorageFailed, StorageFull
from nora.locks import FileLock
from nora.upkeep.backups.manifest import CATALOG, PIECE_BYTES, BackupFailed, Readable, whole_number

SUFFIXES: Final = {
    ".tar": "plain",
    ".tar.gz": "gzip",
    ".tgz": "gzip",
    ".tar.zst": "zstd",
    ".tar.zstd": "zstd",
    ".tzst": "zstd",
}
GZIP_LEVEL: Final = 1
"""Most of what is stored is compressed already: more would take its time for nothing."""
ZSTD_LEVEL: Final = 3
BLOCK_BYTES: Final = 64 << 10
"""Read at a time: where an archive cannot be expanded, so much of it is not seen."""
LARGEST_WINDOW: Final = 128 << 20
"""Bytes of memory that an archive may ask for."""
_MAGIC: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}
_BROKEN: Final = (OSError, EOFError, zlib.error, zstandard.ZstdError, tarfile.TarError, ValueError)


def compression_of(path: Path) -> str | None:
    """How an archive of this name is compressed; None: it is none."""
    name = path.name.lower()
    return next((kind for end, kind in SUFFIXES.items() if name.endswith(end)), None)


class ArchiveTarget:
    """See Target. The file gets its name when it is whole; until then it is `<name>.partial`."""

    def __init__(self, path: Path, compression: str) -> None:
        """Raises StorageFailed, and BackupFailed when another backup is being written to the same name."""
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._lock = FileLock(self._partial)
        if not self._lock.acquire(block=False):
            self._lock.close()
            raise BackupFailed(f"another backup is being written to {path}")
        with written(self._path):
            self._file = self._partial.open("wb", buffering=PIECE_BYTES)
            self._partial.chmod(FILE_MODE)
            self.workspace = path.with_name(path.name + ".partial.d")
            shutil.rmtree(self.workspace, ignore_errors=True)  # a killed one has left it
            self.workspace.mkdir(DIRECTORY_MODE)
            _remove_left(path.parent)
        self._stream: Any = _compressed(self._file, compression)
        self._finished = False

    def has(self, name: str, size: int) -> bool:
        """See Target. An archive is written anew."""
        return False

    def add(self, name: str, file: Readable, size: int, modified_at: int) -> None:
        """See Target."""
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = size, modified_at, FILE_MODE
        with written(self._path):
            self._stream.write(info.tobuf(tarfile.PAX_FORMAT))
            left = size
            while left:
                data = file.read(min(left, PIECE_BYTES))
                if not data:
                    raise StorageFailed(f"{name} became shorter while it was copied")
                self._stream.write(data)
                left -= len(data)
            self._stream.write(bytes(-size % tarfile.BLOCKSIZE))

    def finish(self) -> None:
        """See Target."""
        with written(self._path):
            self._stream.write(bytes(2 * tarfile.BLOCKSIZE))
            if self._stream is not self._file:
                self._stream.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.replace(self._path)
            sync_directory(self._path.parent)
        self._finished = True
        shutil.rmtree(self.workspace, ignore_errors=True)
        self._lock.close()

    def abandon(self) -> None:
        """See Target."""
        if self._finished:
            return
        shutil.rmtree(self.workspace, ignore_errors=True)
        with suppress(OSError):
            self._partial.unlink()
        with suppress(OSError, ValueError):
            self._file.close()
        self._lock.close()


class _Member:
    """See Opened."""

    def __init__(self, info: tarfile.TarInfo, file: IO[bytes], path: Path) -> None:
        self.name, self.size, self.modified_at = info.name, whole_number(info.size), whole_number(info.mtime)
        self._file = file
        self._path = path

    def read(self, size: int) -> bytes:
        with _reported(self._path, f"in the middle of {self.name}"):
            return self._file.read(size)


class ArchiveSource:
    """See Source. How it is compressed is seen in its first bytes."""

    def __init__(self, path: Path) -> None:
        """Raises BackupFailed."""
        self._path = path
        try:
            self._file = BufferedReader(FileIO(path), PIECE_BYTES)
            kind = _MAGIC.get(self._file.peek(2)[:2], "plain")
        except OSError as error:
            raise BackupFailed(f"{path} cannot be read: {error.strerror}") from error
        self._stream = _expanded(self._file, kind)

    def members(self) -> Iterator[_Member]:
        """See Source."""
        after = "at its beginning"
        with _reported(self._path, after):
            tar = tarfile.open(fileobj=self._stream, mode="r|", bufsize=BLOCK_BYTES)  # noqa: SIM115
        while True:
            with _reported(self._path, after):
                info = tar.next()
            if info is None:
                return
            cast("Any", tar).members = []  # which tarfile keeps, however many they are
            file = tar.extractfile(info) if info.isreg() else None
            if file is None:
                raise BackupFailed(f"{self._path}: {info.name!r} is no file: this is no backup of NORA")
            with _reported(self._path, f"at {info.name}"):
                member = _Member(info, file, self._path)
            yield member
            after = f"after {info.name}"

    def close(self) -> None:
        """See Source."""
        self._file.close()


def _remove_left(folder: Path) -> None:
    """Remove what backups of other names have left that were killed, as far as it is ours: a catalog with
    its secrets may be in it."""
    for workspace in folder.glob("*.partial.d"):
        partial = workspace.with_suffix("")
        if compression_of(partial.with_suffix("")) is None or not partial.is_file():
            continue
        with suppress(OSError, StorageFailed), closing(FileLock(partial)) as lock:
            if lock.acquire(block=False):
                for left in workspace.glob(f"{CATALOG}*"):
                    left.unlink()
                workspace.rmdir()
                partial.unlink()


def _compressed(file: IO[bytes], compression: str) -> Any:
    if compression == "gzip":
        return gzip.GzipFile("", "wb", GZIP_LEVEL, file, mtime=0)
    if compression == "zstd":
        compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        return compressor.stream_writer(file, closefd=False)
    return file


def _expanded(file: IO[bytes], compression: str) -> Any:
    if compression == "gzip":
        return gzip.GzipFile(fileobj=file)
    if compression == "zstd":
        expander = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
        return expander.stream_reader(file, read_size=PIECE_BYTES, read_across_frames=True, closefd=False)
    return file


@contextmanager
def _reported(path: Path, where: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise BackupFailed(f"{path} is damaged {where}: {reason}") from error


@contextmanager
def written(path: Path) -> Iterator[None]:
    """What the file system says of a backup that is being written, as errors of ours."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull(f"there is no room left for the backup {path}") from error
        raise StorageFailed(f"the backup {path} cannot be written: {error.strerror}") from error


@contextmanager
def translated() -> Iterator[None]:
    """What the file system says, as errors of ours."""
    try:
        yield
    except OSError as error:
        raise translate(error) from error


def sync_directory(path: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
