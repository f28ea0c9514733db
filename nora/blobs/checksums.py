"""The hashes that a document lists of a file, of any kind, and whether bytes have them."""

from __future__ import annotations

import hashlib
import hmac
import io
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from nora.errors import StorageFailed
from nora.model import Digest

_ALGORITHMS: Final[Mapping[str, Callable[..., Any]]] = {
    "sha512": hashlib.sha512,
    "sha3_512": hashlib.sha3_512,
    "blake2b": hashlib.blake2b,
    "sha384": hashlib.sha384,
    "sha256": hashlib.sha256,
    "sha3_256": hashlib.sha3_256,
    "blake2b_256": partial(hashlib.blake2b, digest_size=32),
    "blake2s": hashlib.blake2s,
    "sha224": hashlib.sha224,
    "sha1": partial(hashlib.sha1, usedforsecurity=False),
    "md5": partial(hashlib.md5, usedforsecurity=False),
}
"""What every Python has, the strongest first."""


def strongest(hashes: Mapping[str, str]) -> str | None:
    """The algorithm by which bytes are checked; None where all are unknown."""
    return next((algorithm for algorithm in _ALGORITHMS if algorithm in hashes), None)


def early_digest(hashes: Mapping[str, str]) -> Digest | None:
    """The strongest digest that can be checked while the bytes come in. Raises InvalidDigest."""
    found = (Digest(f"{name}:{hashes[name]}") for name in ("sha256", "sha512") if name in hashes)
    return next(found, None)


def are_right(file: io.BytesIO | io.FileIO, hashes: Mapping[str, str]) -> bool:
    """Whether all bytes of a file have the strongest of its hashes. True where there is none to check."""
    algorithm = strongest(hashes)
    if algorithm is None:
        return True
    found = hashlib.file_digest(file, _ALGORITHMS[algorithm]).hexdigest()
    return hmac.compare_digest(found, hashes[algorithm])


def is_right(path: str, hashes: Mapping[str, str]) -> bool:
    """As `are_right`, of a stored file: not for the event loop. Raises StorageFailed."""
    try:
        with io.FileIO(path) as file:
            return are_right(file, hashes)
    except OSError as error:
        raise StorageFailed(f"a stored file cannot be read: {error.strerror}") from error
