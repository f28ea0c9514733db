"""The one owner of file locks, and of what differs between operating systems.

Locks are flock(2): they belong to an open file, not to a process, and the kernel lets go of them when the
last descriptor of that open file is closed, however the process ended. Files that only carry a lock are
never removed: two processes would then hold "the same" lock on two files. Windows locks one byte far
behind the content instead; it and macOS run one worker, for development.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from nora.errors import StartError, StorageFailed

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 1 << 30

    def lock_descriptor(fd: int, *, block: bool = True) -> bool:
        """Lock an open file against other holders; False when it is held and `block` is false."""
        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_LOCK if block else msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock_descriptor(fd: int) -> None:
        """Let go of the lock of an open file."""
        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def lock_descriptor(fd: int, *, block: bool = True) -> bool:
        """Lock an open file against other holders; False when it is held and `block` is false.

        Raises StorageFailed when the file system cannot lock.
        """
        try:
            fcntl.flock(fd, fcntl.LOCK_EX if block else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise StorageFailed(f"cannot lock a file: {error.strerror}") from error
        return True

    def unlock_descriptor(fd: int) -> None:
        """Let go of the lock of an open file."""
        fcntl.flock(fd, fcntl.LOCK_UN)


class NumberedLocks:
    """Any number of short locks between processes, told apart by number. Make them in the parent process.

    They are byte-range locks of fcntl(2) on a file of memory that has no name: a process that dies lets go of
    what it holds. They belong to a process, so one thread of each takes them, and one at a time. Only Linux
    has such files, and only there is more than one process: elsewhere there is nothing to lock against.
    """

    __slots__ = ("_fd",)

    def __init__(self) -> None:
        self._fd = os.memfd_create("nora-locks", os.MFD_CLOEXEC) if sys.platform == "linux" else -1

    def acquire(self, number: int) -> None:
        """Take a lock; waits for another process that has it."""
        if sys.platform == "linux":
            fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, number)

    def release(self, number: int) -> None:
        """Let go of a lock."""
        if sys.platform == "linux":
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, number)


class FileLock:
    """An exclusive lock named by a file, between processes and between holders in one process.

    Not reentrant: a second `acquire` of the same object is an error of the caller. As a context manager
    it waits. With `announce` the holder writes its process id into the file, for the message of others.
    """

    __slots__ = ("_announce", "_fd", "_held", "path")

    def __init__(self, path: Path, *, announce: bool = False) -> None:
        self.path = path
        self._announce = announce
        self._fd = -1
        self._held = False

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._held

    def acquire(self, *, block: bool = True) -> bool:
        """Take the lock; False when another holds it and `block` is false.

        The file stays open between acquisitions, because a lock that is taken often (the turnstile) should
        cost one system call. Raises StorageFailed when the file cannot be opened or locked.
        """
        assert not self._held, f"{self.path} is locked already"
        if self._fd < 0:
            try:
                self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise StorageFailed(f"cannot open the lock {self.path}: {error.strerror}") from error
        self._held = lock_descriptor(self._fd, block=block)
        if self._held and self._announce:
            with suppress(OSError):  # a full disk must not stop the holder: the id is only for a message
                os.ftruncate(self._fd, 0)
                os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        return self._held

    def release(self) -> None:
        """Let go of the lock; nothing when it is not held."""
        if self._held:
            self._held = False
            unlock_descriptor(self._fd)

    def close(self) -> None:
        """Let go of the lock and of the file."""
        self.release()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def holder(self) -> int | None:
        """The process id that the holder announced; None when it is not known."""
        try:
            return int(self.path.read_bytes())
        except (OSError, ValueError):
            return None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Turnstile:
    """A lock that processes get in the order in which they ask for it.

    flock alone lets a process that releases and asks again overtake those that wait, and SQLite's busy
    handler polls, so that one of four writing processes gets nearly all commits. Who holds `turn` is next;
    who holds `write` is in. A process that leaves finds `turn` taken and has to queue behind it.
    """

    __slots__ = ("_turn", "_write")

    def __init__(self, path: Path) -> None:
        self._turn = FileLock(path.with_name(path.name + ".turn"))
        self._write = FileLock(path.with_name(path.name + ".write"))

    def __enter__(self) -> Self:
        with self._turn:
            self._write.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write.release()

    def close(self) -> None:
        """Let go of the locks and of their files."""
        self._turn.close()
        self._write.close()


def data_directory_lock(directory: Path) -> FileLock:
    """Take the lock of a data directory: one server at a time uses it.

    Keep the returned lock until the process ends; children that inherit it by fork hold it as well.
    Raises StartError, naming the holder, when it is taken, and when the directory cannot be used.
    """
    lock = FileLock(directory / "nora.lock", announce=True)
    try:
        taken = lock.acquire(block=False)
    except StorageFailed as error:
        raise StartError(f"the data directory {directory} cannot be used: {error}") from error
    if not taken:
        holder = lock.holder()
        lock.close()
        who = f"process {holder}" if holder else "another process"
        raise StartError(f"the data directory {directory} is in use by {who}; stop it or choose another one")
    return lock


def file_system_type(path: Path, mounts: str | None = None) -> str | None:
    """The type of the file system that holds a path (`ext4`, `nfs4`, `fuse.sshfs`); None where unknown.

    `mounts` is the text of proc(5) /proc/self/mountinfo, read when not given: statfs(2) would give
    a number that says FUSE but not what stands behind it.
    """
    if mounts is None:
        try:
            with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
                mounts = file.read()
        except OSError:
            return None
    resolved = path.resolve()
    ancestors = {str(resolved), *map(str, resolved.parents)}
    found, longest = None, 0
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), before.split(" ")[4])
        if point in ancestors and len(point) >= longest:  # of two mounts on one point the later one is seen
            found, longest = after.split(" ")[0], len(point)
    return found
