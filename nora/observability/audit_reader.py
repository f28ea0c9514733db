"""Reading the audit log back: the newest lines first, of the file and of those that it was rotated into.

A request reads a bounded number of bytes, from the end of a file backwards; where it stopped is a cursor,
with which the next one goes on. Files are told apart by what they are (their inode), not by what they are
called: the log may be rotated in between. The last line may be half a line: somebody is writing it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import orjson

from nora.errors import BadRequest, StorageFailed
from nora.observability.audit import LONGEST_LINE, audit_path

if TYPE_CHECKING:
    from nora.config import Config

BLOCK_BYTES: Final = 256 * 1024
MOST_BYTES: Final = 16 * 1024 * 1024
"""What a request looks through: some 60,000 lines."""
LONGEST_FILTER: Final = 256
LATE: Final = timedelta(seconds=60)
"""Lines of several workers are in order but for so much: each gathers its own."""

Outcome = Literal["ok", "denied", "failed"]
OUTCOMES: Final = ("ok", "denied", "failed")
_moment = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?Z?").fullmatch
_cursor = re.compile(r"(\d{1,20})-(\d{1,20})").fullmatch

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """Which lines somebody wants to see. Texts are looked for anywhere in a field, in any case."""

    who: str = ""
    """In the subject, or the address of the client."""
    action: str = ""
    """Exactly."""
    where: str = ""
    """In the registry, the repository, the object or the digest."""
    outcome: str = ""
    """One of OUTCOMES."""
    since: str = ""
    until: str = ""
    """Times as lines have them; the first one is included, the second one is not."""

    @classmethod
    def parse(
        cls,
        *,
        who: str = "",
        action: str = "",
        where: str = "",
        outcome: str = "",
        since: str = "",
        until: str = "",
    ) -> Question:
        """Raises BadRequest. A day alone is its beginning, as the last one its end."""
        for name, text in (("who", who), ("action", action), ("where", where)):
            if len(text) > LONGEST_FILTER:
                raise BadRequest(f"{name} has at most {LONGEST_FILTER} characters")
        if outcome not in ("", *OUTCOMES):
            raise BadRequest(f"outcome is one of {', '.join(OUTCOMES)}")
        return cls(
            who.strip().lower(),
            action.strip().lower(),
            where.strip().lower(),
            outcome,
            _parse_time("since", since.strip(), is_end=False),
            _parse_time("until", until.strip(), is_end=True),
        )

    def fits(self, record: Record) -> bool:
        """Whether a line is meant, but for its time."""
        if self.outcome and record.get("outcome") != self.outcome:
            return False
        if self.action and str(record.get("action")).lower() != self.action:
            return False
        if self.who and not _has(record, ("subject", "client"), self.who):
            return False
        return not self.where or _has(record, ("registry", "repository", "object", "digest"), self.where)


class Cursor(NamedTuple):
    """Where to go on: in which file, and before which of its bytes."""

    inode: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """None for an empty one. Raises BadRequest."""
        if not text:
            return None
        found = _cursor(text)
        if found is None:
            raise BadRequest("the cursor is none of ours: leave it out, and begin with the newest line")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.inode}-{self.offset}"


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some lines, the newest first."""

    records: Sequence[Record]
    next: Cursor | None
    """Where the next ones begin; None: there are no more."""
    reached: str
    """The time of the line that was looked at last; empty: there was none."""


