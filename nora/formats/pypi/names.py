"""Names of projects, versions and files. Every value here is valid or does not exist."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import quote

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from nora.errors import InvalidName, quoted

PathKind = Literal["wheel", "sdist"]

EXTENSIONS = (
    *(".whl", ".tar.gz", ".zip", ".egg", ".tar.bz2", ".tgz", ".tar.xz", ".tar.z"),
    *(".exe", ".msi", ".rpm", ".deb", ".dmg"),
)
"""What files of a simple repository end in. Only the first three are taken in; the others are relics."""

MAX_NAME = 128
MAX_FILENAME = 255
MAX_VERSION = 200

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
# Nothing that means something to a URL, a shell, HTML or a file system; no leading dot or dash.
_FILENAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!~@=,-]*")


class ProjectName(str):
    """The normalized name of a project (PEP 503): `a--b`, `A._b` and `a-b` are all `a-b`."""

    __slots__ = ()

    @classmethod
    def of(cls, text: str) -> ProjectName:
        """Raises InvalidName for what is no name (PyPA name format; at most 128 characters)."""
        if len(text) > MAX_NAME or not _NAME.fullmatch(text):
            raise InvalidName(
                f"a project name is 1 to {MAX_NAME} ASCII letters, digits and . _ - and starts and ends with"
                " a letter or digit"
            )
        return cls(canonicalize_name(text))

    @property
    def escaped(self) -> str:
        """As it is written in the names of files and of folders in them: `a_b` (PEP 427, PEP 625)."""
        return self.replace("-", "_")


@dataclass(frozen=True, slots=True)
class Distribution:
    """What the name of a wheel or sdist says."""

    filename: str
    project: ProjectName
    version: str
    """Normalized (PEP 440)."""
    kind: PathKind

    def check(self, project: ProjectName, version: str) -> None:
        """Raises InvalidName unless the file is named as one of this release must be.

        An sdist is spelled as PEP 625 has it. Wheels, which PEP 427 lets nobody misread, may be spelled
        otherwise (`PyYAML-6.0.3-….whl`): much that is in use still builds them so.
        """
        spelled = self.filename.partition("-")[0]
        if self.project != project or (self.kind == "sdist" and spelled != project.escaped):
            raise InvalidName(f"the name of a {self.kind} of {project} starts with {project.escaped}-")
        if self.version != normalize_version(version):
            raise InvalidName(f"the file name says version {self.version}, not {quoted(version)}")


def normalize_version(text: str) -> str:
    """A version in its normal form (PEP 440). Raises InvalidName."""
    if len(text) > MAX_VERSION:
        raise InvalidName(f"a version is at most {MAX_VERSION} characters")
    try:
        return str(Version(text))
    except InvalidVersion:
        raise InvalidName("a version follows PEP 440, as 1.0, 2.1rc1 or 1.0+local") from None


def is_filename(text: str) -> bool:
    """Whether this may be the name of a listed file: safe in a path, a URL, a header and a page."""
    return (
        len(text) <= MAX_FILENAME
        and _FILENAME.fullmatch(text) is not None
        and text.lower().endswith(EXTENSIONS)
    )


def parse_filename(filename: str) -> Distribution:
    """What the name of a wheel or sdist says. Raises InvalidName for every other name."""
    if not is_filename(filename):
        raise InvalidName(
            f"a file name is at most {MAX_FILENAME} of A-Z a-z 0-9 . _ + ! ~ @ = , - and ends in .whl,"
            " .tar.gz or .zip"
        )
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
        else:
            name, version = parse_sdist_filename(filename)
    except InvalidWheelFilename:
        raise InvalidName(
            "a wheel is named <name>-<version>(-<build>)-<python>-<abi>-<platform>.whl"
        ) from None
    except InvalidSdistFilename:
        raise InvalidName("an sdist is named <name>-<version>.tar.gz") from None
    kind: PathKind = "wheel" if filename.endswith(".whl") else "sdist"
    return Distribution(filename, ProjectName.of(name), normalize_version(str(version)), kind)


def quote_filename(filename: str) -> str:
    """A file name as a relative URL: `+` is `%2B`, because some servers and stores take it for a space."""
    return filename if filename.isidentifier() else quote(filename, safe="")


@lru_cache(maxsize=4096)
def _normal_or_none(text: str) -> str | None:
    try:
        return normalize_version(text)
    except InvalidName:
        return None


def version_of(filename: str) -> str | None:
    """The version that a listed file belongs to; None where its name does not say it.

    For whole listings: far quicker than `parse_filename`, and does not mind what else is in the name. It
    knows the version of whatever an installer takes: a block of it would not hold otherwise.
    """
    lower = filename.lower()
    if lower.endswith((".whl", ".egg")):
        parts = filename.split("-", 2)
        return _normal_or_none(parts[1]) if len(parts) == 3 else None
    for end in (".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tar.z"):
        if lower.endswith(end):
            _, dash, version = filename[: -len(end)].rpartition("-")
            return _normal_or_none(version) if dash else None
    return None


def version_order(version: str) -> tuple[bool, Version | str]:
    """The key by which versions are sorted (PEP 440), those of older times first."""
    try:
        return True, Version(version)
    except ValueError:  # InvalidVersion, or more digits than int() takes
        return False, version
