"""Whether a zip is one that the go command takes (golang.org/x/mod/zip), and the hash that `go.sum` has of it
(golang.org/x/mod/sumdb/dirhash)."""

from __future__ import annotations

import re
import stat
import zipfile
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nora.archives import Limits
from nora.archives.zips import open_zip, read_member
from nora.errors import InvalidName, InvalidPackageFile, quoted
from nora.formats.go.names import INCOMPATIBLE, ModulePath, check_file_path, check_major, parse_version

GO_MOD: Final = "go.mod"
LARGEST_GO_MOD: Final = 16 << 20
LARGEST_DIRECTORY: Final = 32 << 20
"""Bytes of the list of files: modules with 100,000 of them there are."""
MOST_REMEMBERED: Final = 64 << 20
"""Bytes of all paths of files and of the folders that they are in, with what it takes to remember one."""
_OVERHEAD: Final = 128
_BOUNDED: Final = frozenset({GO_MOD, "LICENSE"})
_PIECE: Final = 1 << 20
_declared = re.compile(rb"[ \t]*module(?:\s*\(\s*|[ \t]+)(?:\"([^\"\s]+)\"|`([^`\s]+)`|([^\s\"`()]+))").match


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of a zip that is right."""

    h1: str
    """As in `go.sum`: `h1:…=`."""
    go_mod: bytes | None
    """The one in it."""


def hash1(files: Iterable[tuple[str, str]]) -> str:
    """The hash of names, each with the sha256 of its bytes in hexadecimal (dirhash.Hash1)."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(files, key=lambda one: one[0].encode()))
    return f"h1:{b64encode(sha256(lines.encode()).digest()).decode()}"


def go_mod_hash(go_mod: bytes) -> str:
    """The hash of a `go.mod`, as `go.sum` has it."""
    return hash1([(GO_MOD, sha256(go_mod).hexdigest())])


def root_of(path: str, max_unpacked: int) -> tuple[ModulePath, str]:
    """Module and version that a zip says that it is of, by its first file. Raises InvalidPackageFile,
    InvalidName."""
    with open_zip(path, _limits(max_unpacked)) as archive:
        first = archive.namelist()[:1]
    module, at, rest = "".join(first).partition("@")
    if not at:
        raise InvalidPackageFile("the zip of a module has all files below <module>@<version>/")
    return ModulePath.of(module), parse_version(rest.partition("/")[0])


def check_module_zip(path: str, module: ModulePath, version: str, max_unpacked: int) -> Checked:
    """Read all of the zip of a version, the checksums of its files included. Not for the event loop. Raises
    InvalidPackageFile, InvalidName; StorageFailed."""
    check_major(module, version)
    prefix = f"{module}@{version}/"
    with open_zip(path, _limits(max_unpacked)) as archive:
        members = archive.infolist()
        _check_members(members, prefix)
        hashed = [(one.filename, _sha256(archive, one)) for one in members]
        inside = prefix + GO_MOD
        has_go_mod = any(one.filename == inside for one in members)
        go_mod = read_member(archive, inside, LARGEST_GO_MOD) if has_go_mod else None
    return Checked(hash1(hashed), go_mod)


def check_go_mod(go_mod: bytes, module: ModulePath, version: str) -> None:
    """That a module is published under the path that its `go.mod` declares: the go command does not take it
    otherwise. Raises InvalidPackageFile."""
    declared = declared_path(go_mod)
    if declared != module:
        raise InvalidPackageFile(f"go.mod declares the module {quoted(declared)!r}, this is {module}")
    if version.endswith(INCOMPATIBLE):
        raise InvalidPackageFile(f"{version} is of modules without a go.mod, and there is one")


def declared_path(go_mod: bytes) -> str:
    """The path in the `module` directive; empty where there is none."""
    text = re.sub(rb"//[^\n]*", b"", go_mod)
    for line in re.split(rb"\n(?=[ \t]*module\b)", text):
        found = _declared(line)
        if found is not None:
            path: bytes = next(filter(None, found.groups()))
            return path.decode("utf-8", "replace")
    return ""


def default_go_mod(module: ModulePath) -> bytes:
    """What stands in for the `go.mod` of a module without one."""
    return f"module {module}\n".encode()


def _limits(max_unpacked: int) -> Limits:
    return Limits(bomb_floor=max_unpacked, bomb_ratio=1, member=LARGEST_GO_MOD, directory=LARGEST_DIRECTORY)


def _check_members(members: list[zipfile.ZipInfo], prefix: str) -> None:
    seen = _Paths()
    for member in members:
        if not member.filename.startswith(prefix):
            raise InvalidPackageFile(f"{quoted(member.filename)!r} is not below {prefix}")
        name = member.filename.removeprefix(prefix)
        if not name:
            continue
        is_folder = name.endswith("/")
        name = name.removesuffix("/")
        try:
            check_file_path(name)
        except InvalidName as error:
            raise InvalidPackageFile(str(error)) from None
        seen.add(name, is_folder=is_folder)
        if is_folder:
            continue
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
            raise InvalidPackageFile(f"{quoted(name)!r} is no plain file: a module has no links")
        base = name.rpartition("/")[2]
        if base.lower() == GO_MOD and name != GO_MOD:
            raise InvalidPackageFile(f"{quoted(name)!r}: a module has one {GO_MOD}, in its root")
        if name in _BOUNDED and member.file_size > LARGEST_GO_MOD:
            raise InvalidPackageFile(f"{name} is larger than {LARGEST_GO_MOD} bytes")


class _Paths:
    """The paths of files, and of the folders that they are in."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, bool]] = {}
        self._free = MOST_REMEMBERED

    def add(self, name: str, *, is_folder: bool) -> None:
        """That no two paths differ in capitals alone, and no file is a folder as well. Raises
        InvalidPackageFile."""
        folded = name.casefold()
        other = self._seen.get(folded)
        if other is not None and (other[0] != name or not (is_folder and other[1])):
            raise InvalidPackageFile(
                f"{quoted(name)!r} and {quoted(other[0])!r} are one file to some systems"
            )
        if other is None:
            self._free -= len(name) + _OVERHEAD
            if self._free < 0:
                raise InvalidPackageFile("the zip has too many folders in each other")
        self._seen[folded] = (name, is_folder)
        parent = name.rpartition("/")[0]
        if parent and self._seen.get(parent.casefold()) != (parent, True):
            self.add(parent, is_folder=True)


def _sha256(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    """Of a file; its size and its checksum are right."""
    hashed = sha256()
    size = 0
    with archive.open(member) as file:
        while piece := file.read(_PIECE):
            hashed.update(piece)
            size += len(piece)
    if size != member.file_size:
        raise InvalidPackageFile(f"{quoted(member.filename)!r} has {size} of {member.file_size} bytes")
    return hashed.hexdigest()
