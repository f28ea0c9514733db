"""The file of users: lines of `name:hash` as `htpasswd -B` writes them. bcrypt only."""

from __future__ import annotations

import logging
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from nora.errors import Conflict, StorageFailed, quoted
from nora.locks import FileLock

_log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
"""The file is looked at no more often; twice within a second, since an empty one counts only then."""
LARGEST_FILE: Final = 4 * 1024 * 1024
"""Characters; what follows is not read."""
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|1[0-7])\$[./A-Za-z0-9]{53}")
"""Cost 17 is the highest that htpasswd makes."""
_ABSENT = ("absent",)


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the file."""

    name: str
    password_hash: str = field(repr=False)
    fingerprint: str
    """Changes with the password; says nothing about it, since a bcrypt hash has a salt."""

    @property
    def cost(self) -> int:
        """Of the hash: 2 to the power of this many rounds."""
        return int(self.password_hash[4:6])


def parse_accounts(text: str) -> tuple[dict[str, Account], list[str], bool]:
    """The accounts of a file, a warning for each line that is none, and whether the last line seems cut off.

    Of two lines of one name the first counts.
    """
    accounts: dict[str, Account] = {}
    warnings: list[str] = []
    complaint = ""
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, _, hashed = line.partition(":")
        complaint = _complaint(name, hashed, accounts)
        if complaint:
            warnings.append(f"line {number} is ignored: {complaint}")
        else:
            accounts[name] = Account(name, hashed, sha256(hashed.encode()).hexdigest()[:16])
    return accounts, warnings, bool(complaint) and not text.endswith("\n")


def _complaint(name: str, hashed: str, accounts: Mapping[str, Account]) -> str:
    if not name or not name.isprintable():
        return "its name is not printable"
    if not _BCRYPT.fullmatch(hashed):
        return "its hash is not bcrypt (make it with htpasswd -B)"
    return "its name was there before" if name in accounts else ""


class Htpasswd:
    """The accounts of a file that may change at any time.

    A file that is gone has no accounts. One that cannot be read, or that somebody seems to be writing,
    changes nothing: who could log in still can, and a warning says why. Nor does one that has just become
    empty, until the next look: some programs empty a file before they write it.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._looked_at = float("-inf")
        self._seen: tuple[object, ...] = ()
        self._accounts: dict[str, Account] | None = None
        self._complaint = ""
        self.highest_cost = 0
        """Of the hashes in the file as it was looked at last; 0 without any."""

    @property
    def is_there(self) -> bool:
        """Whether there is such a file; without a word in the log when there is none."""
        return self._path.exists()

    @property
    def accounts(self) -> Mapping[str, Account]:
        """By name, no more than LOOK_SECONDS old. Raises StorageFailed when it could never be read."""
        now = self._clock()
        if now - self._looked_at >= LOOK_SECONDS:
            self._look()
            self._looked_at = now
        if self._accounts is None:
            raise StorageFailed(f"the file of users cannot be read: {self._complaint}")
        return self._accounts

    def _look(self) -> None:
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if seen == self._seen:
                return
            accounts, warnings, cut_off = parse_accounts(self._read())
        except FileNotFoundError:
            if self._seen != _ABSENT:
                _log.warning("%s: there is no such file: nobody has a password", self._path)
                self._seen, self._accounts = _ABSENT, {}
            return
        except OSError as error:
            self._complain(error.strerror or str(error))
            return
        if self._accounts and cut_off:
            self._complain("its last line is cut off")
        elif self._accounts and not accounts and self._seen != (*seen, "empty"):
            self._seen = (*seen, "empty")
        else:
            self._seen, self._accounts, self._complaint = seen, accounts, ""
            self.highest_cost = max((one.cost for one in accounts.values()), default=0)
            for warning in warnings:
                _log.warning("%s: %s", self._path, warning)

    def _read(self) -> str:
        with self._path.open(encoding="utf-8", errors="surrogateescape") as file:
            return file.read(LARGEST_FILE)

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            _log.warning("%s is not taken over: %s", self._path, text)


def set_account(path: Path, name: str, password_hash: str, *, exists: bool) -> None:
    """Write the account of a name into the file, for good. Raises Conflict when it is there, or not there,
    against `exists`; StorageFailed."""

    def change(lines: list[str]) -> list[str]:
        own = [line for line in lines if _name_in(line) == name]
        if bool(own) is not exists:
            raise Conflict(f"there is {'a' if own else 'no'} user {quoted(name)} in {path}")
        entry = f"{name}:{password_hash}"
        if not own:
            return [*lines, entry]
        return [entry if line == own[0] else line for line in lines if line not in own[1:]]

    _edit(path, change)


def remove_account(path: Path, name: str) -> bool:
    """Take a name out of the file; whether it was there. Raises StorageFailed."""
    found = False

    def change(lines: list[str]) -> list[str]:
        nonlocal found
        kept = [line for line in lines if _name_in(line) != name]
        found = len(kept) < len(lines)
        return kept

    _edit(path, change)
    return found


def _name_in(line: str) -> str:
    return "" if line.lstrip().startswith("#") else line.strip().partition(":")[0]


def _edit(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Replace the file by its changed lines: whoever reads it sees the old one or the new one."""
    path = path.resolve()
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        with lock:
            old = path.read_bytes() if path.exists() else b""
            lines = old.decode(errors="surrogateescape").splitlines()
            changed = change(lines)
            if changed != lines:
                _replace(path, "".join(f"{line}\n" for line in changed).encode(errors="surrogateescape"))
    except OSError as error:
        raise StorageFailed(f"{path} cannot be changed: {error.strerror}") from error
    finally:
        lock.close()


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            if path.exists() and hasattr(os, "fchown"):  # whoever runs the server can still read it
                status = path.stat()
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        if sys.platform != "win32":
            folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)
