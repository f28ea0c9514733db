"""Backups and restores beside servers, in a bucket, and under kills."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from nora.blobs.opening import open_bucket
from nora.formats import load_config
from tests.conftest import StartServer
from tests.support.buckets import BUCKET
from tests.support.command import run
from tests.support.s3_server import make_bucket, s3_server
from tests.support.server import Server, running
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

NORA = (sys.executable, "-m", "nora")


def nora(server: Server, *words: str | Path, fails: bool = False) -> str:
    """A command on the store of a server, with its configuration."""
    return run(*NORA, *words, env=server.environment(), cwd=server.data, fails=fails)


def body(writer: int, number: int) -> bytes:
    """Of some writer's file: small, or larger than what is stored in one visit."""
    return random.Random(f"{writer} {number}").randbytes((1_000, 70_000, 300_000)[number % 3])


@contextmanager
def pushing(server: Server, writers: int = 4) -> Iterator[dict[int, int]]:
    """Several write for as long as the block takes: how many files of each were acknowledged."""
    done = dict.fromkeys(range(writers), 0)
    ended = threading.Event()

    def write(writer: int) -> None:
        with httpx.Client(base_url=server.url, timeout=60) as http:
            while not ended.is_set():
                number = done[writer]
                answer = http.put(f"/raw/{writer}/{number}", content=body(writer, number))
                assert answer.status_code == 201, answer.text
                done[writer] = number + 1

    threads = [threading.Thread(target=write, args=(writer,)) for writer in done]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def assert_whole(server: Server, at_least: Mapping[int, int]) -> int:
    """What is listed is served, and what was acknowledged before is listed; how many files."""
    found = 0
    with httpx.Client(base_url=server.url, timeout=60) as http:
        for writer, acknowledged in at_least.items():
            number = 0
            while (answer := http.get(f"/raw/{writer}/{number}")).status_code == 200:
                assert answer.content == body(writer, number)
                number += 1
            assert answer.status_code == 404, answer.text
            assert number >= acknowledged
            found += number
    return found


def test_a_backup_while_workers_are_written_to_is_of_one_moment(nora_server: StartServer) -> None:
    server = nora_server(workers=4)
    with pushing(server) as done:
        wait_until(lambda: min(done.values()) >= 1, "a file of each writer", seen=lambda: done)
        before = dict(done)
        nora(server, "backup", "-o", "backup.tar.zst")
        nora(server, "backup", "-o", "folder/")
    after = dict(done)
    server.stop()
    for source in ("backup.tar.zst", "folder"):
        nora(server, "backup", "--verify", source)
        shutil.rmtree(server.storage)
        nora(server, "restore", "-i", source)
        server.start()
        assert 4 <= sum(before.values()) <= assert_whole(server, before) <= sum(after.values()) + 4
        server.stop()


def test_no_store_is_restored_below_a_server(nora_server: StartServer) -> None:
    server = nora_server()
    httpx.put(f"{server.url}/raw/file", content=b"abc").raise_for_status()
    nora(server, "backup", "-o", "backup.tar.gz")
    told = nora(server, "restore", "-i", "backup.tar.gz", "--replace", fails=True)
    assert f"in use by process {server.pid}" in told


def test_a_restore_that_is_killed_goes_on_and_no_server_starts_before(nora_server: StartServer) -> None:
    server = nora_server(workers=2)
    with pushing(server) as done:
        wait_until(lambda: min(done.values()) >= 60, "sixty of each", seen=lambda: done)
    nora(server, "backup", "-o", "backup.tar")
    server.stop()
    shutil.rmtree(server.storage)
    kills = 0
    for seconds in (0.7, 0.9, 1.1, 1.3, 1.5, 1.7, 2.0, 60.0):
        process = subprocess.Popen(
            [*NORA, "restore", "-i", "backup.tar"], env=server.environment(), cwd=server.data, stderr=-1
        )
        try:
            _, told = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            if (server.storage / "catalog.sqlite3").exists():
                break  # it was done, and about to say so
            if (server.storage / "restore.partial").exists():
                assert not (server.storage / "catalog.sqlite3").exists()
                refused = run(*NORA, "serve", env=server.environment(), cwd=server.data, fails=True)
                assert "nora restore" in refused
        else:
            assert process.returncode == 0, told
            break
    assert kills
    server.start()
    assert assert_whole(server, done) == sum(done.values())


