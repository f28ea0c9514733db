"""Index files: a line of JSON for each version of a crate, in the order of their publication.

What an upstream has is passed on as it came, byte for byte: lock files depend on it, and a line of a format
that is newer than NORA is for cargo to understand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from nora.catalog.blocks import Hidden
from nora.catalog.records import PackageFile, Version
from nora.formats.cargo.names import version_order, without_build
from nora.formats.releases import LIVE

YANKED: Final = "yanked"
ROW_WORK: Final = 4
Held = frozenset[tuple[str, str]]
"""What is here of a crate: versions with the sha256 of their files."""
_is_sha256 = re.compile(r"[0-9a-f]{64}").fullmatch


class Line(NamedTuple):
    """A version, as far as NORA needs to know it."""

    name: str
    """As it is spelled."""
    version: str
    checksum: str
    """sha256 in hexadecimal, in lower case; empty where the line tells none."""
    fields: Mapping[str, Any]
    raw: bytes


class Part(NamedTuple):
    """What a source has of a crate, and what of that is not offered."""

    file: bytes = b""
    """The index file of an upstream."""
    versions: tuple[Version, ...] = ()
    """What was published here."""
    rows: tuple[PackageFile, ...] = ()
    """Files of an upstream whose index file is not here."""
    held: Held | None = None
    """Of a source that is not asked: what is here, and all that is offered."""
    hidden: Hidden | None = None
    """What is blocked."""

    @property
    def weight(self) -> int:
        """How many bytes it is worth: what is in rows is read and written anew."""
        rows = sum(len(one.document) for one in self.rows)
        return len(self.file) + ROW_WORK * (sum(len(one.document) for one in self.versions) + rows)


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
    for raw in raw_lines(file):
        if (line := parse_line(raw)) is not None:
            yield line


def raw_lines(file: bytes) -> Iterator[bytes]:
    """The lines of a file that are not empty, one after the other: it may have millions."""
    start = 0
    while start < len(file):
        end = file.find(b"\n", start)
        end = len(file) if end < 0 else end
        raw = file[start:end]
        if raw.strip():
            yield raw
        start = end + 1


def parse_line(raw: bytes) -> Line | None:
    """None for what is no line of an index."""
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict):
        return None
    name, version, checksum = fields.get("name"), fields.get("vers"), fields.get("cksum")
    if not isinstance(name, str) or not isinstance(version, str):
        return None
    told = checksum.lower() if isinstance(checksum, str) else ""
    return Line(name, version, told if _is_sha256(told) else "", fields, raw)


def find_line(file: bytes, name: str, version: str) -> Line | None:
    """The line of a version of a crate, whose name is in lower case. Nothing is parsed but what may be it."""
    quoted = orjson.dumps(version)
    start = 0
    while (found := file.find(quoted, start)) >= 0:
        first = file.rfind(b"\n", 0, found) + 1
        last = file.find(b"\n", found)
        raw = file[first:] if last < 0 else file[first:last]
        line = parse_line(raw)
        if line is not None and line.version == version and line.name.lower() == name:
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
        for line in lines(file):
            if without_build(line.version) not in seen:
                new.add(without_build(line.version))
                found.append(line.raw + b"\n")
        seen |= new
    return b"".join(found)


def part_file(part: Part) -> bytes:
    """The index file of a source: what comes from an upstream byte for byte, but for lines that are not
    offered."""
    held, hidden = part.held, part.hidden
    file = part.file or hosted_file(part.versions) or held_file(part.rows)
    if held is None and hidden is None:
        return file
    return b"".join(
        line.raw + b"\n"
        for line in lines(file)
        if (held is None or (line.version, line.checksum) in held)
        and not (hidden is not None and hidden.has(line.version, f"sha256:{line.checksum}"))
    )


def offered(versions: Sequence[Version], hidden: Hidden | None) -> list[Version]:
    """Those of what was published here that are not blocked."""
    if hidden is None:
        return list(versions)
    return [
        one
        for one in versions
        if not hidden.has(one.name, f"sha256:{orjson.loads(one.document)['line']['cksum']}")
    ]


def parts_file(parts: Sequence[Part]) -> bytes:
    """The index file of all sources of a crate."""
    return joined([part_file(one) for one in parts])


def remember(line: Line) -> bytes:
    """The document in the row of a crate file: what the index said of it when it came."""
    return orjson.dumps({"line": line.raw.decode("utf-8", "replace")})


def held_file(rows: Sequence[PackageFile]) -> bytes:
    """The index file of what is here, where that of the upstream is not."""
    found = [(row.version, orjson.loads(row.document).get("line")) for row in rows if row.version is not None]
    found.sort(key=lambda one: version_order(one[0]))
    return b"".join(f"{line}\n".encode() for _, line in found if isinstance(line, str))
