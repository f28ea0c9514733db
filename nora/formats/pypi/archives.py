"""Opens wheels and sdists that nobody has vouched for: without unpacking them, and without being overwhelmed.

What could hurt whoever unpacks them later is refused here as well: bombs, paths and links that lead out.
"""

from __future__ import annotations

import errno
import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from posixpath import dirname, normpath
from typing import IO, Any, cast

from nora.errors import InvalidDistribution, StorageFailed, quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much an archive may hold."""

    bomb_floor: int = 64 << 20
    """Bytes that any archive may expand to."""
    bomb_ratio: int = 50
    """Beyond the floor: how many times its own size."""
    metadata: int = 8 << 20
    """Bytes of its core metadata."""
    directory: int = 8 << 20
    """Bytes of the list of files of a zip, and of the extended headers of one file of a tar."""
    members: int = 200_000
    path: int = 4096
    """Characters of the path of a file: no system unpacks longer ones."""
    depth: int = 256
    """Folders in a path: each is looked at."""

    def expanded(self, size: int) -> int:
        """Bytes that an archive of `size` bytes may expand to."""
        return max(self.bomb_floor, self.bomb_ratio * size)


LIMITS = Limits()
"""Those of PyPI, where it says them."""

_PIECE = 1 << 16
_ZIP_ERRORS = (zipfile.BadZipFile, NotImplementedError, RuntimeError)
_DAMAGED = (zlib.error, EOFError, ValueError, OverflowError, tarfile.TarError, gzip.BadGzipFile)


class _Bounded(io.BufferedReader):
    """A file of which nothing large is read at once, whatever its own headers claim."""

    limit: int = 0

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = size if size is not None and 0 <= size <= self.limit else self.limit + 1
        data = super().read(wanted)
        if len(data) > self.limit:
            raise InvalidDistribution("the archive has too long a list of files")
        return data


@contextmanager
def open_zip(path: str, limits: Limits) -> Iterator[zipfile.ZipFile]:
    """A zip whose list of files is safe and whose files are not too many or too large.

    Raises InvalidDistribution, also for damage that is met while reading from it; StorageFailed.
    """
    try:
        with _Bounded(io.FileIO(path)) as file:
            file.limit = limits.directory
            size = file.seek(0, io.SEEK_END)
            with zipfile.ZipFile(file) as archive:
                _check_zip(archive, size, limits)
                yield archive
    except (*_ZIP_ERRORS, *_DAMAGED) as error:
        raise InvalidDistribution(f"the file is no intact zip archive: {quoted(error)}") from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # its headers point in front of its start
            raise InvalidDistribution("the file is no intact zip archive") from error
        raise StorageFailed(f"an uploaded file cannot be read: {error.strerror}") from error


def _check_zip(archive: zipfile.ZipFile, size: int, limits: Limits) -> None:
    members = archive.infolist()
    if len(members) > limits.members:
        raise InvalidDistribution(f"the archive has more than {limits.members} files")
    if sum(member.file_size for member in members) > limits.expanded(size):
        raise InvalidDistribution("the archive expands to far more than it should: a zip bomb")
    if members and min(member.header_offset for member in members) != 0:
        raise InvalidDistribution("there is something in front of the archive")
    seen: set[str] = set()
    for member in members:
        check_path(member.filename, limits)
        if member.flag_bits & 0x1:
            raise InvalidDistribution("the archive is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InvalidDistribution("the archive is compressed in a way that not all clients can read")
        if member.filename in seen:
            raise InvalidDistribution(f"the archive has two files of one name: {quoted(member.filename)}")
        seen.add(member.filename)


def read_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """A whole file of a zip, checked against its checksum. Raises InvalidDistribution."""
    with archive.open(name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise InvalidDistribution(f"{quoted(name)} is larger than {limit} bytes")
    return data


class _Tar:
    """The tar inside of a `.tar.gz`, for tarfile: read forwards only, in small reads, and never further than
    it may expand."""

    def __init__(self, stream: gzip.GzipFile, expanded: int, largest: int) -> None:
        self._stream = stream
        self._expanded = expanded
        self._largest = largest
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self._largest:
            raise InvalidDistribution("the archive has a header of an absurd size")
        data = self._stream.read(size)
        self._position += len(data)
        if self._position > self._expanded:
            raise InvalidDistribution("the archive expands to far more than it should: a tar bomb")
        return data

    def seek(self, position: int) -> None:
        if position < self._position:
            raise InvalidDistribution("the archive refers to itself")
        if position > self._expanded:
            raise InvalidDistribution("the archive expands to far more than it should: a tar bomb")
        while self._position < position and self.read(min(position - self._position, _PIECE)):
            pass

    def tell(self) -> int:
        return self._position

    def drain(self) -> None:
        """To the end, where the checksum is."""
        while self.read(_PIECE):
            pass


@contextmanager
def open_tar(path: str, limits: Limits) -> Iterator[Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]]:
    """The files of a `.tar.gz`, one after the other: each may be read while it is the current one.

    When the block ends without an error the archive was read to its end. Raises InvalidDistribution, also for
    damage that is met while reading from it; StorageFailed.
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            with gzip.GzipFile(fileobj=file, mode="rb") as stream:
                inner = _Tar(stream, limits.expanded(size), max(limits.directory, _PIECE))
                with tarfile.open(fileobj=cast("IO[bytes]", inner), mode="r:") as archive:
                    members = _members(archive, limits)
                    yield members
                    for _ in members:
                        pass
                inner.drain()
    except _DAMAGED as error:
        raise InvalidDistribution(f"the file is no intact .tar.gz archive: {quoted(error)}") from error
    except OSError as error:
        raise StorageFailed(f"an uploaded file cannot be read: {error.strerror}") from error


