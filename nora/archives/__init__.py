"""Opens archives that nobody has vouched for: without unpacking them, and without being overwhelmed.

What could hurt whoever unpacks them later is refused here as well: bombs, paths and links that lead out.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from dataclasses import dataclass

from nora.errors import InvalidPackageFile, quoted

DAMAGED = (zlib.error, EOFError, ValueError, OverflowError, tarfile.TarError, gzip.BadGzipFile)
"""What Python's readers raise for an archive that is not intact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much an archive may hold."""

    bomb_floor: int = 64 << 20
    """Bytes that any archive may expand to."""
    bomb_ratio: int = 50
    """Beyond the floor: how many times its own size."""
    member: int = 8 << 20
    """Bytes of a file that is read out of it."""
    directory: int = 8 << 20
    """Bytes of the list of files of a zip, and of the extended headers of one file of a tar."""
    members: int = 200_000
    path: int = 4096
    """Characters of the path of a file: no system unpacks longer ones."""
    depth: int = 256
    """Folders in a path: each is looked at."""
    remembered: int = 100_000
    """Folders and links of a tar that are remembered until its end: those on the way to its links."""

    def expanded(self, size: int) -> int:
        """Bytes that an archive of `size` bytes may expand to."""
        return max(self.bomb_floor, self.bomb_ratio * size)


def check_path(name: str, limits: Limits) -> None:
    """Raises InvalidPackageFile for a path that is not safe to unpack."""
    if len(name) > limits.path or name.count("/") > limits.depth:
        raise InvalidPackageFile(f"the archive has a file of an absurdly long path: {quoted(name)!r}")
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or parts[0] == "" or ".." in parts or ":" in parts[0]:
        raise InvalidPackageFile(f"the archive has a file of a dangerous name: {quoted(name)!r}")
