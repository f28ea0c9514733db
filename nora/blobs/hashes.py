"""What is known of bytes when all of them have passed: their hashes, and the row that they want."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from nora._speedups import ALGORITHMS
from nora.catalog.records import Blob, NewBlob
from nora.errors import DigestMismatch, StorageFailed
from nora.model import Digest

if TYPE_CHECKING:
    from nora._speedups import Hasher
    from nora.blobs.base import Expect


def new_generation() -> int:
    """A number that nobody else draws; it fits into a signed column of 64 bits."""
    return int.from_bytes(os.urandom(8), "big") >> 1


def algorithms(expect: Expect) -> tuple[str, ...]:
    """The digests to take: sha256 always, that of the announced digest, and those asked for."""
    announced = (expect.digest.algorithm,) if expect.digest is not None else ()
    return tuple(dict.fromkeys(("sha256", *announced, *expect.also)))


def describe(hashes: dict[str, str], size: int, announced: Digest | None) -> NewBlob:
    """The row that bytes with these hashes want, under a new generation. Raises DigestMismatch."""
    if announced is not None and hashes[announced.algorithm] != announced.encoded:
        found = f"{announced.algorithm}:{hashes[announced.algorithm]}"
        raise DigestMismatch(f"the bytes are {found}, not {announced}")
    checksums = {name: value for name, value in hashes.items() if name not in {"sha256", "xxh3"}}
    return NewBlob(
        digest=Digest(f"sha256:{hashes['sha256']}"),
        size=size,
        xxh3=hashes["xxh3"],
        generation=new_generation(),
        aliases=tuple(Digest(f"{name}:{value}") for name, value in checksums.items() if name in ALGORITHMS),
        checksums=checksums,
    )


def describe_seen(hasher: Hasher, expect: Expect) -> NewBlob:
    """The row that the bytes want which `hasher` has seen. Raises DigestMismatch."""
    hashes = {algorithm: hasher.hexdigest(algorithm) for algorithm in algorithms(expect)}
    return describe(hashes | {"xxh3": hasher.xxh3()}, hasher.size, expect.digest)


def verified(data: bytes, blob: Blob | NewBlob) -> bytes:
    """All bytes that were read of a blob, if they are what was written. Raises StorageFailed."""
    if len(data) != blob.size or hashlib.sha256(data).hexdigest() != blob.digest.encoded:
        raise damaged(blob)
    return data


class DamagedBlob(StorageFailed):
    """Other bytes were read than were written."""


def damaged(blob: Blob | NewBlob) -> DamagedBlob:
    """What is said where other bytes are read than were written."""
    return DamagedBlob(f"the stored bytes of {blob.digest} are damaged: put them again")
