"""What the paths of a Maven repository name: `com/acme/lib/1.0/lib-1.0-sources.jar`.

    com/acme/                          a group
    com/acme/lib/                      an artifact of it, or the group `com.acme.lib`, or both
    com/acme/lib/1.0/                  a version
    com/acme/lib/1.0/lib-1.0.jar       a file of it; its name begins with artifact and version, mostly
    com/acme/lib/maven-metadata.xml    of the artifact, or of the group `com.acme.lib`, or of both

Each part of a group is a directory, so no directory of a group has a dot in its name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nora.errors import InvalidName, quoted
from nora.formats.maven.checksums import ALGORITHMS, SUFFIXES

LONGEST_PATH: Final = 1024
LONGEST_SEGMENT: Final = 255
"""Longer names are those of no file."""
METADATA: Final = "maven-metadata.xml"
SNAPSHOT: Final = "SNAPSHOT"
_group_part = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*").fullmatch
_artifact = re.compile(r"[A-Za-z0-9_.-]+").fullmatch
_segment = re.compile(r"""[^\\/:"<>|?*\[\](){},\x00-\x20\x7f]+""", re.ASCII).fullmatch
"""Versions and files: what the model of Maven 3 takes for a version."""
_build = re.compile(r"([0-9]{8}\.[0-9]{6})-([1-9][0-9]{0,8})(?=[.-])").match
_after_version = re.compile(r"\.[^.].*|-[^.].*").fullmatch
_signature = re.compile(r"(?:\.asc|\.sigstore(?:\.json)?)+$").search


class PackageName(str):
    """The name of a package, `group:artifact`, in the rows of the catalog."""

    __slots__ = ()

    @classmethod
    def of(cls, text: str) -> PackageName:
        """Raises InvalidName."""
        group, colon, artifact = text.partition(":")
        if not colon:
            raise InvalidName(f"{quoted(text)!r} is no name of a package: `group:artifact`")
        return cls.at(group.split("."), artifact)

    @classmethod
    def at(cls, group: Sequence[str], artifact: str) -> PackageName:
        """Of the parts of the group. Raises InvalidName."""
        _check_group(group)
        if not _artifact(artifact) or artifact in (".", ".."):
            raise InvalidName(f"{quoted(artifact)!r} is no artifact: letters, digits, `_`, `-` and `.`")
        return cls(f"{'.'.join(group)}:{artifact}")

    @property
    def group(self) -> str:
        """`com.acme`"""
        return self.partition(":")[0]

    @property
    def artifact(self) -> str:
        """`lib`"""
        return self.partition(":")[2]

    @property
    def directory(self) -> str:
        """`com/acme/lib`"""
        return f"{self.group.replace('.', '/')}/{self.artifact}"


