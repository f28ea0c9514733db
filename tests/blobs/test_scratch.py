from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

from nora.blobs.disk import Disk
from nora.blobs.files import LockedTempFile
from nora.blobs.scratch import Scratch, ScratchLayout


def test_what_lies_where() -> None:
    scratch = ScratchLayout("/data")
    assert scratch.upload("id") == "/data/uploads/id"
    download = scratch.download("some/key")
    assert os.path.dirname(download) == "/data/downloads"
    assert download == scratch.download("some/key") != scratch.download("some/other key")
    assert scratch.part(download, 0x1F) == f"{download}.000000000000001f"


def test_folders_are_made_once_and_for_their_owner(tmp_path: Path) -> None:
    scratch = ScratchLayout(tmp_path / "a" / "b")
    for _ in range(2):
        scratch.create()
    for folder in (scratch.root, scratch.uploads, scratch.downloads, scratch.render_cache, scratch.locks):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700


def test_sessions_survive_a_restart_and_what_can_be_made_again_does_not(tmp_path: Path) -> None:
    scratch = ScratchLayout(tmp_path)
    scratch.create()
    kept = [scratch.upload("id"), f"{scratch.locks}/work", scratch.negative_cache]
    for path in (*kept, scratch.download("key"), f"{scratch.render_cache}/name"):
        Path(path).write_bytes(b"x")
    os.mkdir(f"{scratch.downloads}/directory")
    assert scratch.empty() == [f"{scratch.downloads}/directory"]
    left = [os.path.join(folder, name) for folder, _, names in os.walk(tmp_path) for name in names]
    assert sorted(left) == sorted(kept)


def test_what_somebody_holds_is_not_swept(tmp_path: Path) -> None:
    disk = Disk(str(tmp_path), reserve_bytes=0, durable="none")
    scratch = Scratch(tmp_path, disk)
    scratch.create()
    Path(scratch.download("dead")).write_bytes(b"")
    held = LockedTempFile(scratch.download("held"))
    held.create()
    assert asyncio.run(scratch.sweep_downloads(-60)) == 1
    assert os.listdir(scratch.downloads) == [os.path.basename(held.path)]
    held.close()
    disk.close()
