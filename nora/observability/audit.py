"""The audit log: who did what, with what, from where, and whether it was allowed. One JSON object a line.

    {"ts":"2026-01-31T12:00:00.000Z","request_id":"…","client":"192.0.2.7","subject":"ci","method":"token",
     "action":"write","registry":"…","repository":"internal","object":"team/app:1","digest":"sha256:…",
     "outcome":"ok","status":201}

Writes, deletes, administration, claimed names, opened sessions, what was denied, credentials that were not
accepted, and commands with their arguments; reads when asked for.
A handler says what it is about to do (`note`), the application makes the line of it when the answer is known.

No request waits for a line: a thread writes them, some at a time, from a queue; what does not fit into the
queue is dropped and counted. Workers append to one file in turns, under a lock under which it is rotated too,
and cleared of half a line that a killed process left. A line has nothing of a request's headers, query and
body but the names that were parsed out of them: no secret has a way into it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import orjson

from nora.errors import StorageFailed
from nora.locks import FileLock
from nora.model import ANONYMOUS, Action, Principal
from nora.observability.logs import REQUEST_ID

if TYPE_CHECKING:
    from nora.config import Config
    from nora.observability.metrics import Metrics
    from nora.observability.shared import Value

_log = logging.getLogger(__name__)

QUEUE_LENGTH: Final = 10_000
GATHER_SECONDS: Final = 0.1
"""How long the thread lets lines gather: if it woke for each one, it would take the interpreter lock from the
requests each time."""
BATCH_LINES: Final = 256
DRAIN_SECONDS: Final = 5.0
COMPLAIN_SECONDS: Final = 60.0
LONGEST_LINE: Final = 4000
"""Bytes: below PIPE_BUF, so that lines of several workers do not mix when standard output is a pipe."""
_SHORT_TEXT: Final = 80
_TAIL_BYTES: Final = 64 * 1024
_MODE: Final = 0o600

_NOTE_KEY = "nora.audit"
_CLAIM_KEY = "nora.audit.claim"
_ACTIONS: dict[str, Action] = {"GET": "read", "HEAD": "read", "OPTIONS": "read", "DELETE": "delete"}


CREDENTIAL_HEADERS: Final = frozenset({b"authorization", b"x-nuget-apikey"})


class Note(NamedTuple):
    """What a request does."""

    action: str
    """An action of `nora.model`, `authenticate`, `claim`, or `session` (credentials were exchanged)."""
    repository: str = ""
    name: str = ""
    """As its format names it: `team/app:1`."""
    digest: str = ""


class _Entry(NamedTuple):
    at: float
    request_id: str
    client: str
    subject: str
    method: str
    note: Note
    registry: str
    status: int


def note(
    scope: dict[str, Any],
    action: Action | Literal["claim", "session"],
    repository: str = "",
    name: str = "",
    digest: str = "",
) -> None:
    """Say what a request does, before it is done; once more when more is known."""
    scope[_NOTE_KEY] = Note(action, repository, name, digest)


def note_claim(scope: dict[str, Any], repository: str, name: str) -> None:
    """Say that a request makes a name the repository's own, if it succeeds: a line beside its own."""
    scope[_CLAIM_KEY] = Note("claim", repository, name)