class AuditReader:
    """Reads the log of a server. For threads: it waits for the disk."""

    def __init__(self, path: Path, keep: int, *, most_bytes: int = MOST_BYTES) -> None:
        """`keep`: how many files it is rotated into."""
        self._path = path
        self._keep = keep
        self._most_bytes = most_bytes

    @classmethod
    def build(cls, config: Config) -> AuditReader:
        """As the configuration has it."""
        return cls(audit_path(config), config.audit.keep)

    @property
    def is_there(self) -> bool:
        """Whether there is a file."""
        return self._path.exists()

    def read(self, question: Question, cursor: Cursor | None, limit: int) -> AuditPage:
        """At most `limit` lines before the cursor, fewer where much was looked through. Raises
        StorageFailed."""
        found: list[Record] = []
        reached = ""
        left = self._most_bytes
        too_early = _shifted(question.since, -1) if question.since else ""
        try:
            with ExitStack() as stack:
                for file in self._files(stack, cursor):
                    end = file.end_of(question.until, cursor)
                    for start, line in file.backwards(end):
                        left -= len(line) + 1
                        record = _parse(line)
                        if record is not None:
                            reached = record["ts"]
                            if reached < too_early:
                                return AuditPage(found, None, reached)
                            if _is_within(reached, question) and question.fits(record):
                                found.append(record)
                        if len(found) >= limit or left <= 0:
                            return AuditPage(found, Cursor(file.inode, start), reached)
        except OSError as error:
            raise StorageFailed(f"{self._path} cannot be read: {error.strerror}") from error
        return AuditPage(found, None, reached)

    def _files(self, stack: ExitStack, cursor: Cursor | None) -> Iterator[_File]:
        """From the newest, or the one of the cursor, to the oldest. A rotation gives a file the next number:
        who asks for them in order misses none, and may see one twice."""
        seen: set[int] = set()
        is_reached = cursor is None
        for number in range(self._keep + 1):
            path = self._path if number == 0 else Path(f"{self._path}.{number}")
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            stack.callback(os.close, fd)
            file = _File(fd)
            is_reached = is_reached or (cursor is not None and file.inode == cursor.inode)
            if is_reached and file.inode not in seen:
                seen.add(file.inode)
                yield file


class _File:
    """One of the files, open."""

    def __init__(self, fd: int) -> None:
        status = os.fstat(fd)
        self._fd = fd
        self.inode = status.st_ino
        self._size = status.st_size

    def end_of(self, until: str, cursor: Cursor | None) -> int:
        """Before which byte to begin: lines are in order, so that what is too late need not be read."""
        end = self._size
        if cursor is not None and cursor.inode == self.inode:
            end = min(end, cursor.offset)
        if not until:
            return end
        low, high, too_late = 0, end, _shifted(until, 1)
        while high - low > BLOCK_BYTES:
            middle = (low + high) // 2
            moment = self._time_after(middle)
            if moment and moment <= too_late:
                low = middle
            else:
                high = middle
        following = os.pread(self._fd, BLOCK_BYTES, high).find(b"\n") + 1 if high < end else 0
        return min(end, high + following)

    def _time_after(self, offset: int) -> str:
        """Of the first whole line after a byte."""
        for line in os.pread(self._fd, BLOCK_BYTES, offset).split(b"\n")[1:-1]:
            record = _parse(line)
            if record is not None:
                return str(record["ts"])
        return ""

    def backwards(self, end: int) -> Iterator[tuple[int, bytes]]:
        """The whole lines before a byte, the last one first, each with where it begins."""
        tail = b""
        """Of a line, whose beginning is in the block before."""
        is_whole = False
        """Whether a line break has been seen behind it: what comes after the last one is half a line."""
        while end > 0:
            start = max(0, end - BLOCK_BYTES)
            block = os.pread(self._fd, end - start, start)
            if len(block) < end - start or len(tail) > LONGEST_LINE * 4:  # cut off by now; or no line of ours
                tail, is_whole = b"", False
            first, *others = (block + tail).split(b"\n")
            at = start + len(block) + len(tail)
            for line in reversed(others):
                at -= len(line)
                if is_whole and line:
                    yield at, line
                is_whole = True
                at -= 1
            tail, end = first, start
        if is_whole and tail:
            yield 0, tail


def _parse(line: bytes) -> Record | None:
    """None for what is no line of ours."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("ts"), str) else None


def _has(record: Record, names: Sequence[str], text: str) -> bool:
    return any(text in str(record.get(name, "")).lower() for name in names)


def _is_within(moment: str, question: Question) -> bool:
    return (not question.since or moment >= question.since) and (
        not question.until or moment < question.until
    )


def _shifted(moment: str, sign: int) -> str:
    """So much later or earlier that the order of lines can be relied on."""
    return _written(datetime.fromisoformat(moment) + sign * LATE)


def _parse_time(name: str, text: str, *, is_end: bool) -> str:
    if not text:
        return ""
    try:
        if not _moment(text):
            raise ValueError
        found = datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
        if not 1970 < found.year < 9999:
            raise ValueError
        if is_end and len(text.removesuffix("Z")) == len("2026-01-31"):
            found += timedelta(days=1)
        return _written(found)
    except ValueError:
        raise BadRequest(f"{name} is a time such as 2026-01-31 or 2026-01-31T12:00:00Z, in UTC") from None


def _written(moment: datetime) -> str:
    """As lines have it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
