"""`nora backup` and `nora restore` on the store of a server."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import tarfile
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from nora.auth.tokens import Tokens
from nora.cli import main
from nora.commands import open_catalog
from nora.formats import discover, load_config
from nora.locks import data_directory_lock
from tests.formats.test_contract import sample_of
from tests.support.in_process import application
from tests.support.stores import LARGE, flip, get, play, put
from tests.support.tables import each


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("NORA_STORAGE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NORA_STORAGE_PATH", str(tmp_path / "storage"))


def nora(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def done(*words: str | Path) -> str:
    result = nora(*words)
    assert result.exit_code == 0, result.output
    return result.stderr


def failed(*words: str | Path) -> str:
    result = nora(*words)
    assert result.exit_code == 1, result.output
    return result.stderr


def publish(folder: Path) -> None:
    """One package of every format, and a large file."""

    async def ask() -> None:
        async with application(folder) as http:
            for step in [step for found in discover() for step in sample_of(found.name).publish]:
                headers = dict(step.headers)
                answer = await http.request(step.method, step.path, headers=headers, content=step.body)
                assert answer.status_code == step.status, answer.text
            assert (await http.put("/raw/large", content=LARGE)).status_code == 201

    asyncio.run(ask())


def publish_few(folder: Path) -> None:
    """Two files, without the time that the packages take."""
    for path, data in (("/raw/large", LARGE), ("/raw/small", b"small")):
        assert put(folder, path, data).status_code == 201


def assert_few_served(folder: Path) -> None:
    assert [
        answer.content for answer in play(folder, ("GET", "/raw/large", b""), ("GET", "/raw/small", b""))
    ] == [
        LARGE,
        b"small",
    ]


def assert_served(folder: Path) -> None:
    async def ask() -> None:
        async with application(folder) as http:
            for found in discover():
                sample = sample_of(found.name)
                answer = await http.get(sample.fetch.path, headers=dict(sample.fetch.headers))
                assert answer.content == sample.fetched, found.name
            assert (await http.get("/raw/large")).content == LARGE

    asyncio.run(ask())


def destroy(folder: Path) -> None:
    shutil.rmtree(folder / "storage")


def objects(folder: Path) -> list[Path]:
    return sorted((folder / "blobs").rglob("*-*"))


@pytest.mark.parametrize("name", ["backup.tar.gz", "backup.tar.zst", "backup.tar", "folder/"])
def test_what_is_restored_is_served_as_before(tmp_path: Path, name: str) -> None:
    publish(tmp_path)
    done("backup", "-o", name)
    assert "whole" in done("backup", "--verify", name)
    destroy(tmp_path)
    told = done("restore", "-i", name)
    assert "tokens are to be made anew" in told
    assert_served(tmp_path)
    assert not (tmp_path / "storage/restore.partial").exists()
    assert not list((tmp_path / "storage/tmp").iterdir())
    assert not list(tmp_path.glob("*partial*"))


def test_times_are_kept(tmp_path: Path) -> None:
    publish_few(tmp_path)
    done("backup", "-o", "backup.tar")
    with tarfile.open("backup.tar") as archive:
        members = {one.name: one for one in archive}
    assert next(iter(members)) == "nora-backup.json"
    assert list(members)[-2:] == ["catalog.sqlite3", "manifest.jsonl"]
    assert all(abs(one.mtime - time.time()) < 600 for one in members.values())
    assert {one.mode for one in members.values()} == {0o600}
    assert Path("backup.tar").stat().st_mode & 0o777 == 0o600


def test_a_store_that_holds_something_is_not_overwritten(tmp_path: Path) -> None:
    publish_few(tmp_path)
    done("backup", "-o", "backup.tar.gz")
    assert "--replace" in failed("restore", "-i", "backup.tar.gz")
    assert put(tmp_path, "/raw/later", b"later").status_code == 201
    assert "catalog.sqlite3.replaced" in done("restore", "-i", "backup.tar.gz", "--replace")
    assert_few_served(tmp_path)
    assert get(tmp_path, "/raw/later").status_code == 404
    (tmp_path / "storage/catalog.sqlite3").unlink()
    assert "stored blobs" in failed("restore", "-i", "backup.tar.gz")


def test_no_command_uses_a_store_while_a_backup_is_put_back(tmp_path: Path) -> None:
    """Its catalog is about to be another one."""
    publish_few(tmp_path)
    (tmp_path / "storage/restore.partial").touch()
    assert "is being put back" in failed("gc", "--apply")
    with closing(data_directory_lock(tmp_path / "storage")):
        assert "is being put back" in failed("gc", "--apply")
        assert "is being put back" in failed("verify")


@pytest.mark.parametrize("damage", ["other bytes", "cut"])
def test_a_damaged_catalog_is_replaced(tmp_path: Path, damage: str) -> None:
    publish_few(tmp_path)
    done("backup", "-o", "backup.tar.gz")
    catalog = tmp_path / "storage/catalog.sqlite3"
    whole = catalog.read_bytes()
    damaged = bytes(8192) if damage == "other bytes" else whole[: len(whole) // 2]
    catalog.write_bytes(b"?" + damaged[1:] if damage == "other bytes" else damaged)
    assert "--replace" in failed("restore", "-i", "backup.tar.gz")
    done("restore", "-i", "backup.tar.gz", "--replace")
    assert_few_served(tmp_path)
    assert catalog.with_name(catalog.name + ".replaced").stat().st_size == len(damaged)


def test_what_was_replaced_can_be_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By who has put back the wrong backup, and then another: collections do not take its blobs."""
    for name in ("NORA_GC_GRACE", "NORA_GC_UNLINK_DELAY", "NORA_GC_LEASE"):
        monkeypatch.setenv(name, "0")
    publish_few(tmp_path)
    done("backup", "-o", "backup.tar")
    assert put(tmp_path, "/raw/later", b"later").status_code == 201
    first, second = (tmp_path / f"storage/catalog.sqlite3.replaced{end}" for end in ("", ".2"))
    assert f"{first}: remove it" in done("restore", "-i", "backup.tar", "--replace")
    assert f"{second}: remove it" in done("restore", "-i", "backup.tar", "--replace")
    assert "1 object (5 bytes) that no row names are kept" in done("gc", "--apply")
    first.rename(tmp_path / "storage/catalog.sqlite3")
    assert_few_served(tmp_path)
    assert get(tmp_path, "/raw/later").content == b"later"
    done("restore", "-i", "backup.tar", "--replace")
    first.unlink()
    second.unlink()
    done("gc", "--apply")
    assert len(objects(tmp_path / "storage")) == 2


