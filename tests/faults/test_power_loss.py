"""Power loss in the middle of many pushes: what was acknowledged had reached the disk (spec line 25)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.disk import Disk, mounted
from tests.faults.ledger import Audit, sha256
from tests.faults.processes import gone, group
from tests.faults.pushes import Pushes
from tests.faults.runs import FULL, MANY_SESSIONS, SLOW, Record, Size, kill_run, reclaimed
from tests.faults.wire import Wire
from tests.support.server import Server

pytestmark = pytest.mark.slow
ON_FUSE = {"NORA_STORAGE_ALLOW_FUSE": "true"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path, tmp_path / "data" / "storage") as disk:
        yield disk


@pytest.fixture
def server(tmp_path: Path, disk: Disk) -> Iterator[Server]:
    server = Server(tmp_path / "data", tmp_path / "nora.log", workers=2, env=ON_FUSE | MANY_SESSIONS)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def pull_the_plug(server: Server, disk: Disk, seed: int | None) -> None:
    """No process may write after the loss: all of them are gone before it."""
    processes = group(server)
    server.kill()
    gone(processes)
    disk.lose_power(seed)


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(replace(SLOW, clients=50), id="slow"),
        pytest.param(FULL, id="full", marks=pytest.mark.full),
    ],
)
@pytest.mark.parametrize("model", ["strict", "random"])
def test_power_loss_keeps_what_was_acknowledged(
    server: Server, disk: Disk, size: Size, model: str, record_property: Record
) -> None:
    """`strict`: all that was not synced is lost. `random`: each page, size and entry by itself."""

    async def kill(dice: random.Random, pushes: Pushes) -> bool:
        pushes.pause()
        pull_the_plug(server, disk, None if model == "strict" else dice.getrandbits(60))
        return True

    async def run() -> None:
        await kill_run(server, size, kill, record_property)
        await reclaimed(server)

    asyncio.run(run())


def test_first_push_of_a_fresh_server_survives(server: Server, disk: Disk) -> None:
    """The catalog itself, its directories and the first objects are durable once a push is acknowledged."""
    wire = Wire(server.host, server.port)
    pushes = Pushes(wire, seed=1, clients=1)

    async def push() -> None:
        pushes.start()
        await pushes.acknowledged(3, 0)
        pushes.pause()
        await pushes.quiet()

    async def run() -> None:
        await push()
        pull_the_plug(server, disk, None)
        await asyncio.to_thread(server.start)
        assert await Audit(wire, pushes.ledger).run() == []
        await pushes.stop()

    asyncio.run(run())


def test_deletion_survives(server: Server, disk: Disk) -> None:
    """A tag whose deletion was acknowledged does not come back, and neither does a manifest."""
    wire = Wire(server.host, server.port)
    manifest = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
    headers = {"content-type": "application/vnd.oci.image.index.v1+json"}

    async def run() -> None:
        for tag in ("one", "two"):
            assert (await wire.call("PUT", f"/v2/gone/{tag}/manifests/t", manifest, headers)).status == 201
        assert (await wire.call("DELETE", "/v2/gone/one/manifests/t")).status == 202
        by_digest = f"/v2/gone/two/manifests/{sha256(manifest)}"
        assert (await wire.call("DELETE", by_digest)).status == 202
        pull_the_plug(server, disk, None)
        await asyncio.to_thread(server.start)
        assert (await wire.call("GET", "/v2/gone/one/manifests/t")).status == 404
        assert (await wire.call("GET", f"/v2/gone/one/manifests/{sha256(manifest)}")).status == 200
        assert (await wire.call("GET", by_digest)).status == 404

    asyncio.run(run())


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_upload_session_goes_on_or_is_gone(server: Server, disk: Disk, seed: int | None) -> None:
    """An open session need not outlive a power loss; if it does, what it says it has is what was sent."""
    wire = Wire(server.host, server.port)
    blob = random.Random(seed).randbytes(3_000_000)

    async def resume(session: str) -> None:
        status = await wire.call("GET", session)
        if status.status == 404:
            return
        offset = int(status.headers["x-nora-upload-offset"])
        assert offset in (0, 1_000_000, 2_000_000)
        headers = {"content-range": f"{offset}-{len(blob) - 1}"}
        continued = await wire.call("PATCH", session, blob[offset:], headers)
        if continued.status == 404:
            assert continued.code == "BLOB_UPLOAD_UNKNOWN"
            return
        assert continued.status == 202, continued
        closed = await wire.call("PUT", f"{session}?digest={sha256(blob)}")
        assert closed.status == 201, closed

    async def run() -> None:
        sessions = []
        for _ in range(6):
            opened = await wire.call("POST", "/v2/faults/session/blobs/uploads/")
            sessions.append(opened.headers["location"])
            for start in (0, 1_000_000):
                piece = blob[start : start + 1_000_000]
                assert (await wire.call("PATCH", sessions[-1], piece)).status == 202
        pull_the_plug(server, disk, seed)
        await asyncio.to_thread(server.start)
        for session in sessions:
            await resume(session)
        pushed = await wire.call("POST", f"/v2/faults/session/blobs/uploads/?digest={sha256(blob)}", blob)
        assert pushed.status == 201
        pulled = await wire.call("GET", f"/v2/faults/session/blobs/{sha256(blob)}")
        assert pulled.body == blob

    asyncio.run(run())


def test_what_was_lost_can_be_pushed_again(tmp_path: Path, disk: Disk) -> None:
    """With `durability = "data"` the rows survive, the names of the objects perhaps not."""
    env = ON_FUSE | {"NORA_STORAGE_DURABILITY": "data"}
    server = Server(tmp_path / "data", tmp_path / "nora.log", workers=2, env=env)
    blob = random.Random(1).randbytes(100_000)
    path = f"/v2/faults/again/blobs/{sha256(blob)}"
    wire = Wire(server.host, server.port)

    async def push() -> int:
        pushed = await wire.call("POST", f"/v2/faults/again/blobs/uploads/?digest={sha256(blob)}", blob)
        return pushed.status

    async def run() -> None:
        assert await push() == 201
        pull_the_plug(server, disk, None)
        await asyncio.to_thread(server.start)
        assert (await wire.call("GET", path)).status == 500
        assert (await wire.call("HEAD", path)).status == 404  # else a client would not push it
        assert await push() == 201
        assert (await wire.call("GET", path)).body == blob

    try:
        server.start()
        asyncio.run(run())
    finally:
        server.kill()


def test_a_disk_that_lies_is_noticed(server: Server, disk: Disk) -> None:
    """The runs above can fail: where fsync keeps nothing, they do."""
    wire = Wire(server.host, server.port)
    pushes = Pushes(wire, seed=2, clients=1)

    async def run() -> None:
        disk.lie(True)
        pushes.start()
        await pushes.acknowledged(3, 0)
        pushes.pause()
        await pushes.quiet()
        pull_the_plug(server, disk, None)
        disk.lie(False)
        await asyncio.to_thread(server.start)
        assert await Audit(wire, pushes.ledger).run() != []
        await pushes.stop()

    asyncio.run(run())