class AuditFile:
    """The file, shared with other processes. One thread of a process uses it."""

    def __init__(self, path: Path, max_size: int, keep: int) -> None:
        """A file that would grow beyond `max_size` bytes becomes `<path>.1`, that one `<path>.2`, and so on;
        the one after `<path>.<keep>` is removed."""
        self._path = path
        self._max_size = max_size
        self._keep = keep
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        self._fd = -1

    def append(self, lines: bytes) -> None:
        """Add whole lines, all or none. Raises StorageFailed."""
        try:
            with self._lock:
                size = self._open()
                if size and size + len(lines) > self._max_size:
                    self._rotate()
                    size = self._open()
                self._write(lines, size)
        except OSError as error:
            raise StorageFailed(f"{self._path} cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Let go of the file."""
        self._lock.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        """The file of this name, which another process may have rotated; its size, half a line cut off."""
        known = os.fstat(self._fd) if self._fd >= 0 else None
        try:
            found = self._path.stat()
        except FileNotFoundError:
            found = None
        if known is None or found is None or (known.st_dev, known.st_ino) != (found.st_dev, found.st_ino):
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
        size = os.fstat(self._fd).st_size
        start = max(0, size - _TAIL_BYTES)
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            size = start + os.pread(self._fd, _TAIL_BYTES, start).rfind(b"\n") + 1
            os.ftruncate(self._fd, size)
        return size

    def _write(self, lines: bytes, size: int) -> None:
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._fd, size)
            raise

    def _rotate(self) -> None:
        names = [self._path, *(Path(f"{self._path}.{number}") for number in range(1, self._keep + 1))]
        names[-1].unlink(missing_ok=True)
        for older, newer in zip(reversed(names[:-1]), reversed(names[1:]), strict=True):
            with suppress(FileNotFoundError):
                older.rename(newer)