def test_an_empty_store_that_was_started_is_empty(tmp_path: Path) -> None:
    publish_few(tmp_path)
    done("backup", "-o", "backup.tar.gz")
    destroy(tmp_path)
    play(tmp_path)
    done("restore", "-i", "backup.tar.gz")
    assert_few_served(tmp_path)


def offsets(path: Path) -> dict[str, tuple[int, int]]:
    """Where each member of a plain archive begins, and how long it is."""
    with tarfile.open(path) as archive:
        return {one.name: (one.offset_data, one.size) for one in archive}


def test_a_flipped_bit_in_an_archive_is_found_and_named(tmp_path: Path) -> None:
    publish_few(tmp_path)
    done("backup", "-o", "backup.tar")
    destroy(tmp_path)
    for name, (offset, size) in offsets(Path("backup.tar")).items():
        for at in (
            offset,
            offset + size - 1,
            offset - 512 + 4,
        ):  # the last one is in the header of the member
            shutil.copy("backup.tar", "damaged.tar")
            flip(Path("damaged.tar"), at)
            told = failed("backup", "--verify", "damaged.tar")
            if at >= offset:
                assert name in told or "beginning is damaged" in told, (name, told)
            told = failed("restore", "-i", "damaged.tar")
            assert not (tmp_path / "storage/catalog.sqlite3").exists()
    done("restore", "-i", "backup.tar")
    assert_few_served(tmp_path)


