"""The stored form of a packument: the document of a package, with an index by version.

A packument of an upstream may be 60 MB of JSON. It is parsed once, in pieces, and kept compressed such that
one version, a tag or a file costs a look-up:

    head     a line of JSON: tags, and how long the sections are
    index    a line for each version: version, name of its file, where its manifest is, and facts of its file
    about    JSON: everything that is not about one version
    blocks   manifests, some hundred KiB of them together

Manifests are without what depends on where they are served: the address of the file, and that of its
attestations. No document that NORA keeps contains the name of a host of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson
import zstandard

from nora.formats.npm.names import newest

MEDIA_TYPE: Final = "application/vnd.nora.npm-packument"
"""Of the stored form. It leaves NORA as something else."""
FORMAT: Final = 1
BLOCK_BYTES: Final = 256 << 10
_LEVEL: Final = 1


class Listed(NamedTuple):
    """A version in a packument."""

    version: str
    file: str
    """The name of its tarball."""
    url: str
    """Where that is at the upstream; empty for what is hosted here."""
    hashes: Mapping[str, str]
    """Of the tarball: hexadecimal, by algorithm."""
    attestations: Any
    """What `dist` says of them beside their address; None where there are none."""
    text: bytes = b""
    """The manifest as JSON, `dist` last and not closed: its address is added when it is served."""
    place: tuple[int, int, int] = (0, 0, 0)
    """Block, start and stop of the text."""

    @property
    def manifest(self) -> dict[str, Any]:
        """Parsed, without addresses."""
        found: dict[str, Any] = orjson.loads(self.text + b"}}")
        return found

    def served(self, base: str, name: str) -> bytes:
        """The manifest as JSON, with the addresses that it has below `base`."""
        dist: dict[str, Any] = {}
        if self.attestations is not None:
            escaped = name.replace("/", "%2f")
            url = f"{base}/-/npm/v1/attestations/{escaped}@{self.version}"
            dist["attestations"] = {"url": url, **self.attestations}
        dist["tarball"] = f"{base}/{name}/-/{self.file}"
        comma = b"" if self.text.endswith(b"{") else b","
        return b"%b%b%b}" % (self.text, comma, orjson.dumps(dist)[1:])


def listed(
    version: str, file: str, manifest: Mapping[str, Any], hashes: Mapping[str, str], url: str = ""
) -> Listed:
    """A version by its manifest, whose `dist` is a dictionary."""
    dist = dict(manifest["dist"])
    dist.pop("tarball", None)
    attestations = dist.pop("attestations", None)
    if isinstance(attestations, dict):
        attestations = {key: value for key, value in attestations.items() if key != "url"}
    rest = orjson.dumps({key: value for key, value in manifest.items() if key != "dist"})[:-1]
    comma = b"" if rest == b"{" else b","
    text = b'%b%b"dist":%b' % (rest, comma, orjson.dumps(dist)[:-1])
    return Listed(version, file, url, hashes, attestations if isinstance(attestations, dict) else None, text)


def encode(
    versions: Iterable[Listed], rest: Callable[[], tuple[Mapping[str, Any], Mapping[str, str]]]
) -> bytes:
    """The stored form. Of two versions of one name the first counts. `rest` is called after the last of them,
    and gives what is not about one version, and the tags."""
    blocks: list[bytes] = []
    raw = 0
    index: dict[str, bytes] = {}
    block: list[bytes] = []
    size = 0
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress
    for one in versions:
        if one.version in index:
            continue
        facts = orjson.dumps([one.url, one.hashes, one.attestations])
        start, size = size, size + len(one.text)
        block.append(one.text)
        index[one.version] = b"%b\t%b\t%d %d %d\t%b\n" % (
            orjson.dumps(one.version), orjson.dumps(one.file), len(blocks), start, size, facts,
        )  # fmt: skip
        if size >= BLOCK_BYTES:
            blocks.append(packed(b"".join(block)))
            raw, size, block = raw + size, 0, []
    if block:
        blocks.append(packed(b"".join(block)))
    lines = b"\n" + b"".join(index.values())
    said, tags = rest()
    about = orjson.dumps(said)
    sections = [packed(lines), packed(about), *blocks]
    head = {
        "format": FORMAT,
        "tags": offered_tags(tags, index),
        "sizes": [len(one) for one in sections],
        "raw": raw + size + len(lines) + len(about),
    }
    return b"".join((orjson.dumps(head), b"\n", *sections))


def weight(stored: bytes) -> int:
    """The bytes that a stored form expands to."""
    return int(_head(stored)[0]["raw"])


def tags_in(stored: bytes) -> dict[str, str]:
    """The tags, without a look at anything else."""
    found: dict[str, str] = _head(stored)[0]["tags"]
    return found


class Packument:
    """A stored form, of which only what is asked for is decompressed."""

    def __init__(self, stored: bytes) -> None:
        self._stored = stored
        head, start = _head(stored)
        self.tags: dict[str, str] = head["tags"]
        self._starts = [start]
        for size in head["sizes"]:
            self._starts.append(self._starts[-1] + size)
        self._index: bytes | None = None
        self._block: tuple[int, bytes] = (-1, b"")

    @property
    def about(self) -> dict[str, Any]:
        """What is not about one version."""
        found: dict[str, Any] = orjson.loads(self._section(1))
        return found

    def versions(self) -> Iterator[Listed]:
        """All of them, with their texts."""
        for line in self._lines().splitlines()[1:]:
            yield self._with_text(_parsed(line))

    def names(self) -> list[str]:
        """The versions alone."""
        return [orjson.loads(line.partition(b"\t")[0]) for line in self._lines().splitlines()[1:]]

    def find(self, version: str) -> Listed | None:
        """A version."""
        return self._found(b"\n%b\t" % orjson.dumps(version))

    def find_file(self, filename: str) -> Listed | None:
        """The version that has a file."""
        return self._found(b"\t%b\t" % orjson.dumps(filename))

    def _found(self, key: bytes) -> Listed | None:
        lines = self._lines()
        found = lines.find(key)
        if found < 0:
            return None
        start = lines.rfind(b"\n", 0, found + 1) + 1
        return self._with_text(_parsed(lines[start : lines.find(b"\n", start)]))

    def _with_text(self, one: Listed) -> Listed:
        number, start, stop = one.place
        if self._block[0] != number:
            self._block = number, self._section(number + 2)
        return one._replace(text=self._block[1][start:stop])

    def _lines(self) -> bytes:
        if self._index is None:
            self._index = self._section(0)
        return self._index

    def _section(self, number: int) -> bytes:
        packed = self._stored[self._starts[number] : self._starts[number + 1]]
        return zstandard.ZstdDecompressor().decompress(packed)


def offered_tags(
    tags: Mapping[str, str], versions: Collection[str], live: Iterable[str] = ()
) -> dict[str, str]:
    """The tags that point to one of these versions. There is always a `latest`: if need be the newest,
    of those that are `live` where any is."""
    found = {tag: version for tag, version in tags.items() if version in versions}
    if "latest" not in found and versions:
        found["latest"] = newest(list(live) or list(versions))
    return found


def _head(stored: bytes) -> tuple[dict[str, Any], int]:
    end = stored.index(b"\n")
    return orjson.loads(stored[:end]), end + 1


def _parsed(line: bytes) -> Listed:
    version, file, place, facts = line.split(b"\t", 3)
    url, hashes, attestations = orjson.loads(facts)
    number, start, stop = map(int, place.split())
    return Listed(
        orjson.loads(version), orjson.loads(file), url, hashes, attestations, b"", (number, start, stop)
    )
