"""Raw files while the server is killed, while the disk is full, and of sizes that memory has not."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from os import geteuid
from pathlib import Path
from random import Random

import httpx
import pytest

from tests.conftest import StartServer
from tests.faults.publications import client, publish_under_kills
from tests.faults.wire import Wire
from tests.support.memory import peak
from tests.support.server import Server, running
from tests.support.waiting import until, wait_until

MIB = 1 << 20
GROWTH = 64 * MIB
"""Of a server that streams, whatever the size."""
SIZES = [
    pytest.param(512 * MIB, marks=pytest.mark.slow),
    pytest.param(10 << 30, marks=pytest.mark.full),
]


def partials(server: Server) -> list[Path]:
    folders = (server.storage / name for name in ("tmp", "uploads"))
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_a_kill_leaves_a_file_whole_or_not_at_all(nora_server: StartServer) -> None:
    """What was acknowledged is there, and what is there is what somebody has put."""
    server = nora_server(workers=2, env={"NORA_RAW_OVERWRITE": "always"})

    def body(name: str, number: int) -> bytes:
        return Random(f"{name} {number}").randbytes(20_000 + number)

    def write(http: httpx.Client, writer: int, number: int) -> bool:
        name = f"file-{writer}"
        return http.put(f"/raw/killed/{name}", content=body(name, number)).is_success

    done = publish_under_kills(server, write, writers=4, kills=3)
    acknowledged = {f"file-{writer}": number for writer, number in sorted(done)}
    with client(server) as http:
        for name, number in acknowledged.items():
            answer = http.get(f"/raw/killed/{name}")
            found = len(answer.content) - 20_000  # the last one may be there without having been acknowledged
            assert found >= number
            assert answer.content == body(name, found)
            assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'


def test_what_was_on_its_way_is_gone_after_a_kill(nora_server: StartServer) -> None:
    server = nora_server()

    async def cut_off() -> None:
        wire = Wire(server.host, server.port)
        _, writer = await wire.connect()
        writer.write(wire.head("PUT", "/raw/half", {"content-length": str(8 * MIB)}) + bytes(4 * MIB))
        await writer.drain()
        await until(lambda: partials(server), "the file to come in")
        server.kill()
        writer.transport.abort()

    asyncio.run(cut_off())
    assert partials(server)
    server.start()
    wait_until(lambda: not partials(server), "what was left to be gone", seen=lambda: partials(server))
    with client(server) as http:
        assert http.get("/raw/half").status_code == 404
        assert http.put("/raw/half", content=b"whole").status_code == 201


def test_a_damaged_file_is_cut_off_where_reads_are_verified(nora_server: StartServer) -> None:
    server = nora_server(env={"NORA_STORAGE_VERIFY_READS": "true"})
    data = Random(1).randbytes(3 * MIB)
    digest = hashlib.sha256(data).hexdigest()
    with client(server) as http:
        assert http.put("/raw/sure", content=data).status_code == 201
        assert http.get("/raw/sure").content == data
        [found] = (server.storage / "blobs" / "sha256" / digest[:2]).glob(f"{digest}-*")
        found.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        with pytest.raises(httpx.RemoteProtocolError):
            http.get("/raw/sure")
        assert http.put("/raw/sure", content=data).status_code == 200  # whoever has it puts it again
        assert http.get("/raw/sure").content == data


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Server]:
    """A server whose data is on a tmpfs of 64 MiB."""
    if not sys.platform.startswith("linux") or geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root on Linux")
    point = tmp_path / "data" / "storage"
    point.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64M", "tmpfs", str(point)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        with running(
            tmp_path, env={"NORA_STORAGE_PATH": str(point), "NORA_RAW_OVERWRITE": "always"}
        ) as server:
            yield server
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=False)


@pytest.mark.slow
def test_a_file_that_does_not_fit_leaves_the_old_one(small: Server) -> None:
    with client(small) as http:
        assert http.put("/raw/kept", content=b"old").status_code == 201
        for size in (70 * MIB, 52 * MIB):
            for content in (bytes(size), iter([bytes(MIB)] * (size // MIB))):
                assert http.put("/raw/kept", content=content).status_code == 507
        assert http.get("/raw/kept").content == b"old"
        assert http.put("/raw/kept", content=b"new").status_code == 200
        assert http.get("/raw/kept").content == b"new"


@pytest.mark.parametrize("size", SIZES)
def test_a_file_of_any_size_takes_no_memory(nora_server: StartServer, size: int) -> None:
    server = nora_server(env={"NORA_STORAGE_DURABILITY": "none"})
    block = Random(size).randbytes(MIB)
    digest = hashlib.sha256()
    for _ in range(size // MIB):
        digest.update(block)

    def blocks() -> Iterator[bytes]:
        for _ in range(size // MIB):
            yield block

    with client(server) as http:
        http.put("/raw/warm", content=bytes(3 * MIB))
        with peak(server) as growth:
            answer = http.put("/raw/large", content=blocks(), headers={"content-length": str(size)})
            assert (answer.status_code, answer.headers["etag"]) == (201, f'"{digest.hexdigest()}"')
            found, count = hashlib.sha256(), 0
            with http.stream("GET", "/raw/large") as got:
                for piece in got.iter_raw(MIB):
                    found.update(piece)
                    count += len(piece)
        assert (count, found.hexdigest()) == (size, digest.hexdigest())
        assert growth[0] < GROWTH, growth
