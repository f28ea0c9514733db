"""Moving a store to a bucket of a real server and back: beside servers, and under kills."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from nora.formats import discover
from tests.formats.test_contract import sample_of
from tests.support.buckets import ACCESS_KEY, SECRET_KEY, S3Server
from tests.support.command import run
from tests.support.s3_server import make_bucket, s3_server
from tests.support.server import Server, free_port, running
from tests.support.stores import flip
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

MIGRATE = (sys.executable, "-m", "nora", "migrate")
TO_S3 = (*MIGRATE, "--from", "local", "--to", "s3")
BACK = (*MIGRATE, "--from", "s3", "--to", "local")
LARGE = os.urandom(20_000_000)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path, s3: S3Server) -> Iterator[Server]:
    """One that stores in its directory, and knows where the bucket is."""
    bucket = f"bucket-{uuid4()}"
    make_bucket(s3, bucket)
    with running(tmp_path, workers=2, env=settings(s3, bucket, "local")) as server:
        yield server


def settings(s3: S3Server, bucket: str, mode: str) -> dict[str, str]:
    return {**s3.environment(bucket), "NORA_STORAGE_MODE": mode, "NORA_STORAGE_S3_PREFIX": "here/"}


def migrate(server: Server, words: tuple[str, ...], *, fails: bool = False) -> str:
    """What it says: all of it where it fails, else what is for people to do."""
    told = subprocess.run(
        words,
        check=False,
        env=server.environment(),
        cwd=server.data,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (told.returncode == 1) == fails, told
    assert told.returncode in {0, 1}, told
    return told.stdout + told.stderr


def switch(server: Server, mode: str) -> None:
    server.env = {**server.env, "NORA_STORAGE_MODE": mode}
    server.start()


def keys(server: Server) -> dict[str, int]:
    """What is in the bucket, but for the probe of whether it can be written: who is killed may leave it."""
    found: dict[str, int] = {}
    for page in client(server).get_paginator("list_objects_v2").paginate(Bucket=bucket_of(server)):
        found |= {one["Key"]: one["Size"] for one in page.get("Contents", ())}
    found.pop("here/probe", None)
    return found


def bucket_of(server: Server) -> str:
    return server.env["NORA_STORAGE_BUCKET"]


def client(server: Server):  # type: ignore[no-untyped-def]
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=server.env["NORA_STORAGE_S3_URL"],
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )


def objects(server: Server) -> dict[str, int]:
    """What is in the directory, as it is named in the bucket."""
    root = server.storage / "blobs"
    return {f"here/blobs/{path.relative_to(root)}": path.stat().st_size for path in root.rglob("*-*")}


def assert_samples_served(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as http:
        for found in discover():
            fetch = sample_of(found.name).fetch
            answer = http.get(fetch.path, headers=dict(fetch.headers))
            assert answer.content == sample_of(found.name).fetched, found.name
        for name, data in {"large": LARGE, "empty": b""}.items():
            assert http.get(f"/raw/files/{name}").content == data


def test_all_formats_are_served_from_the_bucket_and_from_the_directory_again(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as http:
        for step in [step for found in discover() for step in sample_of(found.name).publish]:
            answer = http.request(step.method, step.path, headers=dict(step.headers), content=step.body)
            assert answer.status_code == step.status, answer.text
        for name, data in {"large": LARGE, "empty": b""}.items():
            assert http.put(f"/raw/files/{name}", content=data).status_code == 201
    assert "stop it and run this again" in migrate(server, TO_S3)
    server.stop()
    there = objects(server)
    assert "0 blobs copied" in migrate(server, TO_S3)
    assert keys(server) == there == objects(server)
    shutil.rmtree(server.storage / "blobs")
    switch(server, "s3")
    assert_samples_served(server)
    run(sys.executable, "-m", "nora", "verify", env=server.environment(), cwd=server.data)
    server.stop()
    assert 'set storage.mode = "local"' in migrate(server, BACK)
    assert objects(server) == there
    for key in keys(server):
        client(server).delete_object(Bucket=bucket_of(server), Key=key)
    switch(server, "local")
    assert_samples_served(server)
    server.stop()


def body(number: int) -> bytes:
    """Small, larger than what is stored in one visit, or sent in parts."""
    return random.Random(number).randbytes((1_000, 70_000, 17_000_000)[2 if number % 40 == 7 else number % 2])


def written(number: int) -> bytes:
    """Of the file that comes as this one while others are copied."""
    return body(number % 7) + b"%d" % number


@pytest.mark.parametrize("words", [TO_S3, BACK], ids=["there", "back"])
def test_a_migration_that_is_killed_goes_on(server: Server, words: tuple[str, ...]) -> None:
    files = 160
    with httpx.Client(base_url=server.url, timeout=60) as http:
        for number in range(files):
            http.put(f"/raw/files/{number}", content=body(number)).raise_for_status()
    server.stop()
    whole = objects(server)
    if words is BACK:
        migrate(server, TO_S3)
        shutil.rmtree(server.storage / "blobs")
    kills, counts = 0, [0]
    for seconds in (1.0, 1.2, 1.4, 1.7, 2.0, 2.5, 3.0, 4.0):
        process = subprocess.Popen(words, env=server.environment(), cwd=server.data, stderr=subprocess.PIPE)
        try:
            _, told = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            there = keys(server) if words is TO_S3 else objects(server)
            assert there.items() <= whole.items(), "what has a name is whole"
            assert len(there) >= counts[-1]
            counts.append(len(there))
        else:
            assert process.returncode == 0, told
            break
    assert kills
    told = migrate(server, words)
    assert "nothing is missing" in told
    assert (keys(server) if words is TO_S3 else objects(server)) == whole
    if words is TO_S3:
        shutil.rmtree(server.storage / "blobs")
    switch(server, "s3" if words is TO_S3 else "local")
    assert not list((server.storage / "tmp").iterdir())
    with httpx.Client(base_url=server.url, timeout=60) as http:
        for number in range(files):
            assert http.get(f"/raw/files/{number}").content == body(number)
    server.stop()


@pytest.mark.parametrize("words", [TO_S3, BACK], ids=["there", "back"])
def test_ctrl_c_leaves_nothing_that_is_not_whole(server: Server, words: tuple[str, ...]) -> None:
    httpx.put(f"{server.url}/raw/files/large", content=LARGE * 10, timeout=60).raise_for_status()
    server.stop()
    if words is BACK:
        migrate(server, TO_S3)
        shutil.rmtree(server.storage / "blobs")
    process = subprocess.Popen(
        words, env=server.environment(), cwd=server.data, stdout=-1, stderr=-1, text=True
    )

    def has_begun() -> bool:
        assert process.poll() is None
        return bool(list((server.storage / "tmp").iterdir()))

    wait_until(has_begun, "the first copy")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == (
        "",
        "stopped: what was copied stays; run it again, and it goes on\n",
    )
    assert process.returncode == 130
    assert (keys(server) if words is TO_S3 else objects(server)) == {}
    assert not list((server.storage / "tmp").iterdir())
    assert "nothing is missing" in migrate(server, words)
    assert objects(server) == keys(server)


def test_a_disk_without_room_stops_it_and_leaves_nothing(server: Server) -> None:
    httpx.put(f"{server.url}/raw/files/large", content=LARGE).raise_for_status()
    server.stop()
    migrate(server, TO_S3)
    shutil.rmtree(server.storage / "blobs")
    told = migrate(server, ("bash", "-c", f"ulimit -f 9000; exec {' '.join(BACK)}"), fails=True)
    assert "the storage failed: File too large" in told
    assert "Traceback" not in told
    assert objects(server) == {}
    assert not list((server.storage / "tmp").iterdir())
    assert "nothing is missing" in migrate(server, BACK)


def test_a_server_is_written_to_meanwhile_and_loses_nothing(server: Server) -> None:
    done, ended = [0], threading.Event()

    def write() -> None:
        with httpx.Client(base_url=server.url, timeout=60) as http:
            while not ended.is_set():
                http.put(f"/raw/files/{done[0]}", content=written(done[0])).raise_for_status()
                done[0] += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(2):
            assert "stop it and run this again" in migrate(server, TO_S3)
    finally:
        ended.set()
        writer.join()
    server.stop()
    assert "nothing is missing" in migrate(server, TO_S3)
    shutil.rmtree(server.storage / "blobs")
    switch(server, "s3")
    assert done[0]
    with httpx.Client(base_url=server.url, timeout=60) as http:
        for number in range(done[0]):
            assert http.get(f"/raw/files/{number}").content == written(number)
    server.stop()


def test_a_damaged_object_is_named_in_both_directions(server: Server) -> None:
    for name in ("wrong", "right"):
        httpx.put(f"{server.url}/raw/files/{name}", content=name.encode() * 50_000).raise_for_status()
    server.stop()
    wrong, right = sorted(objects(server), key=lambda key: -objects(server)[key])
    assert {objects(server)[wrong], objects(server)[right]} == {250_000}
    path = server.storage / wrong.removeprefix("here/")
    flip(path, 100_000)
    told = migrate(server, TO_S3, fails=True)
    assert f"damaged: sha256:{path.name[:64]} (250000 bytes)" in told
    assert set(keys(server)) == {right}
    flip(path, 100_000)
    migrate(server, TO_S3)
    shutil.rmtree(server.storage / "blobs")
    client(server).put_object(Bucket=bucket_of(server), Key=wrong, Body=bytes(250_000))
    told = migrate(server, BACK, fails=True)
    assert f"damaged: sha256:{path.name[:64]} (250000 bytes)" in told
    assert set(objects(server)) == {right}


def test_a_bucket_that_cannot_be_written_to_is_said_at_once(server: Server) -> None:
    server.env = {**server.env, "NORA_STORAGE_S3_SECRET_KEY": "another"}
    told = migrate(server, TO_S3, fails=True)
    assert bucket_of(server) in told
    assert "Traceback" not in told
    server.env = {**server.env, "NORA_STORAGE_S3_URL": f"http://127.0.0.1:{free_port()}"}
    told = migrate(server, TO_S3, fails=True)
    assert "nobody answers there" in told
    assert "Traceback" not in told
