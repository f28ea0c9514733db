"""`maven-metadata.xml` of what hosted repositories have and upstreams say. It may run in another process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nora.errors import PackageNotFound
from nora.formats.maven.metadata import (
    ArtifactVersions,
    Plugin,
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


def make_document(
    about: Metadata,
    hosted: Sequence[Sequence[Listed]],
    plugins: Sequence[Sequence[Plugin]],
    documents: Sequence[bytes],
) -> bytes:
    """Raises PackageNotFound where there is nothing to say."""
    said = [parse_metadata(one) for one in documents]
    if about.version:
        builds = merge_builds([*(_builds(about, rows) for rows in hosted), *(one.builds for one in said)])
        if not builds.files and builds.build is None:
            raise absent(about)
        assert about.package is not None
        return render_snapshot(about.package, about.version, builds)
    versions = merge_versions([*map(_versions, hosted), *(one.versions for one in said)])
    prefixes = merge_plugins([*plugins, *(one.plugins for one in said)])
    if not versions.versions and not prefixes:
        raise absent(about)
    return render_metadata(about.package, versions, prefixes)


def absent(about: Metadata, hint: str = "") -> PackageNotFound:
    """What is said of an artifact without versions; `hint`: why not."""
    return PackageNotFound(f"there is no {about.package or about.group} {about.version}".rstrip() + hint)


def _versions(rows: Sequence[Listed]) -> ArtifactVersions:
    """What is named as files of an artifact are makes a version: beneath may be another artifact."""
    found: set[str] = set()
    for row in rows:
        if row.version not in found and (file := row.file) is not None and file.is_named:
            found.add(row.version)
    last = max((row.created_at for row in rows if row.version in found), default=0.0)
    return ArtifactVersions.of(found, last_updated_at(last) if found else "")


def _builds(about: Metadata, rows: Sequence[Listed]) -> SnapshotBuilds:
    return SnapshotBuilds.of_files(
        (file, last_updated_at(row.created_at))
        for row in rows
        if row.version == about.version and (file := row.file) is not None
    )
