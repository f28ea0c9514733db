"""Checksums beside files: `lib-1.0.jar.sha1` holds the digest of `lib-1.0.jar`.

Tools write them in several forms. What NORA answers is the barest one, which all clients read.
"""

from __future__ import annotations

import re
from typing import Final

from nora.errors import BadRequest, quoted

ALGORITHMS: Final = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
"""By the suffix of the file, in hexadecimal digits."""
SUFFIXES: Final = tuple(f".{one}" for one in ALGORITHMS)
MEDIA_TYPE: Final = b"text/plain"
LARGEST: Final = 4096
"""Bytes: a digest and the name of a file."""
_bare_or_named = re.compile(r"([0-9a-fA-F]+)(?:[ \t]+\*?[^\r\n]*)?").fullmatch
"""As sha1sum writes it, for a binary file with a star."""
_tagged = re.compile(r"[A-Za-z0-9-]+[ \t]*\([^\r\n]*\)[ \t]*=[ \t]*([0-9a-fA-F]+)").fullmatch
"""As BSD and openssl write it: `SHA1 (lib-1.0.jar) = …`."""


def parse_checksum(body: bytes, algorithm: str) -> str:
    """The digest in the body of a checksum, in lower case. Raises BadRequest."""
    text = body.decode("ascii", "replace").strip()
    found = _bare_or_named(text) or _tagged(text)
    if found is None or len(found[1]) != ALGORITHMS[algorithm]:
        raise BadRequest(
            f"this is no {algorithm}: expected {ALGORITHMS[algorithm]} hexadecimal digits,"
            f" got {quoted(text)!r}"
        )
    return found[1].lower()


def render_checksum(digest: str) -> bytes:
    """The body of a checksum, without a newline."""
    return digest.lower().encode()