@pytest.mark.parametrize("name", ["backup.tar.gz", "backup.tar.zst"])
def test_damage_of_a_compressed_archive_is_found(tmp_path: Path, name: str) -> None:
    publish_few(tmp_path)
    done("backup", "-o", name)
    whole = Path(name).read_bytes()
    damaged = Path(f"damaged-{name}")
    for at in range(50, len(whole) - 50, len(whole) // 12):
        damaged.write_bytes(whole)
        flip(damaged, at)
        assert "damaged" in failed("backup", "--verify", damaged), at
    for size in (len(whole) // 2, len(whole) - 600):
        damaged.write_bytes(whole[:size])
        failed("backup", "--verify", damaged)


def test_a_flipped_bit_in_a_folder_is_found_and_named(tmp_path: Path) -> None:
    publish_few(tmp_path)
    done("backup", "-o", "folder/")
    destroy(tmp_path)
    for path in [path for path in Path("folder").rglob("*") if path.is_file() and path.stat().st_size]:
        data = path.read_bytes()
        flip(path, len(data) // 2)
        assert path.name in failed("backup", "--verify", "folder")
        path.write_bytes(data[:-1])
        assert path.name in failed("backup", "--verify", "folder")
        path.write_bytes(data)
    done("backup", "--verify", "folder")


def test_what_is_whole_can_be_put_back_without_the_rest(tmp_path: Path) -> None:
    publish_few(tmp_path)
    done("backup", "-o", "backup.tar")
    destroy(tmp_path)
    places = offsets(Path("backup.tar"))
    name = next(name for name, (_, size) in places.items() if size == len(LARGE))
    flip(Path("backup.tar"), places[name][0] + 100_000)
    assert "--keep-going" in failed("restore", "-i", "backup.tar")
    assert name in failed("restore", "-i", "backup.tar", "--keep-going")
    assert get(tmp_path, "/raw/large").status_code == 500
    assert put(tmp_path, "/raw/large", LARGE).is_success
    assert_few_served(tmp_path)


def test_a_backup_names_what_the_store_has_lost_and_has_the_rest(tmp_path: Path) -> None:
    publish_few(tmp_path)
    large = next(path for path in objects(tmp_path / "storage") if path.stat().st_size == len(LARGE))
    flip(large, 5)
    told = failed("backup", "-o", "backup.tar.gz")
    assert f"lost: blobs/sha256/{large.parent.name}/{large.name}" in told
    assert large.name in done("backup", "--verify", "backup.tar.gz")
    destroy(tmp_path)
    assert large.name in done("restore", "-i", "backup.tar.gz")
    assert get(tmp_path, "/raw/large").status_code == 500


def test_the_next_backup_in_a_folder_copies_what_is_new(tmp_path: Path) -> None:
    publish_few(tmp_path)
    done("backup", "-o", "folder/")
    kept = {path: path.stat().st_ino for path in objects(Path("folder"))}
    put(tmp_path, "/raw/more", b"more")
    time.sleep(1.0 - time.time() % 1.0)  # each is named by its second
    assert ", 1 of them copied now" in done("backup", "-o", "folder")
    assert {path: path.stat().st_ino for path in kept} == kept
    assert len(objects(Path("folder"))) == len(kept) + 1
    destroy(tmp_path)
    newest = max(path for path in Path("folder").glob("2*"))
    done("restore", "-i", newest)
    assert get(tmp_path, "/raw/more").content == b"more"
    assert_few_served(tmp_path)


def add_token(folder: Path) -> str:
    async def work() -> str:
        async with open_catalog(load_config(os.environ, folder)) as catalog:
            text, _ = await Tokens(catalog).create("ci", "read")
        return text

    return asyncio.run(work())


def token_works(folder: Path, text: str) -> bool:
    async def work() -> bool:
        async with open_catalog(load_config(os.environ, folder)) as catalog:
            return await Tokens(catalog).verify(text) is not None

    return asyncio.run(work())


def test_secrets_are_left_out_unless_wanted_and_then_sealed(tmp_path: Path) -> None:
    publish_few(tmp_path)
    text = add_token(tmp_path)
    Path("users.htpasswd").write_text("ann:not-read\n")
    Path("words").write_text("correct horse battery staple\n")
    Path("others").write_text("another passphrase\n")
    hashed = secret_hash(tmp_path)
    sealing = ("--with-secrets", "--passphrase-file", "words")
    done("backup", "-o", "backup.tar")
    done("backup", "-o", "sealed.tar", *sealing)
    assert hashed in (tmp_path / "storage/catalog.sqlite3").read_bytes()
    for name in ("backup.tar", "sealed.tar"):
        data = Path(name).read_bytes()
        assert hashed not in data, "nor in free pages of the catalog"
        assert b"not-read" not in data
    destroy(tmp_path)
    Path("users.htpasswd").unlink()
    assert "--passphrase-file" in failed("restore", "-i", "sealed.tar")
    assert "does not open" in failed("restore", "-i", "sealed.tar", "--passphrase-file", "others")
    assert "users.htpasswd" in done("restore", "-i", "sealed.tar", "--passphrase-file", "words")
    assert token_works(tmp_path, text)
    assert Path("users.htpasswd").read_text() == "ann:not-read\n"
    assert Path("users.htpasswd").stat().st_mode & 0o777 == 0o600
    for source in (("backup.tar",), ("sealed.tar", "--without-secrets")):
        destroy(tmp_path)
        done("restore", "-i", *source)
        assert not token_works(tmp_path, text)
        assert_few_served(tmp_path)


def secret_hash(folder: Path) -> bytes:
    with closing(sqlite3.connect(folder / "storage/catalog.sqlite3")) as db:
        found: str = db.execute("SELECT secret_hash FROM token").fetchone()[0]
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return found.encode()


@each(
    "words",
    [
        ("-o", "backup"),
        (),
        ("-o", "backup.tar.gz", "--verify", "backup.tar.gz"),
        ("-o", "backup.tar.gz", "--with-secrets"),
        ("-o", "none/backup.tar.gz"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: tuple[str, ...]) -> None:
    assert nora("backup", *words).exit_code in (1, 2)
    assert not list(Path().glob("backup*"))


def test_a_backup_without_a_store_is_refused(tmp_path: Path) -> None:
    assert "there is no store" in failed("backup", "-o", "backup.tar.gz")
    Path("no.tar.gz").write_bytes(b"nothing")
    failed("backup", "--verify", "no.tar.gz")
    failed("restore", "-i", "no.tar.gz")
    with tarfile.open("other.tar.gz", "w:gz") as archive:
        archive.add(__file__, "../../etc/passwd")
    assert "no backup" in failed("restore", "-i", "other.tar.gz")


def test_of_the_backups_in_a_folder_the_newest_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only those that go have needed goes with them, and nothing else."""
    now = 1_800_000_000.0
    for number in range(4):
        monkeypatch.setattr(time, "time", lambda: now + number * 60)  # noqa: B023
        put(tmp_path, f"raw/file-{number % 3}", f"{number}".encode() * 100)
        done("backup", "-o", "backups/")
    shutil.copytree("backups", "damaged")
    monkeypatch.setattr(time, "time", lambda: now + 600)
    folders = sorted(one.name for one in Path("backups").glob("20*"))
    assert len(folders) == 4
    flip(Path("damaged") / folders[-1] / "manifest.jsonl", 10)
    before = sorted(Path("damaged").rglob("*"))
    assert "what it needs cannot be told" in failed("backup", "-o", "damaged", "--keep", "2")
    assert set(before) <= {*Path("damaged").rglob("*")}

    stray = Path(f"backups/blobs/sha256/aa/{'a' * 64}-{1:016x}")
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"1")
    blobs = {*Path("backups/blobs").rglob("*-*")} - {stray}
    assert "removed 3 older backups and 1 blobs" in done("backup", "-o", "backups", "--keep", "2")
    kept = sorted(one.name for one in Path("backups").glob("20*"))
    assert len(kept) == 2
    assert {*Path("backups/blobs").rglob("*-*")} == blobs
    assert kept[0] == folders[-1]
    for one in kept:
        done("backup", "--verify", f"backups/{one}")
    assert "--keep is for" in failed("backup", "-o", "one.tar", "--keep", "2")


def test_the_metric_is_of_the_last_backup_that_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "raw/file", b"abc")
    with monkeypatch.context() as then:
        then.setattr(time, "time", lambda: 1_800_000_000.5)
        done("backup", "-o", "one.tar")
    failed("backup", "-o", "one.neither")

    async def look() -> str:
        deadline = time.monotonic() + 60
        async with application(tmp_path) as http:
            while time.monotonic() < deadline:  # a job looks, soon after the start
                found = re.search(r"^nora_backup_last_success_timestamp (.*)$", await scraped(http), re.M)
                if found is not None:
                    return found[1]
                await asyncio.sleep(0.02)
        raise AssertionError("there is no such metric")

    async def scraped(http: httpx.AsyncClient) -> str:
        return (await http.get("/metrics")).text

    assert float(asyncio.run(look())) == 1_800_000_000.5
