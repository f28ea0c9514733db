"""A full disk: uploads are refused with 507, everything else goes on, and space that returns is used."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.ledger import sha256
from tests.faults.wire import Answer, Wire
from tests.support.oci import CONFIG, IMAGE, LAYER, describe, render
from tests.support.server import Server
from tests.support.waiting import until

MIB = 1 << 20
SIZE = 64 * MIB
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or os.geteuid() != 0,
        reason="mounting a tmpfs needs root on Linux",
    ),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server whose data is on a tmpfs of 64 MiB."""
    point = tmp_path / "data" / "storage"
    point.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(point)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    server = Server(tmp_path / "data", tmp_path / "nora.log", workers=2)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        subprocess.run(["umount", "--lazy", str(point)], check=False)


@pytest.fixture
def wire(server: Server) -> Wire:
    return Wire(server.host, server.port)


def room(server: Server) -> int:
    return shutil.disk_usage(server.storage).free


@contextlib.contextmanager
def filled(server: Server, leave: int = 0) -> Iterator[Path]:
    """The disk, filled by somebody else but for `leave` bytes; freed at the end."""
    ballast = server.storage / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while room(server) > leave:  # the server may write at the same time
            file.write(bytes(min(MIB, max(4096, (room(server) - leave) // 2))))
    try:
        yield ballast
    finally:
        ballast.unlink(missing_ok=True)


def is_log_folded(server: Server) -> bool:
    """Whether all frames of the catalog's log are in the catalog as well: mxFrame and nBackfill of its index
    (https://www.sqlite.org/walformat.html, 2.1). Workers see to it when they were quiet for a second. Until
    then the catalog has to grow for it, which is what the reserve is for."""
    index = (server.storage / "catalog.sqlite3-shm").read_bytes()
    return index[16:20] == index[96:100]


def image(dice: random.Random) -> tuple[bytes, bytes, bytes]:
    """config, layer, manifest"""
    config, layer = render({"os": "linux", "n": dice.random()}), dice.randbytes(20_000)
    document = {"schemaVersion": 2, "mediaType": IMAGE, "config": describe(config, CONFIG)}
    return config, layer, render(document | {"layers": [describe(layer, LAYER)]})


async def push_blob(wire: Wire, name: str, blob: bytes) -> Answer:
    return await wire.call("POST", f"/v2/{name}/blobs/uploads/?digest={sha256(blob)}", blob)


async def push_image(wire: Wire, name: str, tag: str, seed: int) -> bytes:
    config, layer, manifest = image(random.Random(seed))
    for blob in (config, layer):
        assert (await push_blob(wire, name, blob)).status == 201
    answer = await wire.call("PUT", f"/v2/{name}/manifests/{tag}", manifest, {"content-type": IMAGE})
    assert answer.status == 201, answer
    return manifest


def partials(server: Server) -> int:
    """Bytes of what is not a finished object."""
    files = (path for name in ("tmp", "uploads") for path in (server.storage / name).rglob("*"))
    return sum(path.stat().st_size for path in files if path.is_file())


def is_full(answer: Answer) -> bool:
    return answer.status == 507 and answer.code is not None


@pytest.mark.parametrize("way", ["whole", "put", "patch"])
def test_upload_larger_than_the_disk_is_refused(server: Server, wire: Wire, way: str) -> None:
    """507 in OCI's shape; what was partial is freed, at the latest when the client cancels."""
    blob = random.Random(way).randbytes(SIZE + 6 * MIB)

    async def run() -> None:
        manifest = await push_image(wire, "full/image", "t", 1)
        free = shutil.disk_usage(server.storage).free
        uploads, session = "/v2/full/image/blobs/uploads/", ""
        if way == "whole":
            answer = await push_blob(wire, "full/image", blob)
        else:
            session = (await wire.call("POST", uploads)).headers["location"]
            method, query = ("PUT", f"?digest={sha256(blob)}") if way == "put" else ("PATCH", "")
            answer = await wire.call(method, session + query, blob)
        assert is_full(answer), answer
        if session:
            cancelled = await wire.call("DELETE", session)
            assert cancelled.status in (204, 404), cancelled
        assert partials(server) == 0
        assert shutil.disk_usage(server.storage).free > free - 4 * MIB
        pulled = await wire.call("GET", "/v2/full/image/manifests/t", headers={"accept": IMAGE})
        assert pulled.body == manifest
        await push_image(wire, "full/image", "t", 2)

    asyncio.run(run())


def test_tags_and_deletes_have_the_room_that_uploads_leave(server: Server, wire: Wire) -> None:
    async def run() -> None:
        first, second = [await push_image(wire, "full/a", tag, seed) for seed, tag in enumerate("ab")]
        with filled(server, leave=8 * MIB):  # half of the reserve
            assert is_full(await push_blob(wire, "full/a", b"x"))
            for number in range(200):
                for manifest in (first, second):
                    path = f"/v2/full/a/manifests/t{number}"
                    moved = await wire.call("PUT", path, manifest, {"content-type": IMAGE})
                    assert moved.status == 201, moved
            for number in range(200):
                assert (await wire.call("DELETE", f"/v2/full/a/manifests/t{number}")).status == 202

    asyncio.run(run())


def test_full_disk_serves_deletes_and_recovers(server: Server, wire: Wire) -> None:
    async def run() -> None:
        old = await push_image(wire, "full/a", "t", 1)
        other = await push_image(wire, "full/a", "other", 2)
        many = render({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []})
        for tag in range(30):
            path = f"/v2/full/many/manifests/t{tag}"
            assert (await wire.call("PUT", path, many, {"content-type": INDEX_TYPE})).status == 201
        await until(lambda: is_log_folded(server), "a catalog with all of its log")
        with filled(server):
            assert is_full(await push_blob(wire, "full/a", b"x" * 100_000))
            # A tag moves as a whole or not at all.
            config, layer, manifest = image(random.Random(3))
            moved = await wire.call("PUT", "/v2/full/a/manifests/t", manifest, {"content-type": IMAGE})
            assert is_full(moved) or moved.code == "MANIFEST_BLOB_UNKNOWN", moved
            await reads(wire, old)
            moved = await wire.call("PUT", "/v2/full/a/manifests/t", other, {"content-type": IMAGE})
            assert moved.status in (201, 507), moved  # somebody else took the reserve as well
            expected = other if moved.status == 201 else old
            await reads(wire, expected)
            await ready(wire, 503)
            for tag in range(30):  # the catalog's log has room of its own, which is used again
                deleted = await wire.call("DELETE", f"/v2/full/many/manifests/t{tag}")
                assert deleted.status == 202, f"{tag}: {deleted}"
                assert (await wire.call("GET", f"/v2/full/many/manifests/t{tag}")).status == 404
            await degraded(wire)
        await ready(wire, 200)
        await reads(wire, expected)
        for blob in (config, layer):
            assert (await push_blob(wire, "full/a", blob)).status == 201
        moved = await wire.call("PUT", "/v2/full/a/manifests/t", manifest, {"content-type": IMAGE})
        assert moved.status == 201
        await reads(wire, manifest)

    asyncio.run(run())


async def reads(wire: Wire, expected: bytes) -> None:
    pulled = await wire.call("GET", "/v2/full/a/manifests/t")
    assert (pulled.status, pulled.body) == (200, expected)
    _, layer, _ = image(random.Random(2))
    assert (await wire.call("GET", f"/v2/full/a/blobs/{sha256(layer)}")).body == layer
    tags = await wire.call("GET", "/v2/full/a/tags/list")
    assert tags.body.count(b'"other"') == 1, tags


async def ready(wire: Wire, wanted: int) -> None:
    """Wait for what /ready says, on its own: its probe is a real write, and done every few seconds only."""
    said: list[Answer] = []

    async def is_so() -> bool:
        said[:] = [await wire.call("GET", "/ready")]
        return said[0].status == wanted

    await until(is_so, f"/ready to say {wanted}", seen=lambda: said[0])


async def degraded(wire: Wire) -> None:
    """/health stays 200 and says so; each worker asks its disk by itself, and not more than once a second."""
    said: list[Answer] = []

    async def is_so() -> bool:
        said[:] = [await wire.call("GET", "/health")]
        assert said[0].status == 200, said[0]
        return b'"degraded"' in said[0].body

    await until(is_so, "/health to say that it is degraded", seen=lambda: said[0])


def test_reserve_leaves_room_for_deletes(server: Server, wire: Wire) -> None:
    """Uploads stop before the disk is full; deletes go on in what is kept for them."""

    async def run() -> None:
        manifest = await push_image(wire, "full/b", "t", 1)
        other = await push_image(wire, "full/b", "second", 2)
        with filled(server, leave=8 * MIB):
            for size in (10, 100_000, 4 * MIB):
                assert is_full(await push_blob(wire, "full/b", random.Random(size).randbytes(size)))
            await ready(wire, 503)
            headers = {"content-type": IMAGE}
            moved = await wire.call("PUT", "/v2/full/b/manifests/second", manifest, headers)
            assert is_full(moved) or moved.status == 201, moved
            second = (await wire.call("GET", "/v2/full/b/manifests/second")).body
            assert second == (manifest if moved.status == 201 else other)
            assert (await wire.call("DELETE", "/v2/full/b/manifests/t")).status == 202
            assert (await wire.call("GET", "/v2/full/b/manifests/t")).status == 404
            assert (await wire.call("DELETE", f"/v2/full/b/manifests/{sha256(other)}")).status == 202
            _, layer, _ = image(random.Random(1))
            assert (await wire.call("DELETE", f"/v2/full/b/blobs/{sha256(layer)}")).status == 202
        await ready(wire, 200)
        await push_image(wire, "full/b", "t", 3)

    asyncio.run(run())


def test_disk_fills_while_many_push(server: Server, wire: Wire) -> None:
    """Whoever gets 201 has stored it; everybody else gets 507; nothing is left of theirs."""

    async def run() -> None:
        blobs = [random.Random(n).randbytes(3 * MIB) for n in range(30)]
        answers = await asyncio.gather(*(push_blob(wire, "full/c", blob) for blob in blobs))
        stored = [blob for blob, answer in zip(blobs, answers, strict=True) if answer.status == 201]
        refused = [answer for answer in answers if answer.status != 201]
        assert stored
        assert refused
        assert all(is_full(answer) for answer in refused), [str(a) for a in refused if not is_full(a)]
        assert partials(server) == 0
        for blob in stored:
            assert (await wire.call("GET", f"/v2/full/c/blobs/{sha256(blob)}")).body == blob
        for blob, answer in zip(blobs, answers, strict=True):
            if answer.status != 201:
                assert (await wire.call("GET", f"/v2/full/c/blobs/{sha256(blob)}")).status == 404

    asyncio.run(run())


def test_collection_makes_room(server: Server, wire: Wire) -> None:
    """Where uploads are refused already, by a command beside the server, which needs room itself."""
    server.kill()
    server.env = {"NORA_GC_GRACE": "0", "NORA_GC_LEASE": "0", "NORA_GC_UNLINK_DELAY": "1"}
    server.start()
    garbage, blob = random.Random(1).randbytes(20 * MIB), random.Random(2).randbytes(MIB)
    command = [sys.executable, "-m", "nora", "gc", "--apply"]

    async def run() -> None:
        manifest = await push_image(wire, "full/kept", "t", 1)
        assert (await push_blob(wire, "full/other", garbage)).status == 201
        with filled(server, leave=4 * MIB):
            assert is_full(await push_blob(wire, "full/other", blob))
            process = await asyncio.create_subprocess_exec(
                *command, cwd=server.data, env=server.environment()
            )
            assert await process.wait() == 0

            async def stored() -> bool:
                return (await push_blob(wire, "full/other", blob)).status == 201

            await until(stored, "room for a blob")
            answer = await wire.call("GET", "/v2/full/kept/manifests/t")
            assert (answer.status, answer.body) == (200, manifest)

    asyncio.run(run())
