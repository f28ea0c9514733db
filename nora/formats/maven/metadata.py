"""`maven-metadata.xml`: which versions an artifact has, which builds a snapshot, which plugins a group.

Three documents of one grammar (repository-metadata 1.1.0). Those about an artifact and about a group have the
same path where `com.acme` has an artifact `lib` and `com.acme.lib` is a group: then both are in one document.
All of this is computed: `latest` and `release`, and which file is the newest, are never taken from anybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import chain
from typing import Final

from nora.formats.maven.metadata_xml import Elements, Fields, read_metadata
from nora.formats.maven.names import ArtifactFile, Build, PackageName, is_snapshot, is_version
from nora.formats.maven.versions import version_key

MEDIA_TYPE: Final = b"application/xml"
_build_of = re.compile(r"([0-9]{8}\.[0-9]{6})-([0-9]{1,9})$").search
_moment = re.compile(r"[0-9]{14}").fullmatch
_extension = re.compile(r"[^\s/\\<>&]{0,100}").fullmatch
"""And classifiers."""
_plugin_field = re.compile(r"[A-Za-z0-9_.-]{1,200}").fullmatch


@dataclass(frozen=True, slots=True)
class ArtifactVersions:
    """What the document of an artifact says. Made by `of`, which sorts."""

    versions: tuple[str, ...] = ()
    """The oldest first."""
    last_updated: str = ""
    """`yyyyMMddHHmmss` in UTC; empty where nobody knows."""

    @classmethod
    def of(cls, versions: Iterable[str], last_updated: str) -> ArtifactVersions:
        """In any order."""
        found = sorted({*versions}, key=lambda one: (version_key(one), one))
        return cls(tuple(found), last_updated)

    @property
    def latest(self) -> str:
        """The highest version of all; empty where there is none."""
        return self.versions[-1] if self.versions else ""

    @property
    def release(self) -> str:
        """The highest version that is no snapshot; empty where there is none."""
        return next((one for one in reversed(self.versions) if not is_snapshot(one)), "")


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """A file of a snapshot, in its newest build."""

    classifier: str
    extension: str
    value: str
    """The version in its name, `1.0-20261124.061329-1`; never with the classifier."""
    updated: str
    """As `last_updated`."""

    @property
    def build(self) -> Build | None:
        """None for a file that is called `-SNAPSHOT` itself."""
        found = _build_of(self.value)
        return Build(found[1], int(found[2])) if found else None

    @property
    def order(self) -> tuple[str, int, str]:
        """By which the newest of several is found."""
        build = self.build
        return (build.timestamp, build.number, self.updated) if build else ("", 0, self.updated)


@dataclass(frozen=True, slots=True)
class SnapshotBuilds:
    """What the document of a snapshot says. Made by `of`, which leaves the newest."""

    build: Build | None = None
    """The newest."""
    files: tuple[SnapshotFile, ...] = ()
    """One for each classifier and extension."""
    last_updated: str = ""

    @classmethod
    def of(cls, files: Iterable[SnapshotFile], build: Build | None, last_updated: str) -> SnapshotBuilds:
        """Of all files of all builds. `build` is known beside them: old documents list no files."""
        newest: dict[tuple[str, str], SnapshotFile] = {}
        for one in files:
            before = newest.setdefault((one.classifier, one.extension), one)
            if one.order > before.order:
                newest[one.classifier, one.extension] = one
        found = tuple(newest[place] for place in sorted(newest))
        builds = [one for one in (build, *(file.build for file in found)) if one is not None]
        return cls(max(builds, default=None), found, last_updated)

    @classmethod
    def of_files(cls, files: Iterable[tuple[ArtifactFile, str]]) -> SnapshotBuilds:
        """Of files and when they came, as in `last_updated`. What has no regular name is left out."""
        listed = [
            SnapshotFile(file.classifier, file.extension, file.file_version, updated)
            for file, updated in files
            if file.is_named
        ]
        return cls.of(listed, None, max((one.updated for one in listed), default=""))


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin of a group, which `mvn prefix:goal` finds by its prefix."""

    artifact: str
    prefix: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class RepositoryMetadata:
    """Everything that a document may say."""

    versions: ArtifactVersions = ArtifactVersions()
    builds: SnapshotBuilds = SnapshotBuilds()
    plugins: tuple[Plugin, ...] = ()


