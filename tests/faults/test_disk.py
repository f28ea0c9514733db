"""The faulty disk itself: what survives a power loss, and what fails on demand."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.disk import Disk, mounted
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path) as disk:
        yield disk


def sync(path: Path) -> None:
    """fsync of a file or a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, data: bytes, *, durable: bool = False) -> None:
    with path.open("wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def run(script: str, *arguments: Path) -> None:
    """A program of its own: it has ended, with all it held open, when the power goes."""
    subprocess.run([sys.executable, "-c", script, *map(str, arguments)], check=True)


def test_what_was_not_synced_is_lost(disk: Disk) -> None:
    write(disk.path / "kept", b"old", durable=True)
    sync(disk.path)
    write(disk.path / "lost", b"new", durable=True)  # its entry is not durable
    (disk.path / "kept").write_bytes(b"newer")  # its bytes are not
    disk.lose_power()
    assert os.listdir(disk.path) == ["kept"]
    assert (disk.path / "kept").read_bytes() == b"old"


def test_synced_entry_of_unsynced_file_is_empty(disk: Disk) -> None:
    write(disk.path / "file", b"data")
    sync(disk.path)
    disk.lose_power()
    assert (disk.path / "file").read_bytes() == b""


def test_rename_without_sync_of_directory_is_lost(disk: Disk) -> None:
    write(disk.path / "file", b"old", durable=True)
    sync(disk.path)
    write(disk.path / "temporary", b"new", durable=True)
    (disk.path / "temporary").rename(disk.path / "file")
    assert (disk.path / "file").read_bytes() == b"new"
    disk.lose_power()
    assert (disk.path / "file").read_bytes() == b"old"


def test_rename_with_sync_of_directory_is_kept(disk: Disk) -> None:
    for name in ("from", "into"):
        (disk.path / name).mkdir()
    sync(disk.path)
    write(disk.path / "from/file", b"data", durable=True)
    (disk.path / "from/file").rename(disk.path / "into/file")
    sync(disk.path / "into")
    disk.lose_power()
    assert (disk.path / "into/file").read_bytes() == b"data"


def test_new_directory_is_lost_without_sync_of_its_parent(disk: Disk) -> None:
    (disk.path / "folder").mkdir()
    write(disk.path / "folder/file", b"data", durable=True)
    sync(disk.path / "folder")
    disk.lose_power()
    assert os.listdir(disk.path) == []


def test_unlink_and_truncation_come_back(disk: Disk) -> None:
    for name in ("unlinked", "truncated"):
        write(disk.path / name, b"x" * 10_000, durable=True)
    sync(disk.path)
    (disk.path / "unlinked").unlink()
    os.truncate(disk.path / "truncated", 100)
    disk.lose_power()
    assert (disk.path / "unlinked").read_bytes() == b"x" * 10_000
    assert (disk.path / "truncated").read_bytes() == b"x" * 10_000


def test_random_loss_is_by_page_and_by_seed(disk: Disk) -> None:
    pages = 64

    def lose(seed: int) -> bytes:
        write(disk.path / "file", b"o" * 4096 * pages, durable=True)
        sync(disk.path)
        with (disk.path / "file").open("r+b") as file:
            file.write(b"n" * 4096 * pages)
        disk.lose_power(seed)
        return (disk.path / "file").read_bytes()

    first = lose(1)
    kept = [first[i * 4096 : (i + 1) * 4096] for i in range(pages)]
    assert set(kept) == {b"o" * 4096, b"n" * 4096}
    assert lose(2) != first
    assert lose(1) == first


def test_lying_sync_is_noticed(disk: Disk) -> None:
    disk.lie(True)
    write(disk.path / "file", b"data", durable=True)
    sync(disk.path)
    disk.lose_power()
    assert os.listdir(disk.path) == []


def test_errors_by_path_and_count(disk: Disk) -> None:
    (disk.path / "a").write_bytes(b"a")
    (disk.path / "b").write_bytes(b"b")
    assert (disk.path / "a").read_bytes() == b"a"  # in the kernel's cache from here on
    disk.fail("read", "a", "EIO")
    disk.fail("open", "b", "EACCES", count=1)
    with pytest.raises(OSError, match="Input/output error"):
        (disk.path / "a").read_bytes()
    with pytest.raises(PermissionError):
        (disk.path / "b").read_bytes()
    assert (disk.path / "b").read_bytes() == b"b"
    assert disk.hits() > 1  # the kernel tries a failed read twice
    disk.clear()
    assert (disk.path / "a").read_bytes() == b"a"
    disk.fail("change", "*", "EROFS")
    for change in (
        lambda: (disk.path / "c").write_bytes(b""),
        lambda: (disk.path / "a").write_bytes(b""),
        (disk.path / "a").unlink,
        lambda: (disk.path / "a").rename(disk.path / "c"),
        (disk.path / "c").mkdir,
    ):
        with pytest.raises(OSError, match="Read-only file system"):
            change()
    disk.clear()
    disk.fail("fsync", "b", "EIO")
    with pytest.raises(OSError, match="Input/output error"):
        sync(disk.path / "b")
    disk.clear()
    sync(disk.path / "b")


def test_errors_by_probability(disk: Disk) -> None:
    (disk.path / "file").write_bytes(b"")
    disk.fail("open", "file", "EACCES", probability=0.5, seed=7)
    failed = 0
    for _ in range(200):
        try:
            (disk.path / "file").read_bytes()
        except PermissionError:
            failed += 1
    assert failed == disk.hits()
    assert 50 < failed < 150


def test_full_disk(disk: Disk) -> None:
    disk.limit(1 << 20)
    assert os.statvfs(disk.path).f_blocks == 256
    with pytest.raises(OSError, match="No space left"):
        (disk.path / "file").write_bytes(b"x" * (2 << 20))
    assert os.statvfs(disk.path).f_bavail == 0
    (disk.path / "file").unlink()
    # The kernel tells a FUSE file system of the last close when it likes.
    wait_until(lambda: os.statvfs(disk.path).f_bavail >= 128, "the room of the removed file")
    (disk.path / "other").write_bytes(b"x" * (1 << 19))
    assert os.statvfs(disk.path).f_bavail == 128


def test_locks_and_shared_maps(disk: Disk) -> None:
    path = disk.path / "shared"
    path.write_bytes(bytes(8192))
    script = """
import fcntl, mmap, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with mmap.mmap(file.fileno(), 8192) as shared:
            shared[4096:4101] = b"child"
"""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 8192) as shared:
        fcntl.flock(file, fcntl.LOCK_EX)
        run(script, path)
        assert shared[4096:4101] == b"child"


SQLITE = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("pragma journal_mode=wal")
database.execute(f"pragma synchronous={sys.argv[2]}")
database.execute("create table if not exists t (x integer primary key, y blob)")
for number in range(200):
    database.execute("insert into t (y) values (randomblob(3000))")
os._exit(0)
"""


def count_rows(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
        return database.execute("select count(*) from t").fetchone()[0]


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_sqlite_keeps_its_promises(disk: Disk, seed: int | None) -> None:
    """A write-ahead log is what the catalog stands on; with synchronous=normal the end of it may go."""
    path = disk.path / "catalog"
    run(SQLITE, path, Path("full"))
    disk.lose_power(seed)
    assert count_rows(path) == 200
    run(SQLITE, path, Path("normal"))
    disk.lose_power(seed)
    assert 200 <= count_rows(path) <= 400
