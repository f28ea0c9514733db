"""Whether a tarball is what its manifest says, and safe to unpack."""

from __future__ import annotations

from typing import Any

import orjson

from nora.archives import Limits
from nora.archives.tars import open_tar
from nora.errors import InvalidPackageFile, quoted
from nora.formats.npm.publication import Contents

LARGEST_MANIFEST = 4 << 20


def check_tarball(path: str, name: str, version: str, max_unpacked: int) -> Contents:
    """Read all of a tarball: the `package.json` in its first folder is about this version. Not for the event
    loop. Raises InvalidPackageFile; StorageFailed."""
    limits = Limits(bomb_floor=max_unpacked, bomb_ratio=1, member=LARGEST_MANIFEST)
    manifest: bytes | None = None
    files = unpacked = 0
    with open_tar(path, limits) as members:
        for member, archive in members:
            if not member.isfile():
                continue
            files += 1
            unpacked += member.size
            folder, _, rest = member.name.removeprefix("./").partition("/")
            if rest != "package.json" or not folder:
                continue
            if manifest is not None:
                raise InvalidPackageFile("the tarball has two package.json")
            if member.size > limits.member:
                raise InvalidPackageFile(f"package.json has more than {limits.member} bytes")
            file = archive.extractfile(member)
            manifest = b"" if file is None else file.read()
    if manifest is None:
        raise InvalidPackageFile("the tarball has no package/package.json")
    _check_manifest(manifest, name, version)
    return Contents(files, unpacked)


def _check_manifest(raw: bytes, name: str, version: str) -> None:
    try:
        said: Any = orjson.loads(raw.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise InvalidPackageFile(f"package.json in the tarball cannot be read: {quoted(error)}") from None
    found = said if isinstance(said, dict) else {}
    if found.get("name") != name:
        raise InvalidPackageFile(
            f"package.json in the tarball says that the name is {quoted(found.get('name'))!r}, not {name!r}"
        )
    told = found.get("version")
    if not isinstance(told, str) or told.strip().lstrip("=v").partition("+")[0] != version.partition("+")[0]:
        raise InvalidPackageFile(
            f"package.json in the tarball says that the version is {quoted(told)!r}, not {version!r}"
        )
