from __future__ import annotations

import os
from contextlib import suppress

from nora.blobs.layout import Layout
from nora.blobs.scratch import ScratchLayout


def open_files(layout: Layout) -> list[str]:
    """The files of blobs, uploads and drafts that this process has open."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    folders = (layout.temporary, ScratchLayout(layout.root).uploads, f"{layout.root}/blobs")
    return sorted(path for path in found if path.startswith(folders))
