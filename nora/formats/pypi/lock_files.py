"""What requirements.txt, uv.lock and poetry.lock name: releases, their files and the hashes of these."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from nora.errors import InvalidName, quoted
from nora.formats.mirroring import LockFileInvalid, Missing, Table, parse_toml, table, tables, text_of
from nora.formats.pypi.names import ProjectName, is_filename, normalize_version

_LENGTHS: Final = {"sha256": 64, "sha384": 96, "sha512": 128, "sha1": 40, "md5": 32}
_hexadecimal = re.compile(r"[0-9a-f]+").fullmatch
_pinned = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*={2,3}\s*(?P<version>[A-Za-z0-9.!+_-]+)"
).fullmatch
_linked = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?\s*@\s*\S").match
_hash_option = re.compile(r"\s--hash[= ]\s*([^\s:]+):(\S+)")
_comment = re.compile(r"(?:^|\s)#.*$")
_PLACES: Final = ("file:", ".", "/")
_FOREIGN: Final = frozenset({"git", "url", "path", "directory", "file", "editable", "virtual"})
_OWN: Final = frozenset({"path", "directory", "file", "editable", "virtual"})
"""Sources that are beside the lock file: the project itself, and parts of it."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release that is wanted; all its files, where neither files nor hashes say which."""

    project: ProjectName
    version: str
    files: tuple[tuple[str, str], ...] = ()
    """Names of files, and what each has to be: `sha256:…`, or nothing."""
    hashes: frozenset[str] = field(default=frozenset())
    """`sha256:…` of files whose names are not told."""


Locked = Release | Missing


def read_requirements(text: str) -> list[Locked]:
    """A requirements.txt of exact versions. Raises LockFileInvalid."""
    return [one for number, line in _lines(text) if (one := _requirement(line, number)) is not None]


def read_uv(text: str) -> list[Locked]:
    """A uv.lock. Raises LockFileInvalid."""
    found = parse_toml(text)
    if found.get("version") != 1 or not isinstance(found.get("package", []), list):
        raise LockFileInvalid("no uv.lock of version 1: `uv lock` makes one")
    return [one for package in tables(found.get("package")) if (one := _uv(package)) is not None]


def read_poetry(text: str) -> list[Locked]:
    """A poetry.lock. Raises LockFileInvalid."""
    found = parse_toml(text)
    metadata = table(found.get("metadata"))
    if metadata is None or not isinstance(found.get("package", []), list):
        raise LockFileInvalid("no poetry.lock: `poetry lock` makes one")
    if "hashes" in metadata:
        raise LockFileInvalid("a poetry.lock of 2019, which names no files: `poetry lock` makes it anew")
    beside = table(metadata.get("files")) or {}  # until Poetry 1.2
    packages = tables(found.get("package"))
    return [one for package in packages if (one := _poetry(package, beside)) is not None]


