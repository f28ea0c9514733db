"""Digests of what is received and read: the pure Python twin of `digest_c`, on hashlib and xxhash."""

from __future__ import annotations

import hashlib
import os
import sys
from errno import EIO
from typing import Any, Self

import xxhash

ALGORITHMS = ("sha256", "sha512")
"""What bytes are named by (image-spec, "Registered algorithms")."""

CHECKSUMS = ("sha1", "md5", "blake2b_256")
"""What a Hasher can be asked for besides: package managers compare them, nothing is named by them."""

_LIMIT = 1 << 63
_PIECE = 1 << 20

if sys.platform == "win32":  # one process, for development: nobody else moves the position of the file

    def _pwrite(fd: int, data: memoryview, offset: int) -> int:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.write(fd, data)

    def _pread(fd: int, length: int, offset: int) -> bytes:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, length)

else:
    _pwrite, _pread = os.pwrite, os.pread


class Hasher:
    """All digests of a stream of bytes in one pass: the algorithms asked for, and always xxh3_128.

    One thread at a time. Raises ValueError for an algorithm that is in neither `ALGORITHMS` nor
    `CHECKSUMS`.
    """

    __slots__ = ("_hashes", "_size", "_xxh3")

    def __init__(self, *algorithms: str) -> None:
        self._hashes: dict[str, Any] = {}
        for algorithm in algorithms:
            _check_algorithm(algorithm)
            self._hashes[algorithm] = _new_hash(algorithm)
        self._xxh3 = xxhash.xxh3_128()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes taken so far."""
        return self._size

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take `data` into every digest."""
        self._take(_view(data))

    def write(self, fd: int, data: bytes | bytearray | memoryview, offset: int) -> None:
        """Write all of `data` to the file at `offset` (in bytes) and take it into every digest.

        Raises OSError when the file does not take it all; nothing is taken into the digests then.
        """
        view = _view(data)
        _check_integer("fd", fd, 1 << 31)
        _check_integer("offset", offset, _LIMIT)
        done = 0
        while done < len(view):
            written = _pwrite(fd, view[done:], offset + done)
            if not written:
                raise OSError(EIO, os.strerror(EIO))
            done += written
        self._take(view)

    def _take(self, view: memoryview) -> None:
        for running in self._hashes.values():
            running.update(view)
        self._xxh3.update(view)
        self._size += len(view)

    def hexdigest(self, algorithm: str) -> str:
        """The digest so far, lower-case hexadecimal; ValueError when it was not asked for at the start."""
        _check_algorithm(algorithm)
        if algorithm not in self._hashes:
            raise ValueError(f"{algorithm} was not taken")
        digits: str = self._hashes[algorithm].hexdigest()
        return digits

    def xxh3(self) -> str:
        """The XXH3-128 so far, 32 hexadecimal digits. For scrubs and cache keys, never for identity."""
        return self._xxh3.hexdigest()

    def copy(self) -> Self:
        """A hasher that goes on from here by itself."""
        other = type(self)()
        other._hashes = {algorithm: running.copy() for algorithm, running in self._hashes.items()}
        other._xxh3 = self._xxh3.copy()
        other._size = self._size
        return other


def hash_file(fd: int, *algorithms: str, offset: int = 0, length: int | None = None) -> Hasher:
    """Hash `length` bytes of a file from `offset` on, or up to its end: the hasher's size says how many.

    The position of the file is neither used nor moved. Raises OSError when a read fails.
    """
    hasher = Hasher(*algorithms)
    _check_integer("fd", fd, 1 << 31)
    _check_integer("offset", offset, _LIMIT)
    if length is not None:
        _check_integer("length", length, _LIMIT)
    while length is None or hasher.size < length:
        wanted = _PIECE if length is None else min(_PIECE, length - hasher.size)
        data = _pread(fd, wanted, offset + hasher.size)
        if not data:
            break
        hasher.update(data)
    return hasher


def _new_hash(algorithm: str) -> Any:
    if algorithm == "blake2b_256":
        return hashlib.blake2b(digest_size=32, usedforsecurity=False)
    return hashlib.new(algorithm, usedforsecurity=False)


def _check_algorithm(algorithm: str) -> None:
    if not isinstance(algorithm, str):
        raise TypeError(f"algorithm must be str, not {type(algorithm).__name__}")
    if algorithm not in ALGORITHMS + CHECKSUMS:
        raise ValueError("algorithm is none of sha256, sha512, sha1, md5, blake2b_256")


def _check_integer(name: str, value: int, limit: int) -> None:
    if not isinstance(value, int):
        raise TypeError(f"{name} must be int, not {type(value).__name__}")
    if not 0 <= value < limit:
        raise ValueError(f"{name} is not between 0 and {limit - 1}")


def _view(data: bytes | bytearray | memoryview) -> memoryview:
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"data must be bytes, bytearray or memoryview, not {type(data).__name__}")
    view = memoryview(data)
    if view.ndim != 1 or view.itemsize != 1 or not view.c_contiguous:
        raise TypeError("data is not a contiguous run of bytes")
    return view
