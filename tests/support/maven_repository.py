"""A Maven repository for tests: files with their checksums, and the metadata of what was added."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from nora.formats.maven.metadata import (
    ArtifactVersions,
    Plugin,
    SnapshotBuilds,
    render_metadata,
    render_snapshot,
)
from nora.formats.maven.names import ArtifactFile, PackageName, parse_path
from tests.support.answers import Answer, Asked, document
from tests.support.upstream import Upstream

MOMENT = "20261124061329"
ALGORITHMS = ("md5", "sha1", "sha256", "sha512")


def digest(algorithm: str, data: bytes) -> str:
    """As checksums have it."""
    return hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class MavenRepository:
    """What it has may be changed at any time."""

    prefix: str = ""
    tells: bool = False
    """Whether answers have X-Checksum-SHA1, as those of Maven Central."""
    files: dict[str, bytes] = field(default_factory=dict)
    """By path; `.sha1` of any of them is there, too."""
    claims: dict[str, str] = field(default_factory=dict)
    """What it says is the SHA-1 of a file, where that is a lie."""
    plugins: dict[str, list[Plugin]] = field(default_factory=dict)
    """By group."""

    def add(self, path: str, body: bytes = b"jar") -> str:
        """Have a file: `com/acme/lib/1.0/lib-1.0.jar`."""
        self.files[path] = body
        return path

    def artifact(self, name: str, version: str = "1.0", body: bytes = b"jar", end: str = ".jar") -> str:
        """Have a file of `group:artifact`; its path."""
        package = PackageName.of(name)
        return self.add(f"{package.directory}/{version}/{package.artifact}-{version}{end}", body)

    def mount(self, upstream: Upstream) -> None:
        """Serve it below `prefix`."""
        upstream.mount(f"{self.prefix}/", self)

    def __call__(self, asked: Asked) -> Answer | None:
        path = asked.path.removeprefix(f"{self.prefix}/")
        stem, _, end = path.rpartition(".")
        body = self._body(path)
        if body is None and end in ALGORITHMS and (of := self._body(stem)) is not None:
            told = self.claims.get(stem) if end == "sha1" else None
            return document((told or digest(end, of)).encode(), "text/plain")
        if body is None:
            return None
        found = document(body)
        if self.tells:
            found = found.plus(x_checksum_sha1=self.claims.get(path) or digest("sha1", body))
        return found

    def _body(self, path: str) -> bytes | None:
        directory, _, name = path.rpartition("/")
        return self._metadata(directory) if name == "maven-metadata.xml" else self.files.get(path)

    def _metadata(self, directory: str) -> bytes | None:
        known = [parse_path(path.split("/")) for path in self.files if path.startswith(f"{directory}/")]
        files = [one for one in known if isinstance(one, ArtifactFile)]
        builds = [one for one in files if f"{one.package.directory}/{one.version}" == directory]
        if builds and builds[0].is_snapshot:
            listed = SnapshotBuilds.of_files((one, MOMENT) for one in builds)
            return render_snapshot(builds[0].package, builds[0].version, listed)
        versions = {one.version: one.package for one in files if one.package.directory == directory}
        plugins = self.plugins.get(directory.replace("/", "."), [])
        if not versions and not plugins:
            return None
        package = next(iter(versions.values()), None)
        return render_metadata(package, ArtifactVersions.of(versions, MOMENT), plugins)
