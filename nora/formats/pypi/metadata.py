"""What is inside of a wheel or an sdist: whether it is what its name says, and its core metadata."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from packaging.metadata import RawMetadata, parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from nora.archives import Limits
from nora.archives.tars import open_tar
from nora.archives.zips import open_zip, read_member
from nora.errors import InvalidName, InvalidPackageFile, quoted
from nora.formats.pypi.fields import clean_text
from nora.formats.pypi.names import Distribution, ProjectName, normalize_version

LIMITS = Limits()
"""Those of PyPI, where it says them."""
_METADATA_VERSION = re.compile(r"[12]\.[0-9]")
_DIST_INFO = ".dist-info"

_FIELD = re.compile(rb"(?:([!-9;-~]*):|From |[\t ])[^\r\n]*(?:\r\n?|\n|\Z)(?:[\t ][^\r\n]*(?:\r\n?|\n|\Z))*")
"""A field with its continuation lines, as `email.parser` tells them from the description."""
# The work of its parser is the product of these two; a requirement is more of it than other bytes are.
_MOST_NAMES = 256
_MOST_FIELDS = 16_384
_MOST_REQUIREMENTS = 512 << 10
"""Characters of all Requires-Dist together."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The core metadata of a distribution (PyPA core metadata specification)."""

    name: ProjectName
    version: str
    """Normalized."""
    requires_python: str | None
    """A valid specifier on one line."""
    raw: bytes
    """METADATA or PKG-INFO, byte for byte: what `.metadata` answers (PEP 658)."""
    info: Mapping[str, Any]
    """As `info` of PyPI's JSON API has it, as far as it is in the metadata."""


def inspect(path: str, distribution: Distribution, limits: Limits = LIMITS) -> Metadata:
    """Checks a wheel or sdist as PyPI does, and more. It reads the whole of an sdist: not for the event loop.

    Raises InvalidPackageFile when it is damaged, dangerous, or not what its name says; StorageFailed.
    """
    look = inspect_wheel if distribution.kind == "wheel" else inspect_sdist
    return look(path, distribution, limits)


def inspect_wheel(path: str, distribution: Distribution, limits: Limits = LIMITS) -> Metadata:
    """As `inspect`: METADATA, WHEEL and RECORD are in the one `.dist-info` folder, named as the file is."""
    with open_zip(path, limits) as archive:
        folder = _dist_info(archive, distribution)
        names = set(archive.namelist())
        for needed in ("METADATA", "WHEEL", "RECORD"):
            if f"{folder}/{needed}" not in names:
                raise InvalidPackageFile(f"the wheel has no {folder}/{needed}")
        wheel = read_member(archive, f"{folder}/WHEEL", limits.member)
        if b"wheel-version:" not in wheel.lower():
            raise InvalidPackageFile("WHEEL does not say its Wheel-Version")
        raw = read_member(archive, f"{folder}/METADATA", limits.member)
    return parse_metadata(raw, distribution)


def inspect_sdist(path: str, distribution: Distribution, limits: Limits = LIMITS) -> Metadata:
    """As `inspect`: everything is in one folder, and that has a PKG-INFO (PEP 625, PEP 643)."""
    reader = _zip_pkg_info if distribution.filename.endswith(".zip") else _tar_pkg_info
    raw = reader(path, limits)
    if raw is None:
        raise InvalidPackageFile("the sdist has no PKG-INFO in its one folder")
    return parse_metadata(raw, distribution)


def read_metadata(path: str, distribution: Distribution, limits: Limits = LIMITS) -> bytes | None:
    """METADATA of a wheel that somebody else has published, whatever it says. None: there is none. Its folder
    may spell the version in another way than the file name, as some builders have it.

    Raises InvalidPackageFile when the archive cannot be read; StorageFailed.
    """
    with open_zip(path, limits) as archive:
        name = f"{_dist_info(archive, distribution, any_version=True)}/METADATA"
        return read_member(archive, name, limits.member) if name in archive.namelist() else None


def parse_metadata(raw: bytes, distribution: Distribution | None = None) -> Metadata:
    """Raises InvalidPackageFile when it is none that an installer could use, or is not of `distribution`."""
    fields, unread = _parse(raw)
    version = fields.get("metadata_version", "")
    if not _METADATA_VERSION.fullmatch(version):
        raise InvalidPackageFile(f"the core metadata is of no known version: {quoted(version)!r}")
    for field in ("name", "version", "requires-python", "requires-dist"):
        if field in unread:
            raise InvalidPackageFile(f"the core metadata has a {field} that cannot be read")
    if sum(map(len, fields.get("requires_dist", ()))) > _MOST_REQUIREMENTS:
        raise InvalidPackageFile("the core metadata has too many requirements")
    try:
        name = ProjectName.of(fields.get("name", ""))
        release = normalize_version(fields.get("version", ""))
        requires_python = clean_text(fields.get("requires_python"))
        SpecifierSet(requires_python or "")
        for requirement in fields.get("requires_dist", ()):
            Requirement(requirement)
    except (InvalidName, InvalidSpecifier, InvalidRequirement) as error:
        raise InvalidPackageFile(f"the core metadata is not valid: {quoted(error)}") from error
    except RecursionError:  # hundreds of brackets in a marker
        raise InvalidPackageFile("the core metadata has a requirement that is nested too deeply") from None
    if distribution is not None and (name, release) != (distribution.project, distribution.version):
        raise InvalidPackageFile(
            f"the core metadata is that of {name} {release}, the file name says"
            f" {distribution.project} {distribution.version}"
        )
    return Metadata(name, release, requires_python, raw, _info(fields, release))