def test_an_interrupted_backup_leaves_nothing_of_its_name(nora_server: StartServer) -> None:
    server = nora_server()
    httpx.put(f"{server.url}/raw/file", content=os.urandom(200_000_000)).raise_for_status()
    backup = subprocess.Popen(
        [*NORA, "backup", "-o", "backup.tar.gz"], env=server.environment(), cwd=server.data, stderr=-1
    )
    wait_until((server.data / "backup.tar.gz.partial").exists, "the backup to begin")
    time.sleep(0.3)
    backup.send_signal(signal.SIGINT)
    _, told = backup.communicate(timeout=60)
    assert backup.returncode == 130
    assert told.startswith(b"stopped: ")
    assert not list(server.data.glob("backup.tar*"))


def test_a_backup_for_which_there_is_no_room_leaves_nothing(nora_server: StartServer) -> None:
    server = nora_server()
    httpx.put(f"{server.url}/raw/file", content=os.urandom(9_000_000)).raise_for_status()
    words = " ".join(NORA)
    for output in ("backup.tar", "backup.tar.gz", "folder/"):
        limited = f"ulimit -f 4000; exec {words} backup -o {output}"
        told = run("bash", "-c", limited, env=server.environment(), cwd=server.data, fails=True)
        assert f"the backup {output.rstrip('/')} cannot be written" in told
        assert "Traceback" not in told
        left = [path for path in server.data.rglob("*") if path.is_file() and "storage" not in path.parts]
        assert {path.name for path in left} <= {"lock"}


def test_a_bucket_is_backed_up_and_restored(tmp_path: Path) -> None:
    with s3_server(tmp_path / "s3") as bucket:
        make_bucket(bucket, BUCKET)
        make_bucket(bucket, "other")
        files = {"small": b"abc", "empty": b"", "large": os.urandom(18_000_000)}
        with running(tmp_path / "nora", env=bucket.environment(BUCKET)) as server:
            for name, data in files.items():
                httpx.put(f"{server.url}/raw/{name}", content=data).raise_for_status()
            nora(server, "backup", "-o", "backup.tar.gz")
            backed_up_to_a_bucket(server, tmp_path, files)
        other = Server(tmp_path / "other", tmp_path / "log", env={**bucket.environment("other")})
        other.data.mkdir()
        source = server.data / "backup.tar.gz"
        nora(other, "restore", "-i", source)
        assert "stored blobs" in _without_catalog(other, source)
        with closing_server(other):
            for name, data in files.items():
                assert httpx.get(f"{other.url}/raw/{name}").content == data


def backed_up_to_a_bucket(server: Server, tmp_path: Path, files: Mapping[str, bytes]) -> None:
    """What is new each time, the newest two of three, and restored to a directory."""
    place, stray = "s3://other/backups", f"backups/blobs/sha256/aa/{'a' * 64}-{1:016x}"
    assert "choose another prefix" in nora(server, "backup", "-o", f"s3://{BUCKET}", fails=True)
    nora(server, "backup", "-o", place)
    httpx.put(f"{server.url}/raw/more", content=b"more").raise_for_status()
    nora(server, "backup", "-o", place)
    with closing(open_bucket(load_config(server.environment(), server.data), "other")) as bucket:
        bucket.put(stray, b"1", sha256=hashlib.sha256(b"1").digest(), notes={})
        nora(server, "backup", "-o", place, "--keep", "2")
        names = [key for key, _ in bucket.list("")]
    manifests = sorted(name for name in names if name.endswith("/manifest.jsonl"))
    assert len(manifests) == 2
    assert len([name for name in names if "/blobs/" in name]) == len(files) + 1  # and not what nobody needs
    nora(server, "backup", "--verify", place)
    local = Server(tmp_path / "local", tmp_path / "l", env={**server.env, "NORA_STORAGE_MODE": "local"})
    local.data.mkdir()
    nora(local, "restore", "-i", f"s3://other/{manifests[0].removesuffix('/manifest.jsonl')}")
    with closing_server(local):
        for name, data in {**files, "more": b"more"}.items():
            assert httpx.get(f"{local.url}/raw/{name}").content == data


def _without_catalog(server: Server, source: Path) -> str:
    catalog = server.storage / "catalog.sqlite3"
    kept = catalog.read_bytes()
    catalog.unlink()
    told = nora(server, "restore", "-i", source, fails=True)
    catalog.write_bytes(kept)
    return told


@contextmanager
def closing_server(server: Server) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        server.stop()
