"""A whole small file, on both implementations."""

from __future__ import annotations

import errno
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.tables import each

LEVELS = [0, 1, 2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("temps", "files"):
        (tmp_path / name).mkdir()
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("durability", LEVELS)
@pytest.mark.parametrize("data", [b"", b"a", bytes(range(256)) * 256])
def test_the_file_has_its_name_and_the_draft_is_gone(
    files: ModuleType, folder: Path, data: bytes, durability: int
) -> None:
    path = folder / "files" / "a"
    files.store_file(str(folder / "temps" / "1"), str(path), data, durability)
    assert path.read_bytes() == data
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(folder) == ["a"]


def test_names_that_are_not_ascii(files: ModuleType, folder: Path) -> None:
    path = folder / "files" / "ünïcode"
    files.store_file(str(folder / "temps" / "é"), str(path), b"a", 2)
    assert path.read_bytes() == b"a"


def test_a_draft_that_exists_is_left_alone(files: ModuleType, folder: Path) -> None:
    temp = folder / "temps" / "1"
    temp.write_bytes(b"of somebody else")
    with pytest.raises(FileExistsError):
        files.store_file(str(temp), str(folder / "files" / "a"), b"mine", 2)
    assert temp.read_bytes() == b"of somebody else"
    assert names(folder) == ["1"]


def test_nothing_stays_when_the_name_cannot_be_given(files: ModuleType, folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.store_file(str(folder / "temps" / "1"), str(folder / "absent" / "a"), b"a", 2)
    assert names(folder) == []


@pytest.fixture
def small_files(folder: Path) -> Iterator[int]:
    """No file may become larger than so many bytes: the file system then takes a part, as a full one does."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield 4096
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_nothing_stays_when_the_disk_takes_a_part(files: ModuleType, folder: Path, small_files: int) -> None:
    temp, path = str(folder / "temps" / "1"), str(folder / "files" / "a")
    with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        files.store_file(temp, path, bytes(2 * small_files), 2)
    assert names(folder) == []


@each(
    "arguments",
    [
        (b"/a/1", "/b/1", b"", 0),
        ("/a/1", None, b"", 0),
        ("/a/1", "/b/1", "text", 0),
        ("/a/1", "/b/1", bytearray(), 0),
        ("/a/1", "/b/1", b"", "full"),
        ("/a/1", "/b/1", b"", None),
    ],
)
def test_wrong_types(files: ModuleType, arguments: tuple[object, ...]) -> None:
    with pytest.raises(TypeError):
        files.store_file(*arguments)


@each(
    "arguments",
    [
        ("1", "/b/1", b"", 0),
        ("/a/1", "1", b"", 0),
        ("/a/\0", "/b/1", b"", 0),
        ("/a/1", "/b/\0", b"", 0),
        ("/a/1", "/b/1", b"", -1),
        ("/a/1", "/b/1", b"", 3),
        ("/a/1", "/b/1", b"", 2**40),
    ],
)
def test_wrong_values(files: ModuleType, arguments: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match=r"path|durability"):
        files.store_file(*arguments)