def parse_hash(text: str) -> tuple[str, str]:
    """Algorithm and digest of `sha256:…`. Raises LockFileInvalid."""
    algorithm, _, digest = text.partition(":")
    digest = digest.lower()
    if len(digest) != _LENGTHS.get(algorithm) or not _hexadecimal(digest):
        raise LockFileInvalid(f"{quoted(text)!r} is no hash such as sha256:…, in hexadecimal digits")
    return algorithm, digest


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Each requirement with the number of its first line: a backslash at its end continues it."""
    whole, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        start = start if whole else number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            whole += f"{line[:-1]} "
            continue
        whole = _comment.sub("", whole + line).strip()
        if whole:
            yield start, whole
        whole = ""
    if whole.strip():
        yield start, whole.strip()


def _requirement(line: str, number: int) -> Locked | None:
    if line.startswith("-"):
        return _option(line, number)
    said, _, _ = line.partition(" --hash")
    said = said.partition(";")[0].strip()
    if _linked(said) or "://" in said or said.startswith(_PLACES):
        return Missing(quoted(said), "it is at an address of its own, not in a registry")
    pinned = _pinned(said)
    if pinned is None:
        raise LockFileInvalid(
            f"{quoted(said)!r} names no exact version (name==version): `pip freeze`, `pip-compile` and"
            " `uv pip compile` write such files",
            number,
        )
    try:
        hashes = frozenset(
            ":".join(parse_hash(f"{name}:{value}")) for name, value in _hash_option.findall(line)
        )
        return _release(pinned["name"], pinned["version"], hashes=hashes)
    except (InvalidName, LockFileInvalid) as error:
        raise LockFileInvalid(str(error), number) from None


def _option(line: str, number: int) -> Locked | None:
    """Options say where from, or what of it; what is asked here is this registry, for everything."""
    name, _, value = line.replace("=", " ", 1).partition(" ")
    if name in ("-r", "--requirement", "-c", "--constraint") or line.startswith(("-r", "-c")):
        raise LockFileInvalid(
            "other files are not followed: give one with all that is installed, as `pip freeze` writes it",
            number,
        )
    if name in ("-e", "--editable") and not value.strip().startswith(_PLACES):
        return Missing(quoted(value.strip()), "it is at an address of its own, not in a registry")
    return None


def _release(
    name: str, version: str, files: tuple[tuple[str, str], ...] = (), hashes: frozenset[str] = frozenset()
) -> Release:
    """Raises InvalidName."""
    return Release(ProjectName.of(name), normalize_version(version), files, hashes)


def _uv(package: Table) -> Locked | None:
    name, version, source = _named(package), text_of(package, "version"), table(package.get("source")) or {}
    if foreign := _FOREIGN & {*source}:
        return None if foreign & _OWN else _elsewhere(name, version, foreign)
    files = tables(package.get("wheels"))
    if (sdist := table(package.get("sdist"))) is not None:
        files = [sdist, *files]
    return _with_files(name, version, [(_filename(one), text_of(one, "hash")) for one in files])


def _poetry(package: Table, beside: Table) -> Locked | None:
    name, version = _named(package), text_of(package, "version")
    source = {text_of(table(package.get("source")) or {}, "type")}
    if foreign := _FOREIGN & source:
        return None if foreign & _OWN else _elsewhere(name, version, foreign)
    files = tables(package.get("files")) or tables(beside.get(name))
    return _with_files(name, version, [(text_of(one, "file"), text_of(one, "hash")) for one in files])


def _with_files(name: str, version: str, files: list[tuple[str, str]]) -> Release:
    for filename, digest in files:
        if not is_filename(filename):
            raise LockFileInvalid(
                f"{quoted(name)} {quoted(version)}: {quoted(filename)!r} is the name of no file"
            )
        if digest:
            parse_hash(digest)
    try:
        return _release(name, version, tuple(files))
    except InvalidName as error:
        raise LockFileInvalid(f"{quoted(name)} {quoted(version)}: {error}") from None


def _named(package: Table) -> str:
    name = text_of(package, "name")
    if not name:
        raise LockFileInvalid("a [[package]] without a name")
    return name


def _filename(file: Table) -> str:
    """Of a file in uv.lock: the last part of its URL or path, unless it is said."""
    said = text_of(file, "filename")
    if said:
        return said
    try:
        path = urlsplit(text_of(file, "url")).path or text_of(file, "path")
    except ValueError:
        path = ""
    return unquote(path.rpartition("/")[2])


def _elsewhere(name: str, version: str, sources: frozenset[str] | set[str]) -> Missing:
    found = "git" if "git" in sources else "an address of its own"
    return Missing(f"{quoted(name)} {quoted(version)}".strip(), f"it comes from {found}, not from a registry")


def by_project(found: list[Locked]) -> Mapping[ProjectName, list[Release]]:
    """The releases, by project."""
    projects: dict[ProjectName, list[Release]] = {}
    for one in found:
        if isinstance(one, Release) and one not in projects.setdefault(one.project, []):
            projects[one.project].append(one)
    return projects
