"""A hosted artifact: what is written in its rows.

package    `group:artifact`; document {"plugin": {"prefix", "name"}} of a Maven plugin,
           {"held": {path of a checksum: [digest, who, when]}} of checksums that came before their files,
           {"sent": [[path, checksums that have not come, who, when]]} of files that may be replaced
version    the name of its directory: `1.0`, `1.0-SNAPSHOT` for all builds
file       every path as it is asked for, but for checksums and metadata: these are made of the rows;
           document {"by": who published it}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from nora.catalog.records import Blob, Cached, File, PackageFile
from nora.formats.maven.names import ArtifactFile, parse_path

HASHES: Final = ("sha1", "md5", "sha512")
"""What is taken of a file beside its sha256, while it comes in."""
XML: Final = "application/xml"
_TYPES: Final = {
    "pom": XML,
    "xml": XML,
    "jar": "application/java-archive",
    "war": "application/java-archive",
    "ear": "application/java-archive",
    "aar": "application/java-archive",
    "module": "application/json",
    "json": "application/json",
    "asc": "text/plain",
    "zip": "application/zip",
    "gz": "application/gzip",
}


class Stored(NamedTuple):
    """A file that is here, hosted or cached."""

    blob: Blob
    checksums: Mapping[str, str]
    """All four, by algorithm, hexadecimal."""
    media_type: str
    modified: float
    """Seconds since the epoch."""
    path: str


def stored(file: File) -> Stored:
    """A published file."""
    return Stored(file.blob, checksums_of(file), file.media_type, file.created_at, file.path)


def checksums_of(row: File | PackageFile | Cached) -> dict[str, str]:
    """All that are known of a file."""
    return {**(row.checksums or {}), "sha256": row.blob.digest.encoded}


def etag_of(blob: Blob) -> bytes:
    """The strong validator of a file: its digest."""
    return b'"%b"' % blob.digest.encode()


def media_type_of(path: str) -> str:
    """By the end of its name."""
    return _TYPES.get(path.rpartition(".")[2], "application/octet-stream")


def artifact_file(row: PackageFile) -> ArtifactFile | None:
    """The path of a row of a package."""
    path = parse_path(row.path.split("/"))
    return path if isinstance(path, ArtifactFile) else None


def newest_build(rows: list[PackageFile], wanted: ArtifactFile) -> PackageFile | None:
    """What `lib-1.0-SNAPSHOT.jar` means where only builds are here: the newest one that has such a file."""
    newest: tuple[tuple[str, int], PackageFile] | None = None
    for row in rows:
        if row.version != wanted.version:
            continue
        found = artifact_file(row)
        if found is None or found.build is None:
            continue
        if (found.classifier, found.extension) != (wanted.classifier, wanted.extension):
            continue
        build = found.build.timestamp, found.build.number
        if newest is None or build > newest[0]:
            newest = build, row
    return None if newest is None else newest[1]