def _parse(raw: bytes) -> tuple[RawMetadata, dict[str, list[str]]]:
    _check_fields(raw)
    try:
        raw.decode("utf-8")
        return parse_email(raw)
    except UnicodeDecodeError:
        raise InvalidPackageFile("the core metadata is not UTF-8") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # what email.parser stumbles over
        raise InvalidPackageFile("the core metadata cannot be read") from error


def _check_fields(raw: bytes) -> None:
    """That the fields before the description are no more than a parser can take: it looks at all of them for
    each name (as it is spelled), and calls itself for what is inside of a MIME message."""
    names: set[bytes] = set()
    count = position = 0
    while (found := _FIELD.match(raw, position)) is not None:
        name = found[1] or b""
        names.add(name)
        count, position = count + 1, found.end()
        if len(names) > _MOST_NAMES or count > _MOST_FIELDS:
            raise InvalidPackageFile("the core metadata has too many fields")
        value = found[0].lower() if name.lower() == b"content-type" else b""
        if b"multipart/" in value or b"message/" in value:
            raise InvalidPackageFile("the core metadata is a message of several parts")


def _dist_info(archive: zipfile.ZipFile, distribution: Distribution, *, any_version: bool = False) -> str:
    """The name of the one `.dist-info` folder of a wheel (PyPA binary distribution format)."""
    folders = {name.partition("/")[0] for name in archive.namelist() if "/" in name}
    found = [folder for folder in folders if folder.endswith(_DIST_INFO)]
    if len(found) != 1:
        raise InvalidPackageFile(f"a wheel has one .dist-info folder, this one has {len(found)}")
    name, _, version = found[0].removesuffix(_DIST_INFO).partition("-")
    try:
        same = ProjectName.of(name) == distribution.project
        same = same and (any_version or normalize_version(version) == distribution.version)
    except InvalidName:
        same = False
    if not same:
        raise InvalidPackageFile(
            f"{quoted(found[0])} is not the .dist-info folder of {distribution.filename}"
        )
    return found[0]


def _zip_pkg_info(path: str, limits: Limits) -> bytes | None:
    with open_zip(path, limits) as archive:
        folders = {name.partition("/")[0] for name in archive.namelist()}
        name = f"{next(iter(folders))}/PKG-INFO" if len(folders) == 1 else ""
        return read_member(archive, name, limits.member) if name in archive.namelist() else None


def _tar_pkg_info(path: str, limits: Limits) -> bytes | None:
    raw: bytes | None = None
    folders: set[str] = set()
    with open_tar(path, limits) as members:
        for member, archive in members:
            folder, _, rest = member.name.removeprefix("./").partition("/")
            if folder not in ("", "."):
                folders.add(folder)
            if rest != "PKG-INFO":
                continue
            if raw is not None or not member.isfile() or member.size > limits.member:
                raise InvalidPackageFile("PKG-INFO is there twice, no file, or too large")
            file = archive.extractfile(member)
            raw = file.read() if file is not None else None
    return raw if len(folders) == 1 else None


def _info(fields: RawMetadata, version: str) -> dict[str, Any]:
    """`info` of the JSON API: PyPI's names for the fields, those that are missing as it has them."""
    get: Mapping[str, Any] = fields
    plain = (
        *("author", "author_email", "description", "description_content_type", "download_url", "home_page"),
        *("license", "maintainer", "maintainer_email", "name", "summary"),
    )
    return {
        **{key: get.get(key) or "" for key in plain},
        "classifiers": get.get("classifiers") or [],
        "dynamic": get.get("dynamic"),
        "keywords": ",".join(get.get("keywords") or ()),
        "license_expression": get.get("license_expression"),
        "license_files": get.get("license_files"),
        "platform": ",".join(get.get("platforms") or ()),
        "project_urls": get.get("project_urls"),
        "provides_extra": get.get("provides_extra"),
        "requires_dist": get.get("requires_dist"),
        "requires_python": get.get("requires_python"),
        "version": version,
    }
