"""Paths: what files are called."""

from __future__ import annotations

from typing import Final
from unicodedata import normalize

from nora.errors import InvalidName, quoted

OWN: Final = "-"
"""The first segment of what is no path of a file: upload sessions."""
LONGEST_SEGMENT: Final = 255
LONGEST_PATH: Final = 1024


def composed(text: str) -> str:
    """As paths are spelled here."""
    return normalize("NFC", text)


class FilePath(str):
    """The path of a file within its repository: `builds/7/app.tar.gz`. One that ends in a slash is of a
    directory.

    In Unicode's composed form (NFC), so that all systems mean the same file; of printable characters,
    segments of at most 255 bytes, and 1024 in all. Case counts, and nothing else is special.
    """

    __slots__ = ()

    @classmethod
    def of(cls, text: str) -> FilePath:
        """One whose segments are names (see nora.http.paths). Raises InvalidName."""
        path = composed(text)
        if not path.isprintable():
            raise InvalidName(f"a path is of printable characters, not {quoted(ascii(path))}")
        if path == OWN or path.startswith(f"{OWN}/"):
            raise InvalidName(f"what begins with {OWN}/ is for NORA itself")
        if len(path.encode()) > LONGEST_PATH:
            raise InvalidName(f"a path has at most {LONGEST_PATH} bytes")
        if any(len(one.encode()) > LONGEST_SEGMENT for one in path.split("/")):
            raise InvalidName(f"a segment of a path has at most {LONGEST_SEGMENT} bytes")
        return cls(path)