def _members(archive: Any, limits: Limits) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    count = 0
    links: set[str] = set()
    while (member := archive.next()) is not None:
        archive.members.clear()  # it remembers all that it has seen
        count += 1
        if count > limits.members:
            raise InvalidDistribution(f"the archive has more than {limits.members} files")
        _check_member(member, links, limits)
        yield member, archive


def _check_member(member: tarfile.TarInfo, links: set[str], limits: Limits) -> None:
    check_path(member.name, limits)
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        raise InvalidDistribution(f"{quoted(member.name)} is no file, folder or link")
    if member.issparse():  # a few bytes that are unpacked to as many as they say
        raise InvalidDistribution(f"{quoted(member.name)} is a sparse file")
    name = normpath(member.name)
    folder = dirname(name)
    while folder:
        if folder in links:
            raise InvalidDistribution(f"{quoted(name)} is inside of a link")
        folder = dirname(folder)
    if member.issym() or member.islnk():
        _check_link(name, member, links, limits)
    if member.issym():
        links.add(name)


def _check_link(name: str, member: tarfile.TarInfo, links: set[str], limits: Limits) -> None:
    """That a link stays inside, however it is followed: what `..` means after a name is known only to whoever
    unpacks it, as that may be a link by then; so is what comes after a link."""
    refusal = InvalidDistribution(f"the link {quoted(name)} leads out of the archive")
    target = member.linkname
    if target.startswith("/") or len(target) > limits.path or target.count("/") > limits.depth:
        raise refusal
    # A hard link names a path of the archive, a symbolic one starts at its own folder.
    parts = dirname(name).split("/") if member.issym() else []
    is_below = False
    for part in target.split("/"):
        if part in ("", "."):
            continue
        if "/".join(parts) in links or (part == ".." and (is_below or not parts)):
            raise refusal
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
            is_below = True


def check_path(name: str, limits: Limits) -> None:
    """Raises InvalidDistribution for a path that is not safe to unpack."""
    if len(name) > limits.path or name.count("/") > limits.depth:
        raise InvalidDistribution(f"the archive has a file of an absurdly long path: {quoted(name)!r}")
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or parts[0] == "" or ".." in parts or ":" in parts[0]:
        raise InvalidDistribution(f"the archive has a file of a dangerous name: {quoted(name)!r}")
