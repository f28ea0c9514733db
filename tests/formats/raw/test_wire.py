"""Raw files on the wire of a real server."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.faults.wire import Wire, read_answer
from tests.support.server import Server, running
from tests.support.waiting import until

LARGE = os.urandom(3_000_000)
UNIQUE = {"date", "x-request-id"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    env = {"NORA_RAW_OVERWRITE": "always", "NORA_RAW_MAX_FILE_SIZE": "8000000"}
    with running(tmp_path_factory.mktemp("raw"), workers=2, env=env) as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as found:
        yield found


def partials(server: Server) -> list[Path]:
    """What is on its way."""
    folders = (server.storage / name for name in ("tmp", "uploads"))
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_a_head_is_the_head_of_get(client: httpx.Client) -> None:
    for name, data in (("empty", b""), ("small.html", b"x"), ("large.bin", LARGE)):
        made = client.put(f"/raw/heads/{name}", content=data)
        assert made.status_code == 201
        got, head = client.get(f"/raw/heads/{name}"), client.head(f"/raw/heads/{name}")
        assert (got.content, head.content) == (data, b"")
        told, said = ({k: v for k, v in one.headers.items() if k not in UNIQUE} for one in (head, got))
        assert told == said
        assert told["content-length"] == str(len(data))


def test_what_is_refused_is_not_asked_for(server: Server) -> None:
    """No `100 Continue` for a body that would be refused anyway."""
    wire = Wire(server.host, server.port)

    async def run() -> None:
        for method, path, fields, status in (
            ("PUT", "/raw/too-large", {"content-length": "8000001"}, 413),
            ("PUT", "/raw/digest", {"content-length": "5", "repr-digest": "sha-256=:AAAA:"}, 400),
            ("PUT", "/raw/absent", {"content-length": "5", "if-match": '"x"'}, 412),
            ("PUT", "/raw/%2e%2e/x", {"content-length": "5"}, 400),
        ):
            reader, writer = await wire.connect()
            writer.write(wire.head(method, path, {**fields, "expect": "100-continue"}))
            interim: list[int] = []
            answer = await read_answer(reader, method, interim)
            assert (answer.status, interim) == (status, []), path
            writer.close()

    asyncio.run(run())


def test_a_download_outlives_its_file(server: Server, client: httpx.Client) -> None:
    assert client.put("/raw/deleted", content=LARGE).status_code == 201
    with socket.create_connection((server.host, server.port)) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        slow.sendall(b"GET /raw/deleted HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        got = slow.recv(1000)
        assert client.delete("/raw/deleted").status_code == 204
        assert client.get("/raw/deleted").status_code == 404
        assert client.put("/raw/deleted", content=b"new").status_code == 201
        while piece := slow.recv(1 << 20):
            got += piece
    assert got.partition(b"\r\n\r\n")[2] == LARGE


def test_who_reads_while_it_is_replaced_gets_one_of_them(server: Server, client: httpx.Client) -> None:
    bodies = {etag_of(one): one for one in (bytes([n]) * 300_000 for n in range(6))}
    assert client.put("/raw/replaced", content=next(iter(bodies.values()))).status_code == 201

    def read(_: int) -> bool:
        with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as mine:
            answers = [mine.get("/raw/replaced") for _ in range(15)]
        return all(bodies[one.headers["etag"]] == one.content for one in answers)

    with ThreadPoolExecutor(3) as pool:
        reads = pool.map(read, range(3))
        for body in bodies.values():
            assert client.put("/raw/replaced", content=body).status_code in (200, 201)
        assert all(reads)


def test_nothing_is_left_of_a_client_that_leaves(server: Server, client: httpx.Client) -> None:
    async def run() -> None:
        wire = Wire(server.host, server.port)
        _, writer = await wire.connect()
        writer.write(wire.head("PUT", "/raw/left", {"content-length": str(len(LARGE))}) + LARGE[:1_500_000])
        await writer.drain()
        await until(lambda: partials(server), "the file to come in")
        writer.transport.abort()
        await until(lambda: not partials(server), "nothing to be left", seen=lambda: partials(server))

    asyncio.run(run())
    assert client.get("/raw/left").status_code == 404


def test_lost_or_damaged_bytes_are_no_absence(server: Server, client: httpx.Client) -> None:
    for name, damage in (("lost", Path.unlink), ("short", lambda path: path.write_bytes(b"x"))):
        data = name.encode() + LARGE
        assert client.put(f"/raw/{name}", content=data).status_code == 201
        digest = hashlib.sha256(data).hexdigest()
        [found] = (server.storage / "blobs" / "sha256" / digest[:2]).glob(f"{digest}-*")
        damage(found)  # type: ignore[operator]
        assert client.get(f"/raw/{name}").status_code == 500
        assert client.put(f"/raw/{name}", content=data).status_code == 200  # whoever has it puts it again
        assert client.get(f"/raw/{name}").content == data


def etag_of(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()}"'
