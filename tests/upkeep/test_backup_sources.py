"""Backups as somebody has made them who means harm, and as a disk needs them."""

from __future__ import annotations

import io
import tarfile
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import orjson
import pytest

from nora.locks import FileLock
from nora.upkeep.backups import folder
from nora.upkeep.backups.archive import ArchiveTarget
from nora.upkeep.backups.folder import FolderTarget
from nora.upkeep.backups.manifest import BackupFailed, Header, Source
from nora.upkeep.backups.reading import check_backup, open_source
from nora.upkeep.progress import Silent

HEADER = Header(1.0, 1, 0, 0, has_secrets=False).render()
NAME = f"blobs/sha256/aa/{'a' * 64}-{1:016x}"


def opened(path: Path) -> Source:
    return open_source(path, no_config)


def no_config() -> NoReturn:
    raise AssertionError("only buckets are configured")


def archive(path: Path, *members: tuple[str, bytes, dict[str, str]]) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as made:
        for name, data, said in members:
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(data), said
            made.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    "said",
    [
        {"mtime": "nan"},
        {"mtime": "inf"},
        {"mtime": "1e300"},
        {"size": "-5"},
        {"size": "99999999999999999999"},
        {"GNU.sparse.map": "a,b"},
    ],
    ids=str,
)
def test_what_no_archive_says_is_damage(tmp_path: Path, said: dict[str, str]) -> None:
    path = archive(
        tmp_path / "backup.tar", ("nora-backup.json", HEADER, {}), ("catalog.sqlite3", b"bytes", said)
    )
    with closing(opened(path)) as source:
        [problem] = check_backup(source, Silent()).problems
    assert "is damaged" in problem


@pytest.mark.parametrize(("size", "modified_at"), [(-5, 0), (len(HEADER), 1e300), (None, 0)])
def test_a_line_that_cannot_be_is_passed_over(tmp_path: Path, size: object, modified_at: object) -> None:
    (tmp_path / "nora-backup.json").write_bytes(HEADER)
    line = {"name": "nora-backup.json", "size": size, "modified_at": modified_at}
    (tmp_path / "manifest.jsonl").write_bytes(orjson.dumps(line) + b"\n")
    with closing(opened(tmp_path)) as source, pytest.raises(BackupFailed):
        check_backup(source, Silent())


def test_names_in_a_folder_are_durable_before_it_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []

    def sync(path: Path) -> None:
        synced.append(path)
        assert path in {tmp_path / "backups", tmp_path} or not (tmp_path / "backups" / made.name).exists()

    monkeypatch.setattr(folder, "sync_directory", sync)
    target = FolderTarget(tmp_path / "backups", 1.0)
    made = tmp_path / "backups/1970-01-01T00-00-01Z"
    target.add(NAME, io.BytesIO(b"bytes"), 5, 1)
    target.finish()
    assert made.exists()
    assert {tmp_path / "backups" / one for one in ("blobs/sha256/aa", "blobs/sha256", "blobs")} < {*synced}


def test_what_a_killed_backup_has_left_goes_with_the_next_of_any_name(tmp_path: Path) -> None:
    """Its copy of the catalog may have secrets in it still."""
    killed, running, stranger = (tmp_path / f"{name}.partial" for name in ("1.tar", "2.tar.gz", "notes"))
    for partial in (killed, running, stranger):
        partial.write_bytes(b"half")
        workspace = partial.with_name(partial.name + ".d")
        workspace.mkdir()
        (workspace / "catalog.sqlite3").write_bytes(b"secret")
    with closing(FileLock(running)) as lock:
        assert lock.acquire(block=False)
        ArchiveTarget(tmp_path / "3.tar", "plain").abandon()
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {
        "2.tar.gz.partial",
        "2.tar.gz.partial.d/catalog.sqlite3",
        "notes.partial",
        "notes.partial.d/catalog.sqlite3",
    }
    ArchiveTarget(tmp_path / "3.tar", "plain").abandon()
    assert not (tmp_path / "2.tar.gz.partial.d").exists()
