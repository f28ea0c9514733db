"""What kind of file one is: as it is said, else as its name tells."""

from __future__ import annotations

from mimetypes import MimeTypes
from typing import Final

from nora.errors import BadRequest, quoted

OCTETS: Final = "application/octet-stream"
LONGEST: Final = 255
_FORMS: Final = frozenset({"application/x-www-form-urlencoded"})
"""What curl says of any body that it is given as data."""
_PACKED: Final = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "br": OCTETS,
    "compress": "application/x-compress",
}
_known = MimeTypes().guess_type
"""The table of Python alone: that of the system is another one on each machine."""


def guess_media_type(path: str) -> str:
    """That of the extension; a packed file is of the kind that it is packed as."""
    found, packed = _known(path)
    return _PACKED.get(packed, OCTETS) if packed else found or OCTETS


def parse_media_type(said: str | None, path: str) -> str:
    """The `Content-Type` of a file that is put at a path, as it said; `guess_media_type` where it says
    nothing. Raises BadRequest."""
    said = said and said.strip()
    if not said or said.partition(";")[0].lower() in _FORMS:
        return guess_media_type(path)
    if len(said) > LONGEST or not said.isascii() or not said.isprintable() or "/" not in said:
        raise BadRequest(f"Content-Type: expected a media type such as text/plain, not {quoted(said)}")
    return said
