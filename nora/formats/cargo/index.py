"""Index files: a line of JSON for each version of a crate, in the order of their publication.

What an upstream has is passed on as it came, byte for byte: lock files depend on it, and a line of a format
that is newer than NORA is for cargo to understand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from nora.catalog.records import Version
from nora.formats.cargo.names import without_build
from nora.formats.releases import LIVE

YANKED: Final = "yanked"


class Line(NamedTuple):
    """A version, as far as NORA needs to know it."""

    version: str
    checksum: str
    """sha256 in hexadecimal, in lower case; empty where the line tells none."""
    fields: Mapping[str, Any]


def hosted_lines(versions: Sequence[Version]) -> Iterator[bytes]:
    """The lines of what was published here."""
    for one in sorted(versions, key=lambda version: (version.published_at, version.name)):
        line = orjson.loads(one.document)["line"]
        yield orjson.dumps({**line, "yanked": one.state != LIVE, "pubtime": iso_time(one.published_at)})


def iso_time(seconds: float) -> str:
    """A time as the index has it, without fractions."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def hosted_file(versions: Sequence[Version]) -> bytes:
    """The index file of what was published here."""
    return b"".join(line + b"\n" for line in hosted_lines(versions))


def lines(file: bytes) -> Iterator[Line]:
    """The lines of an index file; what cannot be read is left out."""
    for raw in file.split(b"\n"):
        if raw.strip() and (line := parse_line(raw)) is not None:
            yield line


def parse_line(raw: bytes) -> Line | None:
    """None for what is no line of an index."""
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict) or not isinstance(fields.get("vers"), str):
        return None
    checksum = fields.get("cksum")
    return Line(fields["vers"], checksum.lower() if isinstance(checksum, str) else "", fields)


def find_line(file: bytes, version: str) -> Line | None:
    """The line of a version. Nothing is parsed but what may be it."""
    quoted = orjson.dumps(version)
    start = 0
    while (found := file.find(quoted, start)) >= 0:
        first = file.rfind(b"\n", 0, found) + 1
        last = file.find(b"\n", found)
        raw = file[first:] if last < 0 else file[first:last]
        line = parse_line(raw)
        if line is not None and line.version == version:
            return line
        start = first + len(raw)
    return None


def joined(files: Sequence[bytes]) -> bytes:
    """One index file of several: of a version that more than one has, the line of the first counts."""
    if len(files) == 1:
        return files[0]
    seen: set[str] = set()
    found: list[bytes] = []
    for file in files:
        new: set[str] = set()
        for raw in file.split(b"\n"):
            line = parse_line(raw) if raw.strip() else None
            if line is not None and without_build(line.version) not in seen:
                new.add(without_build(line.version))
                found.append(raw + b"\n")
        seen |= new
    return b"".join(found)


def only(file: bytes, versions: Collection[str]) -> bytes:
    """The lines of these versions, as they are."""
    found = []
    for raw in file.split(b"\n"):
        line = parse_line(raw) if raw.strip() else None
        if line is not None and line.version in versions:
            found.append(raw + b"\n")
    return b"".join(found)
