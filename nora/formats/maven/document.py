"""`maven-metadata.xml` of what hosted repositories have and upstreams say. It may run in another process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nora.errors import PackageNotFound
from nora.formats.maven.metadata import (
    ArtifactVersions,
    Plugin,
    RepositoryMetadata,
    SnapshotBuilds,
    last_updated_at,
    merge_builds,
    merge_plugins,
    merge_versions,
    parse_metadata,
    render_metadata,
    render_snapshot,
)
from nora.formats.maven.names import ArtifactFile, Metadata, parse_path


class Listed(NamedTuple):
    """A file in the rows of a package."""

    path: str
    version: str
    created_at: float

    @property
    def file(self) -> ArtifactFile | None:
        """What the path names."""
        found = parse_path(self.path.split("/"))
        return found if isinstance(found, ArtifactFile) else None


class Said(NamedTuple):
    """What an upstream says."""

    body: bytes
    hidden: frozenset[str] = frozenset()
    """Versions that are blocked; "" for all."""
    has_versions: bool = True
    """Whether versions are wanted of it."""
    has_plugins: bool = True
    """And plugins."""


def make_document(
    about: Metadata, parts: Sequence[Sequence[Listed] | Said], plugins: Sequence[Plugin]
) -> bytes:
    """Of the rows and documents that there are, in the order of precedence, and the plugins that are hosted.
    Raises PackageNotFound where there is nothing to say."""
    said = [_parsed(one) if isinstance(one, Said) else _of_rows(about, one) for one in parts]
    if about.version:
        builds = merge_builds(one.builds for one in said)
        if not builds.files and builds.build is None:
            raise absent(about)
        assert about.package is not None
        return render_snapshot(about.package, about.version, builds)
    versions = merge_versions(one.versions for one in said)
    prefixes = merge_plugins([plugins, *(one.plugins for one in said)])
    if not versions.versions and not prefixes:
        raise absent(about)
    return render_metadata(about.package, versions, prefixes)


def absent(about: Metadata, hint: str = "") -> PackageNotFound:
    """What is said of an artifact without versions; `hint`: why not."""
    return PackageNotFound(f"there is no {about.package or about.group} {about.version}".rstrip() + hint)


def _parsed(said: Said) -> RepositoryMetadata:
    found = parse_metadata(said.body)
    listed = found.versions
    left = () if "" in said.hidden else [one for one in listed.versions if one not in said.hidden]
    return RepositoryMetadata(
        ArtifactVersions.of(left if said.has_versions else (), listed.last_updated),
        found.builds,
        found.plugins if said.has_plugins else (),
    )


def _of_rows(about: Metadata, rows: Sequence[Listed]) -> RepositoryMetadata:
    if not about.version:
        return RepositoryMetadata(_versions(rows))
    return RepositoryMetadata(
        builds=SnapshotBuilds.of_files(
            (file, last_updated_at(row.created_at))
            for row in rows
            if row.version == about.version and (file := row.file) is not None
        )
    )


def _versions(rows: Sequence[Listed]) -> ArtifactVersions:
    """What is named as files of an artifact are makes a version: beneath may be another artifact."""
    found: set[str] = set()
    for row in rows:
        if row.version not in found and (file := row.file) is not None and file.is_named:
            found.add(row.version)
    last = max((row.created_at for row in rows if row.version in found), default=0.0)
    return ArtifactVersions.of(found, last_updated_at(last) if found else "")
