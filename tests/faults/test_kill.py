"""kill -9 at random moments of many parallel pushes: what was acknowledged is there, whole, afterwards."""

from __future__ import annotations

import asyncio
import os
import random
import signal

import pytest

from tests.conftest import StartServer
from tests.faults.ledger import sha256
from tests.faults.processes import alive, workers
from tests.faults.pushes import Pushes
from tests.faults.runs import MANY_SESSIONS, SIZES, Record, Size, kill_run, reclaimed
from tests.faults.wire import Wire
from tests.support.waiting import until


@pytest.mark.parametrize("size", SIZES)
def test_killed_server_keeps_what_it_acknowledged(
    nora_server: StartServer, size: Size, record_property: Record
) -> None:
    server = nora_server(workers=2, env=MANY_SESSIONS)

    async def kill(dice: random.Random, pushes: Pushes) -> bool:
        pushes.pause()
        server.kill()
        return True

    async def run() -> None:
        await kill_run(server, size, kill, record_property)
        await reclaimed(server)

    asyncio.run(run())


@pytest.mark.parametrize("size", SIZES)
def test_killed_workers_lose_nothing_and_are_replaced(
    nora_server: StartServer, size: Size, record_property: Record
) -> None:
    server = nora_server(workers=2, env=MANY_SESSIONS)

    async def kill(dice: random.Random, pushes: Pushes) -> bool:
        # There is none while all of them are being replaced.
        victims = await until(lambda: workers(server), "a worker")
        os.kill(dice.choice(victims), signal.SIGKILL)
        return False

    async def run() -> None:
        await kill_run(server, size, kill, record_property)
        assert server.process is not None
        assert server.process.poll() is None, server.log_tail()
        await reclaimed(server)

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "server"])
def test_upload_is_resumed_after_a_kill_in_the_middle(nora_server: StartServer, victim: str) -> None:
    """spec line 23: the offset is never beyond what was sent; from there on the upload goes on."""
    server = nora_server(workers=1)
    blob = random.Random(victim).randbytes(12 << 20)
    wire = Wire(server.host, server.port)

    async def cut_off(session: str, sent: int) -> None:
        """A PATCH of which `sent` bytes arrive before the process dies."""
        _, writer = await wire.connect()
        headers = {"content-length": str(len(blob)), "content-type": "application/octet-stream"}
        writer.write(wire.head("PATCH", session, headers) + blob[:sent])
        await writer.drain()
        await asyncio.sleep(0.3)  # let it arrive: any part of it may have
        if victim == "worker":
            doomed = workers(server)[0]
            os.kill(doomed, signal.SIGKILL)
            await until(lambda: not alive(doomed), "the worker to die")
            await asyncio.to_thread(server.wait_ready)
        else:
            server.kill()
            await asyncio.to_thread(server.start)
        writer.transport.abort()

    async def run() -> None:
        opened = await wire.call("POST", "/v2/faults/resume/blobs/uploads/")
        session = opened.headers["location"]
        first = await wire.call("PATCH", session, blob[: 1 << 20])
        assert first.status == 202
        await cut_off(session, 6_500_000)
        status = await wire.call("GET", session)
        assert status.status == 204
        offset = int(status.headers["range"].removeprefix("0-")) + 1
        assert 1 << 20 <= offset <= (1 << 20) + 6_500_000
        # What the cut PATCH carried was the blob from its beginning: not a continuation of the first chunk.
        expected = blob[: 1 << 20] + blob[: offset - (1 << 20)]
        rest = blob[offset:]
        whole = expected + rest
        headers = {"content-range": f"{offset}-{offset + len(rest) - 1}"}
        assert (await wire.call("PATCH", session, rest, headers)).status == 202
        closed = await wire.call("PUT", f"{session}?digest={sha256(whole)}")
        assert closed.status == 201, closed
        pulled = await wire.call("GET", f"/v2/faults/resume/blobs/{sha256(whole)}")
        assert pulled.body == whole

    asyncio.run(run())
