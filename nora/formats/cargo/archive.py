"""Whether a crate file is what its metadata says, and safe to unpack; its readme."""

from __future__ import annotations

import tomllib
from typing import Any, NamedTuple

from nora.archives import Limits
from nora.archives.tars import open_tar
from nora.errors import InvalidPackageFile, quoted

LARGEST_MANIFEST = 1 << 20
LARGEST_README = 256 << 10
MOST_READMES = 8
"""Files that may be the one which Cargo.toml names, as its place in the archive is not known."""


class Readme(NamedTuple):
    """What the makers of a crate have written about it."""

    text: bytes
    is_markdown: bool


def check_crate(path: str, name: str, version: str, max_unpacked: int, readme: str = "") -> Readme | None:
    """Read all of a crate file: everything is in one folder, `Cargo.toml` in it is about this version, and
    there are files and folders only; what it has for a readme, which may have another name than usual where
    `readme` says so. Not for the event loop. Raises InvalidPackageFile; StorageFailed."""
    folder = f"{name}-{version}"
    limits = Limits(bomb_floor=max_unpacked, bomb_ratio=1, member=LARGEST_MANIFEST)
    manifest: bytes | None = None
    readmes: dict[str, bytes] = {}
    with open_tar(path, limits) as members:
        for member, archive in members:
            if not (member.isfile() or member.isdir()):
                raise InvalidPackageFile(
                    f"{quoted(member.name)} is a link: a crate has files and folders only"
                )
            if member.name.rstrip("/") != folder and not member.name.startswith(f"{folder}/"):
                raise InvalidPackageFile(f"{quoted(member.name)} is not in the folder {folder} of the crate")
            inner = member.name.removeprefix(f"{folder}/")
            if inner != "Cargo.toml":
                is_wanted = inner == readme or inner.rpartition("/")[2].lower().startswith("readme")
                is_small = member.isfile() and 0 < member.size <= LARGEST_README
                if is_wanted and is_small and len(readmes) < MOST_READMES:
                    text = archive.extractfile(member)
                    readmes[inner] = b"" if text is None else text.read()
                continue
            if manifest is not None:
                raise InvalidPackageFile("the crate has two Cargo.toml")
            if not member.isfile() or member.size > limits.member:
                raise InvalidPackageFile(f"Cargo.toml is no file of at most {limits.member} bytes")
            file = archive.extractfile(member)
            manifest = b"" if file is None else file.read()
    if manifest is None:
        raise InvalidPackageFile(f"the crate has no {folder}/Cargo.toml")
    named = _check_manifest(manifest, name, version).get("readme")
    found = readmes.get(named) if isinstance(named, str) else None
    return Readme(found, str(named).lower().endswith((".md", ".markdown"))) if found else None


def _check_manifest(raw: bytes, name: str, version: str) -> dict[str, Any]:
    """The package that it is about."""
    try:
        package = tomllib.loads(raw.decode()).get("package")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidPackageFile(f"Cargo.toml of the crate cannot be read: {quoted(error)}") from None
    found = package if isinstance(package, dict) else {}
    for field, expected in (("name", name), ("version", version)):
        if found.get(field) != expected:
            raise InvalidPackageFile(
                f"Cargo.toml says that the {field} is {quoted(found.get(field))!r}, the metadata {expected!r}"
            )
    return found
