"""Archives whose files are kept one by one: what is in a zip, a `.tar.gz` or a tar, read in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from posixpath import normpath
from typing import IO, Final, NamedTuple, TypeVar

from nora.archives import DAMAGED, Limits
from nora.archives.tars import open_tar
from nora.archives.zips import ZIP_ERRORS, open_zip
from nora.errors import InvalidPackageFile, StorageFailed, quoted

T = TypeVar("T")
PIECE: Final = 1 << 20
_ZIP: Final = b"PK"


class PackedFile(NamedTuple):
    """A file of an archive, to be read before the next one is asked for."""

    path: str
    """Within the archive, normalized."""
    content: IO[bytes]

    async def pieces(self) -> AsyncIterator[bytes]:
        """Its bytes. Raises InvalidPackageFile, StorageFailed."""
        while piece := await _read(self.content.read, PIECE):
            yield piece


@asynccontextmanager
async def unpacking(path: str, limits: Limits) -> AsyncIterator[AsyncIterator[PackedFile]]:
    """The files of an archive. Directories are what their paths say; there is none without a file.

    Raises InvalidPackageFile for what is no archive, is damaged, holds links, or too much; StorageFailed.
    """
    opened = _open(path, limits)
    files = await asyncio.to_thread(opened.__enter__)
    try:
        yield _each(files)
    except BaseException as error:
        if not await asyncio.to_thread(opened.__exit__, type(error), error, error.__traceback__):
            raise
    else:
        await asyncio.to_thread(opened.__exit__, None, None, None)


async def _each(files: Iterator[PackedFile]) -> AsyncIterator[PackedFile]:
    while (file := await _read(next, files, None)) is not None:
        yield file


async def _read(read: Callable[..., T], *arguments: object) -> T:
    """In a thread. What is wrong is said at once: who has taken files before lets go of them then."""
    try:
        return await asyncio.to_thread(read, *arguments)
    except (*DAMAGED, *ZIP_ERRORS) as error:
        raise InvalidPackageFile(f"the archive is not intact: {quoted(error)}") from error
    except OSError as error:
        raise StorageFailed(f"an uploaded file cannot be read: {error.strerror}") from error


@contextmanager
def _open(path: str, limits: Limits) -> Iterator[Iterator[PackedFile]]:
    if _magic(path) == _ZIP:
        with open_zip(path, limits) as archive:
            names = (one for one in archive.infolist() if not one.is_dir())
            yield _checked((one.filename, archive.open(one)) for one in names)
        return
    with open_tar(path, limits, may_be_plain=True) as members:
        yield _checked(
            (one.name, archive.extractfile(one) if one.isfile() else None)
            for one, archive in members
            if not one.isdir()
        )


def _checked(found: Iterator[tuple[str, IO[bytes] | None]]) -> Iterator[PackedFile]:
    seen = set()
    for name, content in found:
        path = normpath(name)
        if content is None:
            raise InvalidPackageFile(f"{quoted(name)} is a link: put the file itself")
        if path == ".":
            raise InvalidPackageFile(f"{quoted(name)!r} is the name of no file")
        if path in seen:
            raise InvalidPackageFile(f"the archive has two files of one name: {quoted(path)!r}")
        seen.add(path)
        yield PackedFile(path, content)


def _magic(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(2)
    except OSError as error:
        raise StorageFailed(f"an uploaded file cannot be read: {error.strerror}") from error
