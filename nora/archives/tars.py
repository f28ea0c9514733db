"""Tar archives, compressed as a rule: sdists, crates, tarballs."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from posixpath import dirname, normpath
from typing import IO, Any, cast

from nora.archives import DAMAGED, Limits, check_path
from nora.errors import InvalidPackageFile, StorageFailed, quoted

GZIP = b"\x1f\x8b"
_PIECE = 1 << 16
_LINK = ""
"""No part of a normalized path: in a folder of `Links` it says that it is one."""


class _Stream:
    """The tar inside of a `.tar.gz`, for tarfile: read forwards only, in small reads, and never further than
    it may expand."""

    def __init__(self, stream: IO[bytes], expanded: int, largest: int) -> None:
        self._stream = stream
        self._expanded = expanded
        self._largest = largest
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self._largest:
            raise InvalidPackageFile("the archive has a header of an absurd size")
        data = self._stream.read(size)
        self._position += len(data)
        if self._position > self._expanded:
            raise InvalidPackageFile("the archive expands to far more than it should: a tar bomb")
        return data

    def seek(self, position: int) -> None:
        if position < self._position:
            raise InvalidPackageFile("the archive refers to itself")
        if position > self._expanded:
            raise InvalidPackageFile("the archive expands to far more than it should: a tar bomb")
        while self._position < position and self.read(min(position - self._position, _PIECE)):
            pass

    def tell(self) -> int:
        return self._position

    def drain(self) -> None:
        """To the end, where the checksum is."""
        while self.read(_PIECE):
            pass


@contextmanager
def open_tar(
    path: str, limits: Limits, *, may_be_plain: bool = False
) -> Iterator[Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]]:
    """The files of a `.tar.gz`, one after the other: each may be read while it is the current one. With
    `may_be_plain` it need not be compressed.

    When the block ends without an error the archive was read to its end. Raises InvalidPackageFile, also for
    damage that is met while reading from it; StorageFailed.
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            is_plain = may_be_plain and file.read(2) != GZIP
            file.seek(0)
            with nullcontext(file) if is_plain else gzip.GzipFile(fileobj=file, mode="rb") as stream:
                inner = _Stream(
                    cast("IO[bytes]", stream), limits.expanded(size), max(limits.directory, _PIECE)
                )
                with tarfile.open(fileobj=cast("IO[bytes]", inner), mode="r:") as archive:
                    members = _members(archive, limits)
                    yield members
                    for _ in members:
                        pass
                inner.drain()
    except DAMAGED as error:
        raise InvalidPackageFile(f"the file is no intact .tar.gz archive: {quoted(error)}") from error
    except OSError as error:
        raise StorageFailed(f"an uploaded file cannot be read: {error.strerror}") from error


def _members(archive: Any, limits: Limits) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    count = 0
    links = Links(limits.remembered)
    while (member := archive.next()) is not None:
        archive.members.clear()  # it remembers all that it has seen
        count += 1
        if count > limits.members:
            raise InvalidPackageFile(f"the archive has more than {limits.members} files")
        _check_member(member, links, limits)
        yield member, archive


class Links:
    """The symbolic links of an archive, found by a walk along a path: it takes a step for each folder."""

    def __init__(self, most: int) -> None:
        """`most`: folders and links that are remembered."""
        self._folders: dict[str, Any] = {}
        self._free = most

    def add(self, path: str) -> None:
        """`path` is normalized. Raises InvalidPackageFile."""
        folder = self._folders
        for part in path.split("/"):
            if part not in folder:
                folder[part] = {}
                self._free -= 1
            folder = folder[part]
        if self._free < 0:
            raise InvalidPackageFile("the archive has too many links")
        folder[_LINK] = {}

    def has_above(self, path: str) -> bool:
        """Whether a folder of a normalized path is a link."""
        folder = self._folders
        for part in path.split("/"):
            if _LINK in folder:
                return True
            if part not in folder:
                return False
            folder = folder[part]
        return False

    def goes_outside(self, start: str, target: str) -> bool:
        """Whether a way from a folder may lead out of the archive, or goes over a link."""
        trail: list[dict[str, Any]] = [self._folders]
        for part in start.split("/") if start else ():
            trail.append(trail[-1].get(part, {}))
        is_below = False
        for part in target.split("/"):
            if part in ("", "."):
                continue
            if _LINK in trail[-1] or (part == ".." and (is_below or len(trail) == 1)):
                return True
            if part == "..":
                trail.pop()
            else:
                trail.append(trail[-1].get(part, {}))
                is_below = True
        return False


def _check_member(member: tarfile.TarInfo, links: Links, limits: Limits) -> None:
    check_path(member.name, limits)
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        raise InvalidPackageFile(f"{quoted(member.name)} is no file, folder or link")
    if member.issparse():  # a few bytes that are unpacked to as many as they say
        raise InvalidPackageFile(f"{quoted(member.name)} is a sparse file")
    name = normpath(member.name)
    if links.has_above(name):
        raise InvalidPackageFile(f"{quoted(name)} is inside of a link")
    if member.issym() or member.islnk():
        _check_link(name, member, links, limits)
    if member.issym():
        links.add(name)


def _check_link(name: str, member: tarfile.TarInfo, links: Links, limits: Limits) -> None:
    """That a link stays inside, however it is followed: what `..` means after a name is known only to whoever
    unpacks it, as that may be a link by then; so is what comes after a link."""
    refusal = InvalidPackageFile(f"the link {quoted(name)} leads out of the archive")
    target = member.linkname
    if target.startswith("/") or len(target) > limits.path or target.count("/") > limits.depth:
        raise refusal
    # A hard link names a path of the archive, a symbolic one starts at its own folder.
    if links.goes_outside(dirname(name) if member.issym() else "", target):
        raise refusal
