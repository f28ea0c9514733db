"""Files that somebody is writing, open and locked. Everything here blocks: for disk threads."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from nora.blobs.layout import FILE_MODE
from nora.locks import lock_descriptor


class LockedTempFile:
    """A file without its final name. It is locked while it is open, which keeps sweepers away.

    An object of this class outlives the call that opens the file, so that a cancelled caller can still
    close and remove what a thread has made for it.
    """

    __slots__ = ("fd", "made", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = -1
        self.made = False
        """Whether there may be a file: closing it does not change that."""

    def create(self) -> None:
        """Make the file; it must not exist."""
        while True:
            self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
            self.made = True
            lock_descriptor(
                self.fd
            )  # a sweeper may hold it for a moment: after a jump of the clock it looks idle
            if os.fstat(self.fd).st_nlink:
                return
            self.close()  # and has removed it

    def open(self) -> bool:
        """Open the file, made if need be; False when another holds it."""
        while True:
            self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            self.made = True
            if not lock_descriptor(self.fd, block=False):
                self.close()
                return False
            if os.fstat(self.fd).st_nlink:
                return True
            self.close()  # it was removed between the two calls: what is locked is no longer that file

    def write(self, data: bytes, offset: int) -> None:
        """Write all of `data` at `offset`."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self.fd, view, offset)
            view, offset = view[written:], offset + written

    def rename(self, path: str) -> None:
        """Give the file another name; it stays open and locked."""
        os.rename(self.path, path)
        self.path = path

    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self.fd).st_size

    def cut(self, size: int) -> None:
        """Forget what the file holds beyond `size`."""
        if self.size() > size:
            os.ftruncate(self.fd, size)

    def close(self) -> None:
        """Close the file, and so let go of its lock; nothing when it is closed."""
        if self.fd >= 0:
            descriptor, self.fd = self.fd, -1
            os.close(descriptor)

    def discard(self) -> None:
        """Close and remove the file; nothing is wrong when it is gone."""
        try:
            remove(self.path)
        finally:
            self.close()


def remove(path: str) -> None:
    """Remove a file that may be gone already."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def remove_unheld(path: str) -> bool:
    """Remove a file unless somebody holds its lock, or it is gone; whether it was removed.

    What is locked may have lost its name meanwhile to a file that somebody else holds: that stays. Whoever
    has the lock of what the name means is alone in removing it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if not lock_descriptor(descriptor, block=False):
            return False
        if not os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return False
        os.unlink(path)
        return True
    except FileNotFoundError:
        return False
    finally:
        os.close(descriptor)


def list_idle(folder: str, idle_seconds: float) -> list[str]:
    """Names of the files in a folder that were not written for so long."""
    deadline = time.time() - idle_seconds
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if (
                    entry.is_file(follow_symlinks=False)
                    and entry.stat(follow_symlinks=False).st_mtime <= deadline
                ):
                    names.append(entry.name)
    return names
