"""What is in a backup: the names of its members, and the list of them with digests that ends it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

import orjson

from nora import __version__
from nora.errors import NoraError, quoted
from nora.model import Digest

if TYPE_CHECKING:
    from nora.catalog.records import Blob

HEADER: Final = "nora-backup.json"
SECRETS: Final = "secrets.json"
CATALOG: Final = "catalog.sqlite3"
MANIFEST: Final = "manifest.jsonl"
VERSION: Final = 1
LARGEST_DOCUMENT: Final = 64 << 20
"""Bytes of a member that is read into memory."""
PIECE_BYTES: Final = 1 << 20
TIME: Final = "%Y-%m-%dT%H-%M-%SZ"
"""By which the backups of a folder or a bucket are named."""
MOST_NAMED: Final = 100

_OBJECT: Final = re.compile(r"blobs/sha256/([0-9a-f]{2})/(\1[0-9a-f]{62})-([0-9a-f]{16})", re.ASCII)


class BackupFailed(NoraError):
    """A backup cannot be made, or is not what it should be; the message names what is wrong with it."""


class MemberFailed(BackupFailed):
    """One member cannot be read; the others may."""


class Opened(Protocol):
    """A member of a backup that is being read."""

    name: str
    size: int
    """Bytes."""
    modified_at: int
    """Seconds since the epoch."""

    def read(self, size: int) -> bytes:
        """The next bytes; none at the end. Raises BackupFailed."""
        ...


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """The next bytes; none at the end."""
        ...


class Source(Protocol):
    """A backup to read. What its methods raise is BackupFailed."""

    def members(self) -> Iterator[Opened]:
        """All of them, as in a stream: each is read before the next."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Target(Protocol):
    """A backup that is being made. Its methods block, and raise StorageFailed, StorageFull."""

    workspace: Path
    """A folder for what is made on the way; it goes with the end."""

    def has(self, name: str, size: int) -> bool:
        """Whether an earlier one has left this member here."""
        ...

    def add(self, name: str, file: Readable, size: int, modified_at: int) -> None:
        """The next member."""
        ...

    def finish(self) -> None:
        """All is there: make it durable, and then let it have its name."""
        ...

    def abandon(self) -> None:
        """It was not finished: remove what nobody can go on from. Nothing after `finish`."""
        ...


