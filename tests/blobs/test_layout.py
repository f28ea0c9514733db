from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from nora.blobs.layout import Layout
from nora.catalog.records import Blob
from nora.model import Digest

DIGEST = Digest("sha256:" + "ab" * 32)


def test_what_lies_where() -> None:
    layout = Layout("/data")
    assert layout.catalog == Path("/data/catalog.sqlite3")
    assert layout.blob(Blob(1, DIGEST, 3, 0x1F)) == f"/data/blobs/sha256/ab/{'ab' * 32}-000000000000001f"
    assert layout.shard(Blob(1, DIGEST, 3, 0x1F)) == "/data/blobs/sha256/ab"
    assert layout.temp(0x1F) == "/data/tmp/000000000000001f"


def test_directories_are_made_once_and_for_their_owner(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    given.chmod(0o755)
    for _ in range(2):
        Layout(given).create()
    assert os.listdir(given / "blobs/sha256") == []
    assert stat.S_IMODE(given.stat().st_mode) == 0o755
    assert stat.S_IMODE((given / "tmp").stat().st_mode) == 0o700
    Layout(tmp_path / "a" / "b").create()
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_what_is_missing_is_made_again(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.create()
    os.rmdir(tmp_path / "blobs/sha256")
    os.rmdir(layout.temporary)
    layout.create()
    assert (tmp_path / "blobs/sha256").is_dir()
    assert os.path.isdir(layout.temporary)


def test_the_folder_of_an_object_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.create()
    blob = Blob(1, DIGEST, 0, 7)
    (tmp_path / "blobs/sha256/01").mkdir()
    for _ in range(2):
        assert sorted(layout.make_shard(blob)) == [f"{layout.objects}/01", layout.shard(blob)]
    assert stat.S_IMODE(os.stat(layout.shard(blob)).st_mode) == 0o700


def test_an_object_is_found_where_there_is_one(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert layout.find_object() is None
    layout.create()
    layout.make_shard(Blob(1, DIGEST, 0, 7))
    (tmp_path / "blobs/sha256/ab/.nfs0001").touch()
    (tmp_path / "blobs/sha256/README").touch()
    assert layout.find_object() is None
    path = layout.blob(Blob(1, DIGEST, 0, 7))
    Path(path).touch()
    assert layout.find_object() == path


def test_what_a_crash_left_is_removed_and_directories_are_named(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.create()
    Path(layout.temp(1)).touch()
    stranger = Path(layout.temporary, "lost+found")
    stranger.mkdir()
    (stranger / "file").touch()
    os.symlink(stranger, f"{layout.temporary}/link")
    assert layout.empty_temporary() == [str(stranger)]
    assert os.listdir(layout.temporary) == ["lost+found"]
    assert (stranger / "file").exists()


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        Layout(tmp_path / "file").create()
