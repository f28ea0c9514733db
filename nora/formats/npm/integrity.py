"""The hashes of a tarball, as `dist` tells them: `integrity` (Subresource Integrity) and `shasum` (sha1)."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Mapping
from typing import Any, Final

from nora.errors import BadRequest, quoted

_LENGTHS: Final = {"sha512": 64, "sha384": 48, "sha256": 32, "sha1": 20, "md5": 16}
_sha1 = re.compile(r"[0-9a-f]{40}").fullmatch


def hashes_of(dist: Mapping[str, Any]) -> dict[str, str]:
    """Hexadecimal, by algorithm; what cannot be read is left out."""
    found: dict[str, str] = {}
    integrity = dist.get("integrity")
    for one in integrity.split() if isinstance(integrity, str) else ():
        algorithm, _, encoded = one.partition("?")[0].partition("-")
        digest = _decoded(encoded)
        if digest is not None and len(digest) == _LENGTHS.get(algorithm):
            found.setdefault(algorithm, digest.hex())
    shasum = dist.get("shasum")
    if isinstance(shasum, str) and _sha1(shasum.lower()):
        found.setdefault("sha1", shasum.lower())
    return found


def check_hashes(dist: Mapping[str, Any], found: Mapping[str, str]) -> None:
    """That a tarball with these hashes is the one that `dist` is about. Raises BadRequest."""
    for field in ("integrity", "shasum"):
        said = dist.get(field)
        if said is None or said == "":
            continue
        told = hashes_of({field: said})
        if not told:
            raise BadRequest(f"dist.{field} cannot be read: {quoted(said)!r}")
        for algorithm, digest in told.items():
            if algorithm in found and found[algorithm] != digest:
                raise BadRequest(f"the tarball does not have the {algorithm} that dist.{field} tells")


def integrity(sha512: str) -> str:
    """What `dist` says, of a hexadecimal digest."""
    return f"sha512-{b64encode(bytes.fromhex(sha512)).decode()}"


def _decoded(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except (Error, ValueError):
        return None
