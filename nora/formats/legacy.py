"""The data directory of the NORA that was written in Rust, read so that a running NORA gets what it has.

A format says in `Format.legacy` which folders are its own there, and makes of them what its clients would
send: nora.mirror sends it. Nothing is written to the directory, no link in it is followed, and a file that
has not the digest that is written down beside it is no publication.

    docker/<image>/blobs/<digest>, docker/<image>/manifests/<tag or digest>.json
    maven/<path>; npm/<package>/{tarballs,versions,dist-tags}/…; cargo/<crate>/<version>/…
    pypi/<project>/<file>; go/<module>/@v/…; raw/<path>
    .nora-pins.ndjson                        the sha256 of the others, a line each; the last one counts
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson

from nora.errors import BadRequest, NoraError, quoted
from nora.patterns import text_matcher

PINS: Final = ".nora-pins.ndjson"
TEMPORARY: Final = ".tmp."
"""What the names of files begin with that were being written when that NORA was killed."""
PIECE_BYTES: Final = 3 << 18
"""Read at a time; a multiple of three, so that base64 of pieces is base64 of the whole."""
LARGEST_DOCUMENT: Final = 64 << 20
SIDECARS: Final = ("sha512", "sha256", "sha1", "md5")
"""Hashes that may be beside a file, in one whose name has the algorithm behind it."""


class LegacyInvalid(NoraError):
    """Something in the directory is not what it should be."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the directory, which was compared with all digests that are known of it."""

    path: Path
    size: int
    sha256: str
    as_base64: bool = False

    @property
    def length(self) -> int:
        """Bytes that it is in a body."""
        return -(-self.size // 3) * 4 if self.as_base64 else self.size

    def pieces(self) -> Iterator[bytes]:
        """What it is in a body. Raises OSError."""
        with self.path.open("rb") as file:
            while data := file.read(PIECE_BYTES):
                yield b64encode(data) if self.as_base64 else data


Body = Sequence[bytes | StoredFile]


@dataclass(frozen=True, slots=True)
class Call:
    """A request that a client of the format would send."""

    method: str
    path: str
    """Quoted, from the root of the server on."""
    body: Body = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    unless: str = ""
    """Nothing is sent when a HEAD of this path finds something."""

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return sum(len(one) if isinstance(one, bytes) else one.length for one in self.body)


@dataclass(frozen=True, slots=True)
class Publication:
    """Something that is published by some requests, one after the other. Sent again they change nothing."""

    title: str
    """As reports name it: `npm left-pad 1.3.0`."""
    calls: Sequence[Call]
    size: int
    """Bytes of its files."""
    there: tuple[str, str] | None = None
    """A path of the hosted repository alone, and the sha256 of what it answers when this is there already."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that cannot be published, and why."""

    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class Left:
    """Something that is not wanted, and why."""

    title: str
    reason: str


Group = Sequence[Publication | Refused | Left]
"""What is published in this order. Groups do not depend on each other."""


@dataclass(frozen=True, slots=True)
class Legacy:
    """How a format reads what is its own."""

    folders: tuple[str, ...]
    """Of the directory."""
    read: Callable[[LegacyTree, Names], Iterator[Group]]


class Patterns:
    """Names of some formats: `npm`, `maven:com.acme:*`."""

    def __init__(self, said: Iterable[str], formats: Iterable[str], option: str) -> None:
        """Raises BadRequest for a format that there is not."""
        self._said: dict[str, list[str]] = {}
        known = frozenset(formats)
        for one in said:
            name, _, pattern = one.partition(":")
            if name not in known:
                raise BadRequest(
                    f"{option} {quoted(one)}: FORMAT or FORMAT:PATTERN, of {', '.join(sorted(known))}"
                )
            self._said.setdefault(name, []).append(pattern or "*")

    def have(self, format_name: str, name: str) -> bool:
        """Whether a name of a format is one of them."""
        return any(text_matcher(one).fullmatch(name) for one in self._said.get(format_name, ()))


class Names:
    """Which packages of a format are taken."""

    def __init__(self, format_name: str, own: Patterns, skipped: Patterns) -> None:
        self.format = format_name
        self._own = own
        self._skipped = skipped

    def decide(self, name: str, *, published: bool | None) -> Refused | Left | None:
        """None: it is taken. `published` is whether the directory has a record that it was published there,
        and not brought in from an upstream; None: that cannot be told."""
        title = f"{self.format} {name}"
        if self._skipped.have(self.format, name):
            return Left(title, "left out by --skip")
        if published or self._own.have(self.format, name):
            return None
        say = f"--own {self.format}:{name}"
        if published is False:
            return Left(title, f"a copy of what an upstream has; if it is yours, say {say}")
        return Refused(
            title,
            f"nothing tells whether it was published there or came from an upstream: say {say} if it is "
            f"yours, or --skip {self.format}:{name}",
        )


class LegacyTree:
    """A data directory. Keys are paths below it, with slashes."""

    def __init__(self, directory: Path) -> None:
        """Of what is stored, or of all data with a folder `storage` in it. Raises BadRequest."""
        inner = directory / "storage"
        self.root = inner if inner.is_dir() else directory
        if not self.root.is_dir():
            raise BadRequest(f"{directory} is no directory")

    def folders(self, key: str = "") -> list[str]:
        """The names of the folders in one, sorted; none where there is none."""
        return sorted(one.name for one in self._entries(key) if one.is_dir(follow_symlinks=False))

    def files(self, key: str) -> list[str]:
        """The names of what else is in a folder, sorted."""
        return sorted(
            one.name
            for one in self._entries(key)
            if not one.is_dir(follow_symlinks=False) and not one.name.startswith(TEMPORARY)
        )

    def walk(self, key: str) -> Iterator[tuple[str, list[str]]]:
        """Each folder below one, itself included, and the names of the files in it. Raises LegacyInvalid."""
        yield key, self.files(key)
        for name in self.folders(key):
            yield from self.walk(f"{key}/{name}")

    def has(self, key: str) -> bool:
        """Whether there is such a file."""
        return (self.root / key).is_file()

    def size(self, key: str) -> int:
        """Bytes of all files below a folder."""
        return sum(
            (self.root / folder / name).lstat().st_size for folder, names in self.walk(key) for name in names
        )

    def read(self, key: str, largest: int = LARGEST_DOCUMENT) -> bytes:
        """A small file. Raises LegacyInvalid."""
        try:
            path = self._regular(key)
            if path.stat().st_size > largest:
                raise LegacyInvalid(f"{key} has more than {largest} bytes")
            return path.read_bytes()
        except OSError as error:
            raise _unreadable(key, error) from error

    def json(self, key: str) -> dict[str, Any]:
        """An object in JSON. Raises LegacyInvalid."""
        try:
            found = orjson.loads(self.read(key))
        except orjson.JSONDecodeError as error:
            raise LegacyInvalid(f"{key} is no JSON: {quoted(error)}") from None
        if not isinstance(found, dict):
            raise LegacyInvalid(f"{key} is no object in JSON")
        return found

    def file(self, key: str, expected: Mapping[str, str] | None = None, *, beside: bool = True) -> StoredFile:
        """A file, compared with the digests that are given (hexadecimal, by algorithm), with those in files
        `beside` it and with its pin. Raises LegacyInvalid, saying which of them it has not."""
        said = [(name, digest.lower(), "what is said of it") for name, digest in (expected or {}).items()]
        said += [(name, digest, f"{key}.{name}") for name, digest in (self._beside(key) if beside else ())]
        if key in self.pins:
            said.append(("sha256", self.pins[key], PINS))
        try:
            path, size = self._regular(key), 0
            hashes = {
                name: hashlib.new(name, usedforsecurity=False)
                for name in {"sha256", *(one[0] for one in said)}
            }
            with path.open("rb") as file:
                while data := file.read(PIECE_BYTES):
                    size += len(data)
                    for one in hashes.values():
                        one.update(data)
        except OSError as error:
            raise _unreadable(key, error) from error
        for name, digest, where in said:
            if hashes[name].hexdigest() != digest:
                raise LegacyInvalid(
                    f"{key} is damaged: its {name} is {hashes[name].hexdigest()}, by {where} {quoted(digest)}"
                )
        return StoredFile(path, size, hashes["sha256"].hexdigest())

    @cached_property
    def pins(self) -> Mapping[str, str]:
        """The sha256 of files by key. Raises LegacyInvalid. A last line that was cut off is none."""
        try:
            lines = (self.root / PINS).read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _unreadable(PINS, error) from error
        found: dict[str, str] = {}
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                said = orjson.loads(line)
                key, digest = said["key"], said["sha256"]
            except (orjson.JSONDecodeError, KeyError, TypeError):
                if number == len(lines):
                    break
                raise LegacyInvalid(f"{PINS}: line {number} is no pin") from None
            if digest:
                found[key] = str(digest).lower()
            else:
                found.pop(key, None)
        return found

    def _beside(self, key: str) -> Iterator[tuple[str, str]]:
        for name in SIDECARS:
            if self.has(f"{key}.{name}"):
                text = self.read(f"{key}.{name}", 1024).decode("ascii", "replace").split()
                yield name, text[0].lower() if text else ""

    def _regular(self, key: str) -> Path:
        path = self.root / key
        if path.is_symlink() or not path.is_file():
            raise LegacyInvalid(f"{key} is {'no file' if path.exists() else 'missing'}")
        return path

    def _entries(self, key: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / key) as found:
                return list(found)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unreadable(key, error) from error


def is_sidecar(name: str, others: Iterable[str]) -> bool:
    """Whether a file has a hash of another one of its folder."""
    stem, _, end = name.rpartition(".")
    return end in SIDECARS and stem in others


def as_object(found: object) -> dict[str, Any]:
    """An object of a document in JSON; an empty one where it is something else."""
    return found if isinstance(found, dict) else {}


def as_objects(found: object) -> list[dict[str, Any]]:
    """The objects of a list of a document in JSON."""
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def put_again(
    tree: LegacyTree, format_name: str, mount: str, path: str, *, beside: bool = True
) -> Publication | Refused:
    """A file of a format that takes files by PUT, at the path that it has in its folder."""
    title, to = f"{format_name} {path}", f"{mount}{quote(path)}"
    try:
        file = tree.file(f"{format_name}/{path}", beside=beside)
    except LegacyInvalid as error:
        return Refused(title, str(error))
    call = Call("PUT", to, [file], {"x-checksum-sha256": file.sha256})
    return Publication(title, [call], file.size, (f"/r/{format_name}-hosted{to}", file.sha256))


def _unreadable(key: str, error: OSError) -> LegacyInvalid:
    return LegacyInvalid(f"{key} cannot be read: {error.strerror}")