def last_updated_at(seconds: float) -> str:
    """A time since 1970 as documents have it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S")


def parse_metadata(body: bytes) -> RepositoryMetadata:
    """What a document says; what is wrong in it is left out. For a body of more than 1 MiB not on the event
    loop. Raises MetadataUnreadable."""
    found = read_metadata(body)
    updated = _clean_moment(found.last_updated)
    snapshot = found.snapshot
    known = _build_of(f"{snapshot.get('timestamp', '')}-{snapshot.get('buildNumber', '')}")
    return RepositoryMetadata(
        ArtifactVersions.of(filter(is_version, found.versions), updated),
        SnapshotBuilds.of(
            filter(None, map(_snapshot_file, found.files)),
            Build(known[1], int(known[2])) if known else None,
            updated,
        ),
        _plugins(found),
    )


def parse_plugins(body: bytes) -> tuple[Plugin, ...]:
    """As `parse_metadata`, where nothing but plugins is wanted: to sort many versions takes seconds."""
    return _plugins(read_metadata(body))


def merge_versions(parts: Iterable[ArtifactVersions]) -> ArtifactVersions:
    """The versions of several sources."""
    parts = tuple(parts)
    versions = chain.from_iterable(one.versions for one in parts)
    return ArtifactVersions.of(versions, max((one.last_updated for one in parts), default=""))


def merge_builds(parts: Iterable[SnapshotBuilds]) -> SnapshotBuilds:
    """The builds of several sources: of one with the same time and number the earlier source's."""
    parts = tuple(parts)
    return SnapshotBuilds.of(
        chain.from_iterable(one.files for one in parts),
        max((one.build for one in parts if one.build), default=None),
        max((one.last_updated for one in parts), default=""),
    )


def merge_plugins(parts: Iterable[Iterable[Plugin]]) -> tuple[Plugin, ...]:
    """The plugins of several sources. No plugin takes the prefix of one of an earlier source."""
    found: dict[str, Plugin] = {}
    prefixes: set[str] = set()
    for one in chain.from_iterable(parts):
        if one.artifact not in found and one.prefix not in prefixes:
            found[one.artifact] = one
            prefixes.add(one.prefix)
    return tuple(found[artifact] for artifact in sorted(found))


def render_metadata(
    package: PackageName | None, versions: ArtifactVersions, plugins: Iterable[Plugin]
) -> bytes:
    """The document of an artifact, of a group whose plugins these are, or of both."""
    lines = []
    if package is not None and versions.versions:
        lines += [*_coordinates(package), "  <versioning>", _element(4, "latest", versions.latest)]
        if versions.release:
            lines.append(_element(4, "release", versions.release))
        lines.append("    <versions>")
        lines += (_element(6, "version", one) for one in versions.versions)
        lines += ["    </versions>", *_last_updated(versions.last_updated), "  </versioning>"]
    listed = [
        line
        for one in plugins
        for line in _record(4, "plugin", {"name": one.name, "prefix": one.prefix, "artifactId": one.artifact})
    ]
    if listed:
        lines += ["  <plugins>", *listed, "  </plugins>"]
    return _document("<metadata>", lines)


def render_snapshot(package: PackageName, version: str, builds: SnapshotBuilds) -> bytes:
    """The document of a snapshot."""
    lines = [*_coordinates(package), _element(2, "version", version), "  <versioning>"]
    if builds.build is not None:
        number = str(builds.build.number)
        lines += _record(4, "snapshot", {"timestamp": builds.build.timestamp, "buildNumber": number})
    lines += _last_updated(builds.last_updated)
    listed = [
        line
        for one in builds.files
        for line in _record(
            6,
            "snapshotVersion",
            {
                "classifier": one.classifier,
                "extension": one.extension,
                "value": one.value,
                "updated": one.updated,
            },
        )
    ]
    if listed:
        lines += ["    <snapshotVersions>", *listed, "    </snapshotVersions>"]
    return _document('<metadata modelVersion="1.1.0">', [*lines, "  </versioning>"])


def _snapshot_file(record: Fields) -> SnapshotFile | None:
    classifier, extension = record.get("classifier", ""), record.get("extension", "")
    value = record.get("value", "")
    if not (_extension(classifier) and _extension(extension) and is_version(value)):
        return None
    return SnapshotFile(classifier, extension, value, _clean_moment(record.get("updated", "")))


def _plugins(found: Elements) -> tuple[Plugin, ...]:
    return merge_plugins([[one for one in map(_plugin, found.plugins) if one]])


def _plugin(record: Fields) -> Plugin | None:
    artifact, prefix = record.get("artifactId", ""), record.get("prefix", "")
    if not (_plugin_field(artifact) and _plugin_field(prefix)):
        return None
    return Plugin(artifact, prefix, record.get("name", "")[:200])


def _clean_moment(text: str) -> str:
    """Old documents have a dot between date and time."""
    text = text.replace(".", "")
    return text if _moment(text) else ""


def _document(opened: str, lines: Iterable[str]) -> bytes:
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return "\n".join((head, opened, *lines, "</metadata>", "")).encode("utf-8", "replace")


def _coordinates(package: PackageName) -> Iterable[str]:
    return _element(2, "groupId", package.group), _element(2, "artifactId", package.artifact)


def _last_updated(text: str) -> Iterable[str]:
    return (_element(4, "lastUpdated", text),) if text else ()


def _record(indent: int, name: str, fields: Mapping[str, str]) -> Iterable[str]:
    """An element with elements; what is empty is left out."""
    space = " " * indent
    inside = (_element(indent + 2, key, text) for key, text in fields.items() if text)
    return (f"{space}<{name}>", *inside, f"{space}</{name}>")


def _element(indent: int, name: str, text: str) -> str:
    return f"{' ' * indent}<{name}>{escape(text, quote=False)}</{name}>"
