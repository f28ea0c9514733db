"""`nora migrate` on the store of a server. The bucket is played by a directory."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from nora.blobs.layout import Layout
from nora.blobs.local import LocalBlobStore
from nora.cli import main
from nora.config import Config
from nora.errors import StorageFailed
from nora.locks import FileLock
from tests.support.stores import LARGE, flip, object_of, play, put

TO_S3 = ("migrate", "--from", "local", "--to", "s3")
BACK = ("migrate", "--from", "s3", "--to", "local")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("NORA_STORAGE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NORA_STORAGE_PATH", str(tmp_path / "storage"))
    monkeypatch.setenv("NORA_STORAGE_BUCKET", "artifacts")

    def open_store(config: Config, layout: Layout) -> LocalBlobStore:
        if config.storage.mode == "s3":
            layout = Layout(tmp_path / "bucket")
            layout.create()
        return LocalBlobStore(layout, reserve_bytes=0, durable="none")

    monkeypatch.setattr("nora.upkeep.migration.open_store", open_store)


def nora(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def objects(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "blobs").rglob("*-*")}


def test_all_is_copied_and_what_to_do_then_is_said(tmp_path: Path) -> None:
    play(tmp_path, *(("PUT", f"/raw/{number}", LARGE[number:]) for number in range(5)))
    done = nora(*TO_S3)
    assert done.exit_code == 0, done.output
    assert objects(tmp_path / "bucket") == objects(tmp_path / "storage")
    assert len(objects(tmp_path / "bucket")) == 5
    assert not done.stdout, "nothing but problems goes into a pipe"
    assert "5 blobs copied" in done.stderr
    assert 'set storage.mode = "s3" (NORA_STORAGE_MODE=s3) and start the server' in done.stderr
    assert f"Nothing was deleted in {tmp_path}/storage/blobs" in done.stderr
    assert "migrate --from local --to s3: 5 blobs copied" in (tmp_path / "storage/audit.jsonl").read_text()
    again = nora(*TO_S3, "--rate", "50MiB")
    assert (again.exit_code, "0 blobs copied" in again.stderr) == (0, True)


def test_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "/raw/file", LARGE)
    assert nora(*TO_S3).exit_code == 0
    object_of(tmp_path, LARGE).unlink()
    monkeypatch.setenv("NORA_STORAGE_MODE", "s3")
    assert 'storage.mode is "s3" already' in nora(*TO_S3).stderr
    done = nora(*BACK)
    assert done.exit_code == 0, done.output
    assert object_of(tmp_path, LARGE).read_bytes() == LARGE
    assert 'set storage.mode = "local"' in done.stderr
    assert "blobs/ of the bucket artifacts at http://" in done.stderr


def test_json(tmp_path: Path) -> None:
    put(tmp_path, "/raw/file", LARGE)
    put(tmp_path, "/raw/wrong", b"wrong")
    object_of(tmp_path, b"wrong").unlink()
    done = nora(*TO_S3, "--json")
    assert done.exit_code == 1
    found = orjson.loads(done.stdout)
    (problem,) = found.pop("problems")
    assert problem["problem"] == "missing"
    assert found == {
        "blobs": 2,
        "bytes": len(LARGE) + 5,
        "copied": 1,
        "copied_bytes": len(LARGE),
        "wrong": 1,
        "is_served": False,
        "is_complete": False,
    }


def test_what_is_damaged_is_named_and_the_switch_is_not_said_to_be_safe(tmp_path: Path) -> None:
    put(tmp_path, "/raw/file", LARGE)
    path = object_of(tmp_path, LARGE)
    flip(path, 200_000)
    done = nora(*TO_S3)
    assert done.exit_code == 1
    assert done.stdout == f"damaged: sha256:{path.name[:64]} ({len(LARGE)} bytes)\n"
    assert "nora verify" in done.stderr
    assert "start the server" not in done.stderr
    assert objects(tmp_path / "bucket") == {}


def test_while_a_server_runs_the_switch_is_not_said_to_be_safe(tmp_path: Path) -> None:
    put(tmp_path, "/raw/file", LARGE)
    with closing(FileLock(tmp_path / "storage/nora.lock")) as lock:
        assert lock.acquire(block=False)
        done = nora(*TO_S3)
    assert done.exit_code == 0, done.output
    assert objects(tmp_path / "bucket") == objects(tmp_path / "storage")
    assert "stop it and run this again" in done.stderr
    assert "start the server" not in done.stderr


def _adopt(result: Callable[[], None]) -> Callable[..., object]:
    async def adopt(*_: object) -> None:
        result()

    return adopt


def test_no_server_starts_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "/raw/file", LARGE)

    def look() -> None:
        for name in ("nora.lock", "removal.lock"):
            with closing(FileLock(tmp_path / "storage" / name)) as lock:
                assert not lock.acquire(block=False)
        raise StorageFailed("this is enough")

    monkeypatch.setattr(LocalBlobStore, "adopt", _adopt(look))
    assert nora(*TO_S3).stderr == "this is enough\n"


def test_what_is_not_listed_afterwards_is_not_called_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "/raw/file", LARGE)
    monkeypatch.setattr(LocalBlobStore, "adopt", _adopt(lambda: None))
    done = nora(*TO_S3)
    assert done.exit_code == 1
    assert "run this again" in done.stderr


def test_ctrl_c_says_how_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "/raw/file", LARGE)

    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalBlobStore, "adopt", _adopt(stop))
    done = nora(*TO_S3)
    assert (done.exit_code, done.stderr) == (
        130,
        "stopped: what was copied stays; run it again, and it goes on\n",
    )


def test_where_from_and_where_to_are_two_places(tmp_path: Path) -> None:
    put(tmp_path, "/raw/file", LARGE)
    assert nora("migrate", "--from", "s3", "--to", "s3").exit_code == 2
    assert nora("migrate", "--to", "s3").exit_code == 2
    assert nora(*TO_S3, "--rate", "fast").exit_code == 2
    assert nora("migrate", "--from", "local", "--to", "gcs").exit_code == 2


def test_where_no_store_is_nothing_is_made(tmp_path: Path) -> None:
    done = nora(*TO_S3)
    assert done.exit_code == 1
    assert "there is no store in" in done.stderr
    assert not (tmp_path / "storage").exists()
