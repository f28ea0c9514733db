"""Whole small files: the pure Python twin of `files_c`."""

from __future__ import annotations

import os
from contextlib import suppress
from errno import EIO

DURABLE_NOT, DURABLE_DATA, DURABLE_FULL = 0, 1, 2
"""What survives a power loss: nothing, the bytes, or the bytes under their name."""


def store_file(temp: str, path: str, data: bytes, durability: int) -> None:
    """Write `data` to a new file `temp`, make it durable, and only then give it its name `path`.

    Neither may exist; both are on one file system. Raises OSError, and leaves neither behind then; ValueError
    for a name with a NUL.
    """
    _check(temp, path, data, durability)
    descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    name = temp
    try:
        view = memoryview(data)
        while view:
            written = os.write(descriptor, view)
            if not written:
                raise OSError(EIO, os.strerror(EIO))
            view = view[written:]
        if durability >= DURABLE_DATA:
            os.fsync(descriptor)
        os.rename(temp, path)
        name = path
        if durability >= DURABLE_FULL:
            _sync_folder(path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    finally:
        os.close(descriptor)


def _sync_folder(path: str) -> None:
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check(temp: str, path: str, data: bytes, durability: int) -> None:
    for name in (temp, path):
        if not isinstance(name, str):
            raise TypeError(f"a path must be str, not {type(name).__name__}")
        if "/" not in name or "\0" in name:
            raise ValueError("a path must name its folder and have no NUL")
    if not isinstance(data, bytes):
        raise TypeError(f"data must be bytes, not {type(data).__name__}")
    if not isinstance(durability, int):
        raise TypeError(f"durability must be int, not {type(durability).__name__}")
    if not DURABLE_NOT <= durability <= DURABLE_FULL:
        raise ValueError("durability is not between 0 and 2")
