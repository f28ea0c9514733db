"""The disk of this machine, for what is on its way or can be made again: never a bucket, never a network.

    <root>/
      uploads/<uuid>               the bytes of an upload session; its row says how many count
      downloads/<32 hex>           locked by who asks an upstream for something: the name is a hash of what,
                                   the content says how it stands
      downloads/<32 hex>.<16 hex>  the bytes of a file that is on its way from an upstream, one name for each
                                   attempt; locked by their writer
      render_cache/<32 hex>        documents that were computed, too large for memory; swept
      negative_cache               what upstreams said they do not have, in slots of one size
      locks/<work>                 locked by the process that does what only one does; never removed

What was acknowledged is elsewhere: in the catalog and the blob store. Only the parts of upload sessions are
here alone, and are durable for that. A directory as the blob store may share the root: the names differ.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from nora.blobs.files import list_idle, remove_unheld
from nora.blobs.layout import empty, make_directories

if TYPE_CHECKING:
    from nora.blobs.disk import Disk

YOUNG_SECONDS: Final = 60.0


class ScratchLayout:
    """The tree under one root."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.path.abspath(root)
        self.uploads = f"{self.root}/uploads"
        self.downloads = f"{self.root}/downloads"
        self.render_cache = f"{self.root}/render_cache"
        self.negative_cache = f"{self.root}/negative_cache"
        self.locks = f"{self.root}/locks"

    def upload(self, upload_id: str) -> str:
        """The file of an upload session; the id is one that `nora.blobs.uploads` has checked."""
        return f"{self.uploads}/{upload_id}"

    def download(self, key: str) -> str:
        """The file whose holder may ask an upstream for what `key` names."""
        return f"{self.downloads}/{blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"

    def part(self, download: str, number: int) -> str:
        """The file for the bytes of a download, by the random number of the attempt."""
        return f"{download}.{number:016x}"

    def create(self) -> None:
        """Make the directories that are missing, durably. Raises OSError."""
        make_directories(self.root, ("uploads", "downloads", "render_cache", "locks"))

    def empty(self) -> list[str]:
        """Remove what a crash left in downloads/ and render_cache/, before any worker starts.

        After a power loss a file of these may not hold what was written to it. See `layout.empty`.
        """
        return [path for folder in (self.downloads, self.render_cache) for path in empty(folder)]


class Scratch(ScratchLayout):
    """The tree, and the disk that it is on: its threads, its room, its durability."""

    def __init__(self, root: str | os.PathLike[str], disk: Disk) -> None:
        super().__init__(root)
        self.disk = disk

    async def sweep_downloads(self, idle_seconds: float) -> int:
        """Remove what was left of files on their way; how many. Never what somebody holds. What is younger
        stays for who asks next, as long as it takes less than half of the room that is left."""
        return await self.disk.run(sweep_parts, self.downloads, idle_seconds)


def sweep_parts(folder: str, idle_seconds: float) -> int:
    """As `sweep`, and of the rest that nobody has written for a minute the oldest, if it takes too much."""
    removed = sweep(folder, idle_seconds)
    disk = os.statvfs(folder)
    room = disk.f_bavail * disk.f_frsize // 2
    left = []
    for name in list_idle(folder, YOUNG_SECONDS):
        with suppress(FileNotFoundError):
            found = os.stat(f"{folder}/{name}")
            left.append((found.st_mtime, found.st_blocks * 512, name))
    for _, size, name in sorted(left, reverse=True):
        room -= size
        if room < 0:
            removed += remove_unheld(f"{folder}/{name}")
    return removed


def sweep(folder: str, idle_seconds: float) -> int:
    """Remove the files of a folder that nobody holds and nobody has written for so long; how many."""
    return sum(remove_unheld(f"{folder}/{name}") for name in list_idle(folder, idle_seconds))