class Audit:
    """The log of one worker."""

    def __init__(
        self, file: AuditFile | None, *, stdout: bool, reads: bool, dropped: Value, failed: Value
    ) -> None:
        """`dropped` counts what the queue had no room for, `failed` what could not be written."""
        self._file = file
        self._stdout = stdout
        self.reads = reads
        """Whether all reads are for the log."""
        self._dropped = dropped
        self._failed = failed
        self._queue: deque[_Entry] = deque()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._complained_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    @classmethod
    def build(cls, config: Config, metrics: Metrics) -> Audit | None:
        """As the configuration has it; None when it has none."""
        settings = config.audit
        if settings.mode == "off":
            return None
        return cls(
            None if settings.mode == "stdout" else _file_of(config),
            stdout=settings.mode != "file",
            reads=settings.reads,
            dropped=metrics.counter("nora_audit_dropped", ("reason", "queue")),
            failed=metrics.counter("nora_audit_dropped", ("reason", "write")),
        )

    def start(self) -> None:
        """Begin to write; in the process of the worker."""
        self._thread.start()

    def observe(self, scope: dict[str, Any], registry: str, status: int) -> None:
        """Take note of an answer, if it is one for the log."""
        noted: Note | None = scope.get(_NOTE_KEY)
        claim: Note | None = scope.get(_CLAIM_KEY)
        if claim is not None and status < 400:
            self._take(scope, claim, registry, status)
        if noted is not None or self._concerns(scope, registry, status):
            noted = noted or Note(_action(scope["method"], status), name=scope["path"])
            self._take(scope, noted, registry, status)

    def observe_job(self, job: str, noted: Note, registry: str) -> None:
        """Take note of what was done from time to time, by nobody."""
        self._put(_Entry(time.time(), "", "", job, "job", noted, registry, 200))

    def _take(self, scope: dict[str, Any], noted: Note, registry: str, status: int) -> None:
        principal: Principal = scope.get("nora.principal") or ANONYMOUS
        self._put(
            _Entry(
                time.time(),
                REQUEST_ID.get(),
                scope.get("nora.client", ""),
                _subject(principal, scope.get("nora.claimed", "")),
                principal.method,
                noted,
                registry,
                status,
            )
        )

    def _put(self, entry: _Entry) -> None:
        if len(self._queue) >= QUEUE_LENGTH:
            self._dropped.add()
            return
        self._queue.append(entry)
        if not self._wake.is_set():
            self._wake.set()

    def _concerns(self, scope: dict[str, Any], registry: str, status: int) -> bool:
        if status == 401:  # without any credentials it is only the question for some
            shown = any(name in CREDENTIAL_HEADERS for name, _ in scope["headers"])
            return shown or "nora.claimed" in scope  # in the body, perhaps
        if status == 429:  # a guess that was not looked at; the other limits are no matter of who
            return "nora.claimed" in scope
        return status == 403 or (self.reads and registry != "system" and scope["method"] in _ACTIONS)

    def close(self) -> None:
        """Write what waits, for some seconds at most."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(DRAIN_SECONDS)

    def _run(self) -> None:
        while self._queue or not self._closing.is_set():
            self._wake.wait()
            self._closing.wait(GATHER_SECONDS)
            self._wake.clear()
            while self._queue:
                count = min(len(self._queue), BATCH_LINES)
                self._write([_line(self._queue.popleft()) for _ in range(count)])
        if self._file is not None:
            self._file.close()

    def _write(self, lines: list[bytes]) -> None:
        try:
            if self._file is not None:
                self._file.append(b"".join(lines))
            if self._stdout:
                for line in lines:
                    os.write(sys.__stdout__.fileno() if sys.__stdout__ else 1, line)
        except (OSError, StorageFailed) as error:
            self._failed.add(len(lines))
            if time.monotonic() - self._complained_at > COMPLAIN_SECONDS:
                self._complained_at = time.monotonic()
                _log.error("audit log: %s; lines are lost, see nora_audit_dropped_total", error)


def record_command(config: Config, words: str, *, succeeded: bool) -> None:
    """A line for what somebody on this machine did with a command: `words`. Raises StorageFailed."""
    with command_log(config) as record:
        record(Note("admin", name=words), "system", 200 if succeeded else 500)


@contextmanager
def command_log(config: Config) -> Iterator[Callable[[Note, str, int], None]]:
    """Records what a command does: what, of which format, with which status. Raises StorageFailed, as each
    call does."""
    if config.audit.mode not in ("file", "both"):
        yield lambda *_: None
        return
    try:
        config.storage.path.mkdir(0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(f"{config.storage.path} cannot be made: {error.strerror}") from error
    user = user_of_this_process()
    file = _file_of(config)

    def record(noted: Note, registry: str, status: int) -> None:
        file.append(_line(_Entry(time.time(), "", "", user, "command", noted, registry, status)))

    try:
        yield record
    finally:
        file.close()


def _file_of(config: Config) -> AuditFile:
    return AuditFile(audit_path(config), config.audit.max_size, config.audit.keep)


def audit_path(config: Config) -> Path:
    """The file that is written to; `<path>.1` and so on were before it."""
    return config.storage.path / "audit.jsonl"


def user_of_this_process() -> str:
    """By its number: the environment says what it is told to."""
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):  # no Unix, or a number without a name
        return str(os.getuid()) if hasattr(os, "getuid") else ""


def _action(method: str, status: int) -> str:
    """What a request without a note was about."""
    return "authenticate" if status in (401, 429) else _ACTIONS.get(method, "write")


def _subject(principal: Principal, claimed: str) -> str:
    """Who it is; where that was not accepted, who it claimed to be. A token in place of a name is no name."""
    if not principal.is_anonymous or not claimed:
        return principal.name
    return "***" if "nra_" in claimed or "eyJ" in claimed else claimed


def _line(entry: _Entry) -> bytes:
    record: dict[str, Any] = {
        "ts": datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        "request_id": entry.request_id,
        "client": entry.client,
        "subject": entry.subject,
        "method": entry.method,
        "action": entry.note.action,
        "registry": entry.registry,
        "repository": entry.note.repository,
        "object": entry.note.name,
        "digest": entry.note.digest,
        "outcome": _outcome(entry.status),
        "status": entry.status,
    }
    line = _encode(record)
    if len(line) > LONGEST_LINE:
        line = _encode({name: _shortened(value) for name, value in record.items()})
    return line


def _outcome(status: int) -> str:
    if status < 400:
        return "ok"
    return "denied" if status in (401, 403, 429) else "failed"


def _encode(record: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # lone surrogates, which JSON may not have
        valid = {
            name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
            for name, value in record.items()
        }
        return orjson.dumps(valid, option=orjson.OPT_APPEND_NEWLINE)


def _shortened(value: Any) -> Any:
    return value[:_SHORT_TEXT] + "…" if isinstance(value, str) and len(value) > _SHORT_TEXT else value
