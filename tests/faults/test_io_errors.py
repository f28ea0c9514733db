"""Disks that fail: an I/O error is a 5xx, never an absence, and is not remembered (spec line 27)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.disk import Disk, mounted
from tests.faults.ledger import sha256
from tests.faults.test_full_disk import image, push_blob, push_image, ready
from tests.faults.wire import Answer, Dropped, Wire
from tests.support.oci import IMAGE
from tests.support.server import Server

pytestmark = pytest.mark.slow
BIG = random.Random(0).randbytes(3 << 20)
ERRORS = ["EIO", "EACCES", "EROFS"]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Disk]]:
    """One server for all tests, that has to mend after each: without a memory of hot answers, so that reads
    reach the disk."""
    folder = tmp_path_factory.mktemp("failing")
    env = {"NORA_STORAGE_ALLOW_FUSE": "true", "NORA_CACHE_MEMORY": "0"}
    server = Server(folder / "data", folder / "nora.log", workers=2, env=env)
    with mounted(folder, server.storage) as disk:
        try:
            server.start()
            yield server, disk
            server.stop()
        finally:
            server.kill()


@pytest.fixture
def server(started: tuple[Server, Disk]) -> Server:
    return started[0]


@pytest.fixture
def disk(started: tuple[Server, Disk]) -> Iterator[Disk]:
    started[1].clear()
    yield started[1]
    started[1].clear()


@pytest.fixture
def wire(server: Server) -> Wire:
    return Wire(server.host, server.port)


@pytest.fixture
def name(repository: Callable[[str], str]) -> str:
    """An image of this test only."""
    return repository("image")


def failed(answer: Answer) -> bool:
    """A server error in OCI's shape that claims no absence."""
    return answer.status in (500, 503) and answer.code not in (None, "BLOB_UNKNOWN", "MANIFEST_UNKNOWN")


async def attempt(wire: Wire, method: str, path: str, body: bytes = b"") -> Answer | None:
    """The answer, or None where it was cut off, as it has to be when a read fails after its first bytes."""
    try:
        return await wire.call(method, path, body, {"content-type": IMAGE} if method == "PUT" else {})
    except Dropped:
        return None


@pytest.mark.parametrize("error", ["EIO", "EACCES"])
@pytest.mark.parametrize("operation", ["read", "open", "open,lookup,stat,read"])
def test_blob_that_cannot_be_read(
    server: Server, disk: Disk, wire: Wire, name: str, operation: str, error: str
) -> None:
    async def run() -> None:
        _, layer, _ = image(random.Random(1))
        manifest = await push_image(wire, name, "t", 1)
        assert (await push_blob(wire, name, BIG)).status == 201
        paths = {
            f"/v2/{name}/blobs/{sha256(layer)}": layer,
            f"/v2/{name}/blobs/{sha256(BIG)}": BIG,
            f"/v2/{name}/manifests/{sha256(manifest)}": manifest,
            f"/v2/{name}/manifests/t": manifest,
        }
        disk.fail(operation, "blobs/*", error)
        for path, content in paths.items():
            answer = await attempt(wire, "GET", path)
            # Whoever answers from memory that holds the right bytes may; a cut is no complete answer.
            assert answer is None or failed(answer) or answer.body == content, f"{path}: {answer}"
        assert disk.hits() > 0
        disk.clear()
        for path, content in paths.items():
            answer = await wire.call("GET", path)
            assert (answer.status, answer.body) == (200, content), path

    asyncio.run(run())


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("operation", ["write", "fsync", "rename", "create", "change"])
def test_upload_that_cannot_be_stored(
    server: Server, disk: Disk, wire: Wire, name: str, operation: str, error: str
) -> None:
    """Refused while the disk fails - by every way of pushing - and fine afterwards."""
    _, layer, _ = image(random.Random(5))

    async def run() -> None:
        await push_image(wire, name, "t", 1)
        session = (await wire.call("POST", f"/v2/{name}/blobs/uploads/")).headers["location"]
        for area in ("blobs", "tmp", "uploads"):
            disk.fail(operation, f"{area}*", error)
        whole = await push_blob(wire, name, layer)
        assert failed(whole), whole
        closed = await wire.call("PUT", f"{session}?digest={sha256(layer)}", layer)
        assert failed(closed), closed
        assert disk.hits() > 0
        assert (await wire.call("GET", f"/v2/{name}/blobs/{sha256(layer)}")).status == 404
        assert (await wire.call("GET", f"/v2/{name}/manifests/t")).status == 200
        assert (await wire.call("GET", "/ready")).status in (200, 503)
        disk.clear()
        assert (await push_blob(wire, name, layer)).status == 201
        assert (await wire.call("GET", f"/v2/{name}/blobs/{sha256(layer)}")).body == layer

    asyncio.run(run())


@pytest.mark.parametrize("error", ["EIO", "EROFS"])
def test_catalog_that_cannot_be_written(
    server: Server, disk: Disk, wire: Wire, name: str, error: str
) -> None:
    """The catalog's log fails: pushes, tags and deletes are refused, nothing changes, and it mends."""

    async def run() -> None:
        manifest = await push_image(wire, name, "t", 1)
        _, layer, _ = image(random.Random(9))
        for file in ("catalog.sqlite3", "*-wal"):  # not -shm: it is memory, not meant for the disk
            disk.fail("write,fsync,resize", file, error)
        by_tag = f"/v2/{name}/manifests/t"
        for answer in (
            await push_blob(wire, name, layer),
            await wire.call("PUT", f"/v2/{name}/manifests/u", manifest, {"content-type": IMAGE}),
            await wire.call("DELETE", by_tag),
        ):
            assert failed(answer), answer
        assert disk.hits() > 0
        await ready(wire, 503)
        pulled = await wire.call("GET", by_tag)
        assert pulled.body == manifest or failed(pulled), pulled
        disk.clear()
        assert (await wire.call("GET", by_tag)).body == manifest
        assert (await push_blob(wire, name, layer)).status == 201
        assert (
            await wire.call("PUT", f"/v2/{name}/manifests/u", manifest, {"content-type": IMAGE})
        ).status == 201
        assert (await wire.call("DELETE", by_tag)).status == 202

    asyncio.run(run())