@dataclass(frozen=True, slots=True)
class Header:
    """What a backup is."""

    created_at: float
    """Seconds since the epoch."""
    schema: int
    """Version of the catalog's tables."""
    blobs: int
    size: int
    """Bytes of the blobs, about: what comes while it is made may be in it."""
    has_secrets: bool
    is_cache: bool = False
    """Whether only what was fetched from upstreams is in it, to be imported beside what is elsewhere."""

    def render(self) -> bytes:
        """As the first member has it."""
        return orjson.dumps(
            {
                "nora_backup": VERSION,
                "made_by": f"nora {__version__}",
                "created_at": self.created_at,
                "schema": self.schema,
                "blobs": self.blobs,
                "bytes": self.size,
                "has_secrets": self.has_secrets,
                "is_cache": self.is_cache,
            },
            option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
        )

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """Raises BackupFailed."""
        try:
            found = orjson.loads(data)
            version = found["nora_backup"]
            if version != VERSION:
                raise BackupFailed(f"the backup is of version {quoted(version)}: read it with a newer NORA")
            return cls(
                float(found["created_at"]),
                int(found["schema"]),
                int(found["blobs"]),
                int(found["bytes"]),
                bool(found["has_secrets"]),
                bool(found.get("is_cache")),
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise BackupFailed(f"{HEADER} is damaged") from error


def object_name(blob: Blob) -> str:
    """The member with the bytes of a blob."""
    digest = blob.digest.encoded
    return f"blobs/sha256/{digest[:2]}/{digest}-{blob.generation:016x}"


def parse_object_name(name: str) -> tuple[Digest, int] | None:
    """Digest and generation of the blob whose bytes a member has; None: it has others."""
    found = _OBJECT.fullmatch(name)
    if found is None or int(found[3], 16) >= 1 << 63:
        return None
    return Digest(f"sha256:{found[2]}"), int(found[3], 16)


def whole_number(said: float | str) -> int:
    """A size or a time, as it is said of a member. Raises ValueError."""
    try:
        number = int(said)
    except OverflowError as error:
        raise ValueError(str(error)) from error
    if not 0 <= number < 1 << 62:
        raise ValueError("a size or a time is out of bounds")
    return number


def line_of(name: str, size: int, sha256: str, modified_at: int) -> bytes:
    """What the manifest says of a member."""
    return orjson.dumps(
        {"name": name, "size": size, "sha256": sha256, "modified_at": modified_at},
        option=orjson.OPT_APPEND_NEWLINE,
    )


class ManifestWriter:
    """Writes the lines while members are added: to `file`, for they may be many."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self._hasher = hashlib.sha256()
        self._members = 0

    def add(self, line: bytes) -> None:
        """A member, see `line_of`."""
        self._members += 1
        self._hasher.update(line)
        self.file.write(line)

    def finish(self, lost: list[str]) -> int:
        """End it with the objects that the store had lost, and a digest of all that was said; its size."""
        end = {"members": self._members, "sha256": self._hasher.hexdigest(), "lost": lost}
        line = orjson.dumps(end, option=orjson.OPT_APPEND_NEWLINE)
        self._hasher.update(line)
        self.file.write(line)
        self.file.write(self._hasher.hexdigest().encode() + b"\n")
        size = self.file.tell()
        self.file.seek(0)
        return size


@dataclass(slots=True)
class Checked:
    """What reading a backup to its end has found."""

    header: Header
    blobs: int = 0
    size: int = 0
    """Bytes of these blobs, which are whole."""
    problems: list[str] = field(default_factory=list)
    """What is wrong with it, as far as `MOST_NAMED`."""
    lost: list[str] = field(default_factory=list)
    """Objects that the store had lost when it was made."""
    wrong: int = 0
    """How many problems there are."""

    def add_problem(self, text: str) -> None:
        """Something is wrong."""
        self.wrong += 1
        if len(self.problems) < MOST_NAMED:
            self.problems.append(text)


Write = Callable[[bytes], object]


class MemberReader:
    """Reads the members of a backup, one after another, and compares each with what it should be."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        """`advance` is told of bytes that were read."""
        self._advance = advance
        self._lines = hashlib.sha256()
        self._members = 0
        self._documents: dict[str, str] = {}

    def read(self, member: Opened, write: Write) -> str:
        """All bytes of a member; what is wrong with it, as far as its name tells. Raises BackupFailed where
        the backup cannot be read on."""
        hasher = hashlib.sha256()
        left = member.size
        while left:
            data = member.read(min(left, PIECE_BYTES))
            if not data:
                raise BackupFailed(f"the backup ends in the middle of {member.name}")
            left -= len(data)
            hasher.update(data)
            write(data)
            self._advance(len(data))
        found = hasher.hexdigest()
        self._members += 1
        self._lines.update(line_of(member.name, member.size, found, member.modified_at))
        named = parse_object_name(member.name)
        if named is None:
            self._documents[member.name] = found
        elif named[0].encoded != found:
            return f"{member.name} is damaged: its bytes have the sha256 {found}"
        return ""

    def finish(self, manifest: Opened, checked: Checked) -> None:
        """Compare what was read with the manifest, the last member. Adds what is wrong."""
        lines = _Lines(manifest, self._advance)
        last: bytes = b""
        for line in lines:
            if last:
                self._compare(last, checked)
            last = line
        try:
            end = orjson.loads(last)
            members, sha256, lost = int(end["members"]), str(end["sha256"]), [str(one) for one in end["lost"]]
        except (ValueError, KeyError, TypeError):
            members, sha256, lost = -1, "", []
        if not lines.is_whole:
            checked.add_problem(f"{MANIFEST} is damaged: its last line is not the digest of the others")
            return
        checked.lost = lost
        if members != self._members and not checked.wrong:
            checked.add_problem(f"{members} members are listed in {MANIFEST}, and {self._members} are there")
        elif sha256 != self._lines.hexdigest() and not checked.wrong:
            checked.add_problem(f"a size or a time of a member is not what {MANIFEST} says")

    def _compare(self, line: bytes, checked: Checked) -> None:
        """A line about what has no digest in its name."""
        try:
            listed = orjson.loads(line)
            name, sha256 = str(listed["name"]), str(listed["sha256"])
        except (ValueError, KeyError, TypeError):
            return  # the digest of all lines will tell
        if parse_object_name(name) is None and self._documents.get(name, "") != sha256:
            what = "is damaged" if name in self._documents else "is missing"
            checked.add_problem(f"{name} {what}: {MANIFEST} has the sha256 {quoted(sha256)}")


class _Lines:
    """The lines of a manifest but the last, which is the digest of all before it."""

    def __init__(self, manifest: Opened, advance: Callable[[int], None]) -> None:
        self._manifest = manifest
        self._advance = advance
        self.is_whole = False
        """Whether it is; known at the end."""

    def __iter__(self) -> Iterator[bytes]:
        hasher, rest, left = hashlib.sha256(), b"", self._manifest.size
        while left and (data := self._manifest.read(min(left, PIECE_BYTES))):
            left -= len(data)
            self._advance(len(data))
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > LARGEST_DOCUMENT:
                return
            for index, line in enumerate(lines):
                if not left and not rest and index == len(lines) - 1:
                    self.is_whole = line.decode("ascii", "replace") == hasher.hexdigest()
                    return
                hasher.update(line + b"\n")
                yield line


def listed_member(line: bytes) -> tuple[str, int, int] | None:
    """Name, size and time of what a line is about; None where it is about nothing that there is, or cannot be
    read: the digest of all lines tells of that."""
    try:
        listed = orjson.loads(line)
        name = str(listed["name"])
        size, modified_at = whole_number(listed["size"]), whole_number(listed["modified_at"])
    except (ValueError, KeyError, TypeError):
        return None
    if name not in {HEADER, SECRETS, CATALOG} and parse_object_name(name) is None:
        return None
    return name, size, modified_at


def listed_names(manifest: Opened) -> Iterator[str]:
    """The names of all that a manifest lists. Raises BackupFailed at its end when it is damaged."""
    lines = _Lines(manifest, lambda _: None)
    for line in lines:
        if (member := listed_member(line)) is not None:
            yield member[0]
    if not lines.is_whole:
        raise BackupFailed(f"{MANIFEST} is damaged: its last line is not the digest of the others")


def json_document(data: bytes, name: str) -> Any:
    """What a member says. Raises BackupFailed."""
    try:
        return orjson.loads(data)
    except ValueError as error:
        raise BackupFailed(f"{name} is damaged: it is no JSON") from error