@dataclass(frozen=True, slots=True, order=True)
class Build:
    """A build of a snapshot, which has files of its own: `20261124.061329-1`. Later ones are greater."""

    timestamp: str
    """`yyyyMMdd.HHmmss`, in UTC."""
    number: int
    """From 1."""

    def __str__(self) -> str:
        return f"{self.timestamp}-{self.number}"


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory: that of a group, an artifact or a version, which its name does not tell."""

    path: str
    """Without a slash at its end; empty for the root."""

    @property
    def package(self) -> PackageName | None:
        """The artifact that it may be the directory of."""
        return _package_at(self.path.split("/"))

    @property
    def version(self) -> tuple[PackageName, str] | None:
        """The version that it may be the directory of."""
        *before, version = self.path.split("/")
        package = _package_at(before)
        return (package, version) if package else None


@dataclass(frozen=True, slots=True)
class Metadata:
    """`maven-metadata.xml`. Unless it is that of a snapshot, its path does not tell whether it is about an
    artifact or about the plugins of a group: one document may be both."""

    path: str
    package: PackageName | None
    """The artifact that it may be of, or is of where it is a snapshot's. None in the directory of a group
    whose name has one part."""
    version: str = ""
    """The snapshot whose builds it lists, `1.0-SNAPSHOT`; empty where it is about no version."""

    @property
    def group(self) -> str:
        """The group whose plugins it may list; empty where it can be none."""
        parts = self.path.split("/")[:-1]
        return ".".join(parts) if not self.version and all(map(_group_part, parts)) else ""


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """A file of a version."""

    path: str
    package: PackageName
    version: str
    """That of its directory: `1.0-SNAPSHOT` for all builds of a snapshot."""
    is_named: bool
    """Whether its name begins with artifact and version. Others may be anything: in the directory of a group
    that looks like one of a version, they make none."""
    classifier: str = ""
    """`sources`; empty for the main artifact, the POM, and what has no regular name."""
    extension: str = ""
    """`jar`, `tar.gz`, `jar.asc`."""
    build: Build | None = None
    """Of a snapshot; None for a file that is called `-SNAPSHOT` itself, and may be replaced."""

    @property
    def filename(self) -> str:
        """The last segment of its path."""
        return self.path.rpartition("/")[2]

    @property
    def is_snapshot(self) -> bool:
        """Whether its version is one that has builds."""
        return is_snapshot(self.version)

    @property
    def is_mutable(self) -> bool:
        """Whether other bytes may come under this name."""
        return self.is_snapshot and self.build is None

    @property
    def is_signature(self) -> bool:
        """Whether it signs another file."""
        return _signature(self.path) is not None

    @property
    def file_version(self) -> str:
        """The version as it is in the name of the file: `1.0-20261124.061329-1`."""
        return self.version if self.build is None else f"{base_of(self.version)}{self.build}"


@dataclass(frozen=True, slots=True)
class Extra:
    """A file of the repository as a whole: `archetype-catalog.xml`, `.meta/prefixes.txt`, `.index/…`."""

    path: str


File = ArtifactFile | Metadata | Extra


@dataclass(frozen=True, slots=True)
class Checksum:
    """`.md5`, `.sha1`, `.sha256` or `.sha512` of a file."""

    file: File
    algorithm: str

    @property
    def path(self) -> str:
        """Of the checksum itself."""
        return f"{self.file.path}.{self.algorithm}"


RepositoryPath = File | Checksum | Directory


def parse_path(segments: Sequence[str], *, is_directory: bool = False) -> RepositoryPath:
    """What a path names, after its one decoding. One of less than four segments is a directory unless its
    name is known, whether it ends with a slash or not. Raises InvalidName."""
    path = "/".join(segments)
    if len(path) > LONGEST_PATH:
        raise InvalidName(f"the path has {len(path)} characters: {LONGEST_PATH} at most")
    for segment in segments:
        if not _is_name(segment):
            raise InvalidName(f"{quoted(segment)!r} in the path is the name of no directory or file")
        if len(segment) > LONGEST_SEGMENT:
            raise InvalidName(f"a name in the path has {len(segment)} characters: {LONGEST_SEGMENT} at most")
    if is_directory or not segments:
        return _directory(segments)
    stem, _, algorithm = segments[-1].rpartition(".")
    if stem and algorithm in ALGORITHMS:
        file = _parse_file([*segments[:-1], stem])
        if stem.endswith(SUFFIXES):
            raise InvalidName(f"{quoted(segments[-1])!r} would be the checksum of a checksum: there is none")
        if not isinstance(file, Directory):
            return Checksum(file, algorithm)
    return _parse_file(segments)


def is_snapshot(version: str) -> bool:
    """Whether a version is one that has builds."""
    return version == SNAPSHOT or version.endswith(f"-{SNAPSHOT}")


def is_version(text: str) -> bool:
    """Whether a text may be a version, which is the name of a directory."""
    return len(text) <= LONGEST_SEGMENT and _is_name(text)


def _is_name(text: str) -> bool:
    """Whether a text may be a segment of a path."""
    return text.isascii() and bool(_segment(text)) and text not in (".", "..")


def base_of(version: str) -> str:
    """What the versions of all builds of a snapshot begin with: `1.0-`, or nothing."""
    return version.removesuffix(SNAPSHOT)


def _parse_file(segments: Sequence[str]) -> File | Directory:
    path, name = "/".join(segments), segments[-1]
    if path == "archetype-catalog.xml" or (len(segments) == 2 and segments[0] in (".meta", ".index")):
        return Extra(path)
    if name == METADATA and len(segments) > 1:
        return _parse_metadata(path, segments[:-1])
    if len(segments) < 4:
        return _directory(segments)
    *group, artifact, version, _ = segments
    return _parse_artifact_file(path, PackageName.at(group, artifact), version, name)


def _parse_metadata(path: str, directory: Sequence[str]) -> Metadata:
    *before, last = directory
    if len(directory) > 2 and is_snapshot(last):
        return Metadata(path, PackageName.at(before[:-1], before[-1]), last)
    if not before:
        _check_group(directory)
        return Metadata(path, None)
    return Metadata(path, PackageName.at(before, last))


def _parse_artifact_file(path: str, package: PackageName, version: str, name: str) -> ArtifactFile:
    start = f"{package.artifact}-"
    rest, build = name.removeprefix(start), None
    if rest != name and is_snapshot(version) and rest.startswith(base_of(version)):
        found = _build(rest, len(base_of(version)))
        if found is not None:
            build, rest = Build(found[1], int(found[2])), f"{version}{rest[found.end() :]}"
    after = rest.removeprefix(version)
    if rest == name or after == rest or not _after_version(after):
        return ArtifactFile(path, package, version, is_named=False)
    classifier, extension = _split(after)
    return ArtifactFile(path, package, version, True, classifier, extension, build)


def _split(after: str) -> tuple[str, str]:
    """Classifier and extension, of what comes after the version: `-sources.jar`, `.tar.gz`. A classifier may
    have dots: behind one only the last part is the extension, unless it is that of a compressed archive."""
    if after.startswith("."):
        return "", after[1:]
    found = _signature(after, 1)
    signature = "" if found is None else found[0]
    name = after[1:].removesuffix(signature)
    classifier, dot, extension = name.rpartition(".")
    if not dot:
        return name, signature[1:]
    if classifier.endswith(".tar"):
        classifier, extension = classifier.removesuffix(".tar"), f"tar.{extension}"
    return classifier, extension + signature


def _directory(segments: Sequence[str]) -> Directory:
    """Of anything up to a version."""
    if len(segments) > 2:
        PackageName.at(segments[:-2], segments[-2])
    return Directory("/".join(segments))


def _package_at(segments: Sequence[str]) -> PackageName | None:
    try:
        return PackageName.at(segments[:-1], segments[-1]) if len(segments) > 1 else None
    except InvalidName:
        return None


def _check_group(parts: Sequence[str]) -> None:
    """A dot in a directory of a group would make one group out of two. Raises InvalidName."""
    for part in parts:
        if not _group_part(part):
            raise InvalidName(
                f"{quoted(part)!r} is no part of a group: letters, digits, `_` and `-`; `com.acme` is the"
                " directory com/acme"
            )