@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_commit_that_failed_leaves_no_row_without_bytes(
    server: Server, disk: Disk, wire: Wire, name: str, size: int
) -> None:
    """The log has the commit when syncing it fails, and is read again after a crash."""

    async def run() -> None:
        await push_image(wire, name, "t", 1)
        blob = random.Random(size).randbytes(size)
        disk.fail("fsync", "*-wal", "EIO")
        refused = await push_blob(wire, name, blob)
        assert failed(refused), refused
        assert disk.hits() > 0
        server.kill()
        disk.clear()
        await asyncio.to_thread(server.start)
        path = f"/v2/{name}/blobs/{sha256(blob)}"
        head, pulled = await wire.call("HEAD", path), await wire.call("GET", path)
        assert head.status == pulled.status
        assert pulled.status == 404 or (pulled.status, pulled.body) == (200, blob), pulled.status
        assert (await push_blob(wire, name, blob)).status == 201
        assert (await wire.call("GET", path)).body == blob

    asyncio.run(run())


def test_catalog_that_cannot_be_read(server: Server, disk: Disk, wire: Wire, name: str) -> None:
    """A failing read of the catalog is an error, not an empty registry."""

    async def run() -> None:
        manifest = await push_image(wire, name, "t", 1)
        # Restarted: nothing of the catalog is in the memory of a process.
        await asyncio.to_thread(server.restart)
        _, layer, _ = image(random.Random(1))
        for file in ("catalog.sqlite3", "*-wal"):  # not -shm: a failing page of a map is a SIGBUS
            disk.fail("read", file, "EIO")
        for path in ("manifests/t", f"blobs/{sha256(layer)}", "tags/list", f"manifests/{sha256(manifest)}"):
            for _ in range(4):  # both workers
                answer = await wire.call("GET", f"/v2/{name}/{path}")
                assert failed(answer) or answer.status == 200, f"{path}: {answer}"
        assert disk.hits() > 0
        disk.clear()
        for _ in range(4):
            assert (await wire.call("GET", f"/v2/{name}/manifests/t")).body == manifest
            assert (await wire.call("GET", f"/v2/{name}/blobs/{sha256(layer)}")).body == layer

    asyncio.run(run())


@pytest.mark.parametrize("seed", [1, 2])
def test_flaky_disk_never_lies(server: Server, disk: Disk, wire: Wire, name: str, seed: int) -> None:
    """Every tenth operation fails, at random: what was acknowledged is right, what was refused is a 5xx."""

    async def push(number: int) -> tuple[bytes, Answer | None]:
        blob = random.Random(f"{seed}/{number}").randbytes(50_000)
        return blob, await attempt(wire, "POST", f"/v2/{name}/blobs/uploads/?digest={sha256(blob)}", blob)

    async def run() -> None:
        disk.fail("write,fsync,rename,create,read,open", "*", "EIO", probability=0.1, seed=seed)
        results = await asyncio.gather(*(push(number) for number in range(60)))
        statuses = {answer.status for _, answer in results if answer}
        assert statuses <= {201, 500, 503}, statuses
        for blob, answer in results:
            if answer and answer.status == 201:
                pulled = await attempt(wire, "GET", f"/v2/{name}/blobs/{sha256(blob)}")
                assert pulled is None or failed(pulled) or pulled.body == blob, pulled
        disk.clear()
        for blob, answer in results:
            pulled = await wire.call("GET", f"/v2/{name}/blobs/{sha256(blob)}")
            if answer and answer.status == 201:
                assert pulled.body == blob, pulled
            else:
                assert pulled.status == 404 or pulled.body == blob, pulled

    asyncio.run(run())


def test_errors_do_not_poison_the_memory(tmp_path: Path, name: str) -> None:
    """With the memory of hot answers on: a failed read leaves nothing wrong in it."""
    env = {"NORA_STORAGE_ALLOW_FUSE": "true"}
    server = Server(tmp_path / "data", tmp_path / "nora.log", workers=1, env=env)

    async def run(disk: Disk) -> None:
        wire = Wire(server.host, server.port)
        manifest = await push_image(wire, name, "t", 1)
        _, layer, _ = image(random.Random(1))
        await asyncio.to_thread(server.restart)
        disk.fail("read,open", "blobs/*", "EIO")
        paths = {
            f"/v2/{name}/blobs/{sha256(layer)}": layer,
            f"/v2/{name}/manifests/t": manifest,
            f"/v2/{name}/manifests/{sha256(manifest)}": manifest,
        }
        for path in paths:
            answer = await attempt(wire, "GET", path)
            assert answer is None or failed(answer), f"{path}: {answer}"
        disk.clear()
        for path, content in paths.items():
            assert (await wire.call("GET", path)).body == content

    with mounted(tmp_path, server.storage) as disk:
        try:
            server.start()
            asyncio.run(run(disk))
        finally:
            server.kill()
