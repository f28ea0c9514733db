"""Names, versions and tags of packages, and the names of their files.

What is published here follows today's rules (validate-npm-package-name); what is read may be older than them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from nora.errors import InvalidName, InvalidTag, quoted
from nora.formats.base import natural_order, precedence

LONGEST_NAME: Final = 214
LONGEST_VERSION: Final = 256
LONGEST_TAG: Final = 128
LARGEST_NUMBER: Final = 2**53 - 1
"""In a version: node-semver takes no larger one."""
_readable = re.compile(r"(?:@[\w~!*'().-]+/)?(?!\.)[\w~!*'().-]+", re.ASCII).fullmatch
_writable = re.compile(r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*").fullmatch
_RESERVED: Final = frozenset({"-", "node_modules", "favicon.ico", "constructor", "prototype"})
"""What paths, folders and objects of JavaScript have already."""
_version = re.compile(
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(?:-((?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
).fullmatch
"""Semantic Versioning 2.0.0."""
_tag = re.compile(r"[A-Za-z0-9_!'()][A-Za-z0-9._~!'()-]*").fullmatch
_range = re.compile(r"[v=]*(?:\d+|[xX])(?:\.(?:\d+|[xX])){0,2}(?:-[0-9A-Za-z.-]+)?").fullmatch
_filename = re.compile(r"[\w~!'().+-]+\.tgz", re.ASCII).fullmatch


class PackageName(str):
    """The name of a package: `name` or `@scope/name`."""

    __slots__ = ()

    @classmethod
    def of(cls, text: str) -> PackageName:
        """A name that may be read. Raises InvalidName."""
        if len(text) > LONGEST_NAME or not _readable(text) or "/.." in text or text.startswith("@../"):
            raise InvalidName(f"{quoted(text)!r} is no name of a package: `name` or `@scope/name`")
        return cls(text)

    @property
    def scope(self) -> str:
        """`@scope`; empty where there is none."""
        return self.partition("/")[0] if self.startswith("@") else ""

    @property
    def base(self) -> str:
        """The name without its scope."""
        return self.rpartition("/")[2]

    @property
    def escaped(self) -> str:
        """As in the path of an upstream."""
        return self.replace("/", "%2f")

    def check_new(self) -> None:
        """That something may be published under it. Raises InvalidName."""
        if not _writable(self) or self.base in _RESERVED:
            raise InvalidName(
                f"{quoted(self)!r} is no name for a new package: lower-case letters, digits, `-`, `.`, `_`"
                f" and `~`, neither `.` nor `_` in front, {LONGEST_NAME} characters at most"
            )

    def file(self, version: str) -> str:
        """The name of the file of a version."""
        return f"{self.base}-{version}.tgz"

    def version_in(self, filename: str) -> str:
        """The version that a file of this name is of; empty where that cannot be told."""
        start = f"{self.base}-"
        return filename[len(start) : -4] if filename.startswith(start) and filename.endswith(".tgz") else ""


def canonical(text: str) -> str:
    """A name or a pattern of names, however its separator is written. It takes any text."""
    return text.replace("%2f", "/").replace("%2F", "/")


def is_filename(text: str) -> bool:
    """Whether a text is the name of a tarball."""
    return len(text) <= 512 and bool(_filename(text)) and not text.startswith(".")


def parse_version(text: str) -> str:
    """A version that is published, or named exactly. Raises InvalidName."""
    if not is_version(text):
        raise InvalidName(f"{quoted(text)!r} is no version, such as 1.2.3 or 1.2.3-beta.1 (semver.org)")
    return text


def is_version(text: str) -> bool:
    """Whether a text is a version by the letter of Semantic Versioning 2, as far as node-semver takes it."""
    if len(text) > LONGEST_VERSION:
        return False
    found = _version(text)
    return found is not None and all(int(found[place]) <= LARGEST_NUMBER for place in (1, 2, 3))


def parse_tag(text: str) -> str:
    """A distribution tag, which is no range of versions. Raises InvalidTag."""
    if len(text) > LONGEST_TAG or not _tag(text) or _range(text):
        raise InvalidTag(
            f"{quoted(text)!r} is no tag: letters, digits and `._~!'()-`, and nothing that is a version or a"
            " range of versions, such as 1.2 or v3"
        )
    return text


def version_order(text: str) -> Any:
    """By precedence; what is no version comes first."""
    if len(text) > LONGEST_VERSION or not _version(text):
        return 0, (), False, (), natural_order(text)
    return 1, *precedence(text), natural_order(text)


def is_prerelease(version: str) -> bool:
    """Whether a version comes before a release."""
    return "-" in version.partition("+")[0]


def newest(versions: Iterable[str]) -> str:
    """That of the highest precedence, what is no release only where there is nothing else."""
    return max(versions, key=lambda one: (not is_prerelease(one), version_order(one)))
