"""Digests that a client says of a body, and those that it is told (RFC 9530).

    Repr-Digest: sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:

of the whole thing, `Content-Digest` of what is in this message. What older clients say is understood as well:
`Content-MD5` (RFC 1864) and `X-Checksum-Sha512`, `-Sha256`, `-Sha1`, `-Md5`.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from blacksheep import Request

from nora.catalog.records import NewBlob
from nora.errors import DigestMismatch, InvalidDigest, quoted
from nora.model import Digest

_ALGORITHMS: Final = {"sha-512": "sha512", "sha-256": "sha256", "sha": "sha1", "md5": "md5"}
"""Keys of RFC 9530, 5, that are understood, and what they are called elsewhere here."""
_LENGTHS: Final = {"sha512": 64, "sha256": 32, "sha1": 20, "md5": 16}
_MEMBER = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):(?:;[^,]*)?")


def announced_digests(request: Request, *, of_message: bool = True) -> dict[str, str]:
    """The digests that a request says its content has, hexadecimal, by algorithm; unknown algorithms are left
    out. Without `of_message` those of the whole thing only, of which the body is a part. Raises InvalidDigest
    for what is no digest, and where two fields differ."""
    found: dict[str, str] = {}
    for field, algorithm, digest in _said(request, of_message=of_message):
        if len(digest) != _LENGTHS[algorithm]:
            raise InvalidDigest(f"{field}: a {algorithm} has {_LENGTHS[algorithm]} bytes, not {len(digest)}")
        if found.setdefault(algorithm, digest.hex()) != digest.hex():
            raise InvalidDigest(f"{field}: another field says another {algorithm}")
    return found


def check_digests(blob: NewBlob, announced: Mapping[str, str]) -> None:
    """That bytes have the digests that were announced, which were taken of them. Raises DigestMismatch."""
    taken = {**blob.checksums, "sha256": blob.digest.encoded}
    for algorithm, digest in announced.items():
        if taken[algorithm] != digest:
            raise DigestMismatch(
                f"the bytes have the {algorithm} {taken[algorithm]}, not {digest}, as was announced"
            )


def repr_digest(digest: Digest) -> tuple[bytes, bytes]:
    """The field that tells the digest of a whole representation."""
    name = b"sha-256" if digest.algorithm == "sha256" else b"sha-512"
    return b"repr-digest", b"%b=:%b:" % (name, b64encode(bytes.fromhex(digest.encoded)))


def _said(request: Request, *, of_message: bool) -> Iterator[tuple[str, str, bytes]]:
    for field in ("Repr-Digest", "Content-Digest") if of_message else ("Repr-Digest",):
        text = _field(request, field)
        yield from _members(field, text)
    for algorithm in ("sha512", "sha256", "sha1", "md5"):
        field = f"X-Checksum-{algorithm.title()}"
        if text := _field(request, field):
            yield field, algorithm, _decoded(field, text, bytes.fromhex)
    if of_message and (text := _field(request, "Content-MD5")):
        yield "Content-MD5", "md5", _decoded("Content-MD5", text, _base64)


def _members(field: str, text: str) -> Iterator[tuple[str, str, bytes]]:
    """Of a dictionary of byte sequences (RFC 8941, 3.2); of two members of one key the last one counts."""
    found: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        member = _MEMBER.fullmatch(part)
        if member is None:
            raise InvalidDigest(f"{field}: expected sha-256=:…: in base64, not {quoted(part)}")
        found[member[1]] = member[2]
    for key, value in found.items():
        if key in _ALGORITHMS:
            yield field, _ALGORITHMS[key], _decoded(field, value, _base64)


def _field(request: Request, name: str) -> str:
    return b", ".join(request.get_headers(name.lower().encode())).decode("latin-1").strip()


def _base64(text: str) -> bytes:
    return b64decode(text, validate=True)


def _decoded(field: str, text: str, decode: Callable[[str], bytes]) -> bytes:
    try:
        return decode(text)
    except ValueError:
        raise InvalidDigest(f"{field}: {quoted(text)} is no digest") from None
