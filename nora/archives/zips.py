"""Zip archives: wheels, jars, modules."""

from __future__ import annotations

import errno
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from nora.archives import DAMAGED, Limits, check_path
from nora.errors import InvalidPackageFile, StorageFailed, quoted

ZIP_ERRORS = (zipfile.BadZipFile, NotImplementedError, RuntimeError)


class _Bounded(io.BufferedReader):
    """A file of which nothing large is read at once, whatever its own headers claim."""

    limit: int = 0

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = size if size is not None and 0 <= size <= self.limit else self.limit + 1
        data = super().read(wanted)
        if len(data) > self.limit:
            raise InvalidPackageFile("the archive has too long a list of files")
        return data


@contextmanager
def open_zip(path: str, limits: Limits) -> Iterator[zipfile.ZipFile]:
    """A zip whose list of files is safe and whose files are not too many or too large.

    Raises InvalidPackageFile, also for damage that is met while reading from it; StorageFailed.
    """
    try:
        with _Bounded(io.FileIO(path)) as file:
            file.limit = limits.directory
            size = file.seek(0, io.SEEK_END)
            with zipfile.ZipFile(file) as archive:
                _check_zip(archive, size, limits)
                yield archive
    except (*ZIP_ERRORS, *DAMAGED) as error:
        raise InvalidPackageFile(f"the file is no intact zip archive: {quoted(error)}") from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # its headers point in front of its start
            raise InvalidPackageFile("the file is no intact zip archive") from error
        raise StorageFailed(f"an uploaded file cannot be read: {error.strerror}") from error


def _check_zip(archive: zipfile.ZipFile, size: int, limits: Limits) -> None:
    members = archive.infolist()
    if len(members) > limits.members:
        raise InvalidPackageFile(f"the archive has more than {limits.members} files")
    if sum(member.file_size for member in members) > limits.expanded(size):
        raise InvalidPackageFile("the archive expands to far more than it should: a zip bomb")
    if members and min(member.header_offset for member in members) != 0:
        raise InvalidPackageFile("there is something in front of the archive")
    seen: set[str] = set()
    for member in members:
        check_path(member.filename, limits)
        if member.flag_bits & 0x1:
            raise InvalidPackageFile("the archive is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InvalidPackageFile("the archive is compressed in a way that not all clients can read")
        if member.filename in seen:
            raise InvalidPackageFile(f"the archive has two files of one name: {quoted(member.filename)}")
        seen.add(member.filename)


def read_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """A whole file of a zip, checked against its checksum. Raises InvalidPackageFile."""
    with archive.open(name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise InvalidPackageFile(f"{quoted(name)} is larger than {limit} bytes")
    return data
