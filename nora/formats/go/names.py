"""Paths and versions of modules, and how they are escaped on the wire (golang.org/x/mod/module).

On the wire an upper-case letter is an exclamation mark with the letter in lower case: file systems that do
not tell them apart must not mix up modules. `github.com/Azure/x` is `github.com/!azure/x` there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from nora.errors import InvalidName, quoted
from nora.formats.base import natural_order, precedence

LONGEST_PATH: Final = 1024
LONGEST_VERSION: Final = 128
INCOMPATIBLE: Final = "+incompatible"
_path_element = re.compile(r"[A-Za-z0-9_~-](?:[A-Za-z0-9._~-]*[A-Za-z0-9_~-])?").fullmatch
_domain = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9-])?").fullmatch
_file_characters = re.compile(r"[A-Za-z0-9!#$%&()+,.=@\[\]^_{}~ -]*").fullmatch
_short_name = re.compile(r".*~[0-9]+", re.DOTALL).fullmatch
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
)
"""What Windows does not take for the name of a file, whatever comes after a dot."""
_escaped = re.compile(r"(?:[^A-Z!]|![a-z])*", re.ASCII).fullmatch
_NUMBER: Final = r"(?:0|[1-9][0-9]*)"
_canonical = re.compile(
    rf"v({_NUMBER})\.({_NUMBER})\.({_NUMBER})"
    rf"(?:-(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?"
    r"(?:\+incompatible)?"
).fullmatch
_pseudo = re.compile(
    r"v[0-9]+\.(?:0\.0-|[0-9]+\.[0-9]+-(?:[^+]*\.)?0\.)[0-9]{14}-[A-Za-z0-9]+(?:\+incompatible)?"
).fullmatch
_major = re.compile(r"(?P<prefix>.+)/v(?P<major>[0-9.]+)").fullmatch
_gopkg = re.compile(r"gopkg\.in/.+\.v(?:0|[1-9][0-9]*)(?:-unstable)?").fullmatch


class ModulePath(str):
    """The path of a module, as `go.mod` spells it."""

    @classmethod
    def of(cls, text: str) -> ModulePath:
        """Raises InvalidName (module.CheckPath)."""
        if len(text) > LONGEST_PATH:
            raise InvalidName(f"the path of a module has at most {LONGEST_PATH} characters")
        first, *_ = elements = text.split("/")
        for one in elements:
            if not _path_element(one):
                raise _no_path(text, f"{quoted(one)!r} is no element of it")
            short = one.partition(".")[0]
            if short.lower() in _RESERVED or _short_name(short):
                raise _no_path(text, f"Windows has no files of the name {one}")
        if "." not in first or not _domain(first):
            raise _no_path(text, "it begins with the name of a host, in lower case")
        if major_of(text) is None:
            raise _no_path(text, "what it ends with is no major version from v2 on")
        return cls(text)

    @classmethod
    def unescaped(cls, text: str) -> ModulePath:
        """As it is spelled on the wire. Raises InvalidName."""
        return cls.of(unescape(text))

    @property
    def escaped(self) -> str:
        """As it is spelled on the wire."""
        return escape(self)

    @property
    def parents(self) -> Iterator[str]:
        """The paths in which it is."""
        at = self.rfind("/")
        while at > 0:
            yield self[:at]
            at = self.rfind("/", 0, at)

    @property
    def related(self) -> tuple[str, ...]:
        """What it is known by besides: to ask for it tells of what it is in, and of what is in it, where all
        of that is reserved. All of them are of the same people: go looks for a package in each of these."""
        return (*self.parents, f"{self}/")


def _no_path(text: str, why: str) -> InvalidName:
    return InvalidName(f"{quoted(text)!r} is no path of a module such as example.com/team/lib: {why}")


def escape(text: str) -> str:
    """A path or a version for the wire."""
    return re.sub("[A-Z]", lambda letter: f"!{letter[0].lower()}", text)


def unescape(text: str) -> str:
    """What is spelled so on the wire. Raises InvalidName."""
    if not text.isascii() or not _escaped(text):
        raise InvalidName(f"{quoted(text)!r} is not escaped: an upper-case letter is !, then in lower case")
    return re.sub("!([a-z])", lambda found: found[1].upper(), text)


def major_of(path: str) -> str | None:
    """The major version that a path ends with, `v2`, or ``; None for an ending that must not be
    (module.SplitPathVersion)."""
    if path.startswith("gopkg.in/"):
        return path.rpartition(".")[2].removesuffix("-unstable") if _gopkg(path) else None
    found = _major(path)
    if found is None:
        return ""
    major = found["major"]
    return None if "." in major or major.startswith("0") or major == "1" else f"v{major}"


def check_file_path(path: str) -> None:
    """That all systems can have a file of this path (module.CheckFilePath). Raises InvalidName."""
    for one in path.split("/"):
        if not one.strip("."):
            raise InvalidName(f"{quoted(path)!r} has an empty element, or one of dots")
        if one.endswith(".") or one.partition(".")[0].lower() in _RESERVED:
            raise InvalidName(f"{quoted(path)!r}: Windows has no files of the name {quoted(one)!r}")
        others = set() if one.isascii() else {letter for letter in one if not letter.isascii()}
        ascii_part = one.translate(dict.fromkeys(map(ord, others))) if others else one
        if not _file_characters(ascii_part) or not all(map(str.isalpha, others)):
            raise InvalidName(f"{quoted(path)!r} has a character that no path of a module's file has")


@lru_cache(4096)
def is_canonical(text: str) -> bool:
    """Whether it is a version in full: `v1.2.3`, and nothing that a repository may give another meaning."""
    return len(text) <= LONGEST_VERSION and bool(_canonical(text))


def is_pseudo(version: str) -> bool:
    """Whether it names a commit without a tag."""
    return bool(_pseudo(version))


def parse_query(text: str) -> str:
    """A version, or what stands for one - a branch, a tag, a commit - as it is spelled on the wire. Raises
    InvalidName (module.EscapeVersion)."""
    query = unescape(text)
    if len(query) > 4 * LONGEST_VERSION or "!" in query:
        raise InvalidName(f"{quoted(query)!r} is no version")
    check_file_path(query)
    return query


def parse_version(text: str) -> str:
    """A version in full, also as it is spelled on the wire. Raises InvalidName."""
    version = unescape(text) if "!" in text else text
    if not is_canonical(version):
        raise InvalidName(f"{quoted(text)!r} is no version such as v1.2.3 or v1.2.3-beta.1")
    return version


def check_major(module: ModulePath, version: str) -> None:
    """That a version is one of a module of this path (module.CheckPathMajor). Raises InvalidName."""
    major, said = major_of(module), version.partition(".")[0]
    if not major:
        if said in ("v0", "v1") or version.endswith(INCOMPATIBLE):
            return
        raise InvalidName(f"{version} is one of {module}/{said}: from v2 on the path ends with it")
    is_early = major == "v1" and version.startswith("v0.0.0-")  # of gopkg.in, before there is a tag
    if said != major and not is_early:
        raise InvalidName(f"{version} is no version of {module}, which has those of {major}")


def version_order(text: str) -> Any:
    """By precedence (semver.org, 11); what is no version comes first."""
    if not is_canonical(text):
        return 0, natural_order(text), text
    return 1, *precedence(text[1:]), text


def newest(versions: list[str]) -> str | None:
    """Which of them `latest` is: a release, else a pre-release, else a commit. None of none."""
    return max(
        versions, key=lambda one: (not is_pseudo(one), "-" not in one, version_order(one)), default=None
    )
