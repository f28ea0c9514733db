from __future__ import annotations

import os
from pathlib import Path

import pytest

from nora.blobs.files import LockedTempFile, list_idle, remove, remove_unheld


def test_a_draft_is_locked_until_it_is_closed(tmp_path: Path) -> None:
    path = str(tmp_path / "draft")
    temp, other = LockedTempFile(path), LockedTempFile(path)
    assert not temp.made
    temp.create()
    with pytest.raises(FileExistsError):
        LockedTempFile(path).create()
    assert not other.open()
    assert other.fd < 0
    assert not remove_unheld(path)
    temp.close()
    temp.close()
    assert other.open()
    other.close()
    assert remove_unheld(path)
    assert not remove_unheld(path)


def test_a_draft_writes_where_it_is_told(tmp_path: Path) -> None:
    temp = LockedTempFile(str(tmp_path / "draft"))
    assert temp.open()
    temp.write(b"hello", 0)
    temp.write(b"p!", 3)
    assert (tmp_path / "draft").read_bytes() == b"help!"
    temp.cut(10)
    assert temp.size() == 5
    temp.cut(4)
    assert temp.size() == 4
    temp.rename(str(tmp_path / "final"))
    assert os.listdir(tmp_path) == ["final"]
    temp.discard()
    temp.discard()
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "draft")
    really = os.open
    opened = 0

    def open_late(*arguments: object, **options: object) -> int:
        nonlocal opened
        descriptor = really(*arguments, **options)  # type: ignore[arg-type]
        opened += 1
        if opened == 1:
            os.unlink(path)
        return descriptor

    monkeypatch.setattr(os, "open", open_late)
    temp = LockedTempFile(path)
    assert temp.open()
    assert opened == 2
    assert os.path.samestat(os.fstat(temp.fd), os.stat(path))
    temp.close()


def test_idle_files_are_those_not_written_for_so_long(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("old", "new"):
        (tmp_path / name).write_bytes(b"")
    os.utime(tmp_path / "old", (0, 0))
    assert list_idle(str(tmp_path), 60) == ["old"]
    assert sorted(list_idle(str(tmp_path), -60)) == ["new", "old"]


def test_removing_what_is_gone_is_no_error(tmp_path: Path) -> None:
    remove(str(tmp_path / "gone"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        remove(str(tmp_path / "folder"))
