"""Hashes of any kind, checked when all bytes are there."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from nora.blobs.checksums import are_right, is_right
from nora.errors import StorageFailed
from tests.support.tables import each

ALGORITHMS: dict[str, Callable[[bytes], Any]] = {
    **{
        name: partial(hashlib.new, name)
        for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "sha3_512")
    },
    "blake2b": hashlib.blake2b,
    "blake2b_256": partial(hashlib.blake2b, digest_size=32),
    "blake2s": hashlib.blake2s,
}


@each("algorithm", ALGORITHMS)
def test_each_hash_is_checked(algorithm: str) -> None:
    told = {algorithm: ALGORITHMS[algorithm](b"bytes").hexdigest()}
    assert are_right(io.BytesIO(b"bytes"), told)
    assert not are_right(io.BytesIO(b"other bytes"), told)


def test_the_strongest_hash_counts() -> None:
    md5, sha384 = (ALGORITHMS[name](b"bytes").hexdigest() for name in ("md5", "sha384"))
    assert are_right(io.BytesIO(b"bytes"), {"md5": "0" * 32, "sha384": sha384, "crc32": "00000000"})
    assert not are_right(io.BytesIO(b"bytes"), {"md5": md5, "sha384": "0" * 96})
    assert are_right(io.BytesIO(b"bytes"), {"crc32": "00000000"}), "there is none that could be checked"


def test_a_file_that_cannot_be_read_is_not_wrong() -> None:
    with pytest.raises(StorageFailed):
        is_right("/nowhere", {"md5": "0" * 32})
