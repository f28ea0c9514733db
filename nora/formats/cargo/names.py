"""Names and versions of crates, and where the index has them."""

from __future__ import annotations

import re
from typing import Any, Final

from semver import Version

from nora.errors import InvalidName, quoted
from nora.formats.base import natural_order, precedence

LONGEST_NAME: Final = 64
LONGEST_VERSION: Final = 150
LARGEST_NUMBER: Final = 2**64 - 1
"""In a version."""
_name = re.compile(rf"[A-Za-z][A-Za-z0-9_-]{{0,{LONGEST_NAME - 1}}}").fullmatch
_RESERVED: Final = frozenset(
    {"nul", "con", "prn", "aux", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
)
"""What Windows does not take for the name of a file."""


def canonical(text: str) -> str:
    """What all spellings have in common that are one name: `Foo-Bar` and `foo_bar` are. It takes any text."""
    return text.lower().replace("-", "_")


class CrateName(str):
    """The name of a crate in the rows of the catalog, where `foo-bar` is `foo_bar`."""

    spelled: str
    """As it was written."""

    @classmethod
    def of(cls, text: str) -> CrateName:
        """Raises InvalidName."""
        if not _name(text):
            raise InvalidName(
                f"{quoted(text)!r} is no name of a crate: a letter, then letters, digits, `-` and `_`,"
                f" {LONGEST_NAME} characters at most"
            )
        if text.lower() in _RESERVED:
            raise InvalidName(f"{text!r} is reserved: Windows has no files of this name")
        found = cls(canonical(text))
        found.spelled = text
        return found

    @property
    def indexed(self) -> str:
        """As paths of the index spell it."""
        return self.spelled.lower()

    @property
    def index_path(self) -> str:
        """Where the index has it: `ca/rg/cargo`."""
        return f"{prefix_of(self.indexed)}/{self.indexed}"


def prefix_of(name: str) -> str:
    """The folder of a name in the index: `1`, `2`, `3/a` or `ca/rg`."""
    if len(name) < 3:
        return str(len(name))
    return f"3/{name[0]}" if len(name) == 3 else f"{name[:2]}/{name[2:4]}"


def parse_version(text: str) -> str:
    """A version by the letter of Semantic Versioning 2. Raises InvalidName."""
    if len(text) > LONGEST_VERSION or not text.isascii() or not Version.is_valid(text):
        raise InvalidName(f"{quoted(text)!r} is no version, such as 1.2.3 or 1.2.3-beta.1 (semver.org)")
    if max(Version.parse(text).to_tuple()[:3]) > LARGEST_NUMBER:
        raise InvalidName(f"{quoted(text)!r} has a number that cargo does not take: {LARGEST_NUMBER} at most")
    return text


def without_build(version: str) -> str:
    """Versions that differ in nothing else are the same to everybody who compares them."""
    return version.partition("+")[0]


def version_order(text: str) -> Any:
    """By precedence; what is no version comes first."""
    if len(text) <= LONGEST_VERSION and Version.is_valid(text):
        return 1, *precedence(text), text
    return 0, natural_order(text), text
