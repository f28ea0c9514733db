"""kill -9 of who brings a file in: the others go on where it ended, and everybody gets the right bytes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.conftest import StartServer
from tests.faults.downloads import Download, download, eventually, reach
from tests.faults.in_flight import asking_workers, awake, clean, clients_of, downloads, leader, parts
from tests.faults.processes import gone
from tests.faults.things import KINDS, LISTED, MIB, asking
from tests.faults.wire import Dropped, Wire
from tests.support.upstream_process import UpstreamProcess, upstream_process
from tests.support.waiting import until

pytestmark = pytest.mark.slow

SIZE = 6 * MIB
HALF = SIZE // 2
WITHHELD = 64 * 1024
CLIENTS = 24


@pytest.fixture
def up() -> Iterator[UpstreamProcess]:
    with upstream_process() as found:
        yield found


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    gone([pid])


def ranges(up: UpstreamProcess, path: str) -> list[str | None]:
    """What was asked of the file, one GET after the other."""
    return [one.headers.get("range") for one in up.requests("GET", path)]


def starts_in_the_middle(asked: str | None) -> bool:
    """Whether a range begins where the first answer was held back: not before, and not behind."""
    return asked is not None and asked.endswith("-") and 0 < int(asked[len("bytes=") : -1]) <= HALF


@pytest.mark.parametrize("kind", {**KINDS, **LISTED})
def test_killed_leader(nora_server: StartServer, up: UpstreamProcess, kind: str) -> None:
    """One more upstream request, by Range. The clients of the other workers finish; those of the killed one
    are cut, and get the file when they try again."""
    thing = {**KINDS, **LISTED}[kind]("leader", SIZE)
    thing.publish(up)
    up.once(thing.source, thing.answer(hold=HALF, gate="never"))
    server = nora_server(workers=4, env=asking(up.url))
    wire = Wire(server.host, server.port)

    async def run() -> None:
        await awake(server, wire)
        await thing.announce(wire)
        clients = [Download(wire, thing) for _ in range(CLIENTS)]
        tasks = [asyncio.ensure_future(one.run()) for one in clients]
        await reach(clients, HALF - WITHHELD)
        victim = leader(server)
        lost = clients_of(server, victim)
        assert lost < {one.port for one in clients}, "clients of other workers are there"
        kill(victim)
        await asyncio.gather(*tasks)
        assert all(one.is_right for one in clients)
        assert {one.port for one in clients if one.is_cut} == lost
        assert all(one.is_whole for one in clients if one.port not in lost)
        first, second = ranges(up, thing.source)
        assert first is None
        assert starts_in_the_middle(second), second
        for _ in lost or (0,):
            await eventually(wire, thing)
        assert up.count("GET", thing.source) == 2
        await clean(server)

    asyncio.run(run())


@pytest.mark.parametrize("ranges_too", [True, False], ids=["ranges", "no-ranges"])
@pytest.mark.parametrize("kind", KINDS)
def test_killed_worker_that_was_the_only_one(
    nora_server: StartServer, up: UpstreamProcess, kind: str, ranges_too: bool
) -> None:
    """Everybody is cut; whoever comes next goes on with what is there, where the upstream lets it."""
    thing = KINDS[kind]("only", SIZE)
    thing.publish(up)
    up.serve(thing.source, thing.answer(ranges=ranges_too))
    up.once(thing.source, thing.answer(hold=HALF, gate="never"))
    server = nora_server(workers=1, env=asking(up.url))
    wire = Wire(server.host, server.port)

    async def run() -> None:
        await awake(server, wire)
        await thing.announce(wire)
        clients = [Download(wire, thing) for _ in range(4)]
        tasks = [asyncio.ensure_future(one.run()) for one in clients]
        await reach(clients, HALF - WITHHELD)
        kill(leader(server))
        await asyncio.gather(*tasks)
        assert all(one.is_cut and one.is_right for one in clients)
        await asyncio.to_thread(server.wait_ready)
        again = await asyncio.gather(*(Download(wire, thing).run() for _ in range(4)))
        assert all(one.is_honest for one in again), [str(one) for one in again]
        await eventually(wire, thing)
        first, second = ranges(up, thing.source)
        assert first is None
        assert starts_in_the_middle(second), second
        await clean(server)

    asyncio.run(run())


def test_leaders_that_die_one_after_the_other(nora_server: StartServer, up: UpstreamProcess) -> None:
    """Each goes on where the one before it ended: no byte comes twice, and the last client has all."""
    thing = KINDS["wheel"]("heirs", SIZE)
    thing.publish(up)
    step = SIZE // 4
    up.once(thing.source, *(thing.answer(hold=step, gate="never") for _ in range(3)))
    server = nora_server(workers=4, env=asking(up.url))
    wire = Wire(server.host, server.port)

    async def crowd(received: int) -> list[asyncio.Task[Download]]:
        """Clients at every worker that is there, which keep the download alive whoever dies."""
        clients = [Download(wire, thing) for _ in range(16)]
        tasks = [asyncio.ensure_future(one.run()) for one in clients]
        await until(
            lambda: all(one.received >= received or one.is_cut for one in clients),
            f"{received} bytes for each client",
            seen=lambda: [str(one) for one in clients],
        )
        return tasks

    async def run() -> None:
        await awake(server, wire)
        await thing.announce(wire)
        tasks: list[asyncio.Task[Download]] = []
        for turn in range(1, 4):
            tasks += await crowd(turn * step - WITHHELD)
            kill(leader(server))
            await asyncio.to_thread(server.wait_ready)
        found = await asyncio.gather(*tasks)
        assert all(one.is_right and one.is_honest for one in found)
        await eventually(wire, thing)
        asked = ranges(up, thing.source)
        assert asked[0] is None
        assert None not in asked[1:], asked
        assert len(asked) <= 4, asked
        sent = sum(one.sent for one in up.requests("GET", thing.source))
        assert sent < SIZE + 3 * MIB, "what was there is not fetched again"
        await clean(server)

    asyncio.run(run())


@pytest.mark.parametrize("kind", LISTED)
def test_leader_of_a_document_is_killed(nora_server: StartServer, up: UpstreamProcess, kind: str) -> None:
    """Whoever waits for it in another worker asks by itself."""
    thing = LISTED[kind]("page", 1000)
    thing.publish(up)
    page = [*thing.named][-1]
    up.once(page, thing.named[page](up.url).but(gate="never"))
    server = nora_server(workers=4, env=asking(up.url))
    wire = Wire(server.host, server.port)

    async def run() -> None:
        await awake(server, wire)
        waiting = [asyncio.ensure_future(thing.ask_page(wire)) for _ in range(24)]
        await asyncio.to_thread(up.wait, "GET", page)
        await asyncio.sleep(0.5)  # the others wait by now
        (victim,) = asking_workers(server, up.port)
        kill(victim)
        found = await asyncio.gather(*waiting, return_exceptions=True)
        answered = [one for one in found if not isinstance(one, Dropped)]
        assert answered, "clients of other workers are there"
        assert {getattr(one, "status", one) for one in answered} == {200}
        assert up.count("GET", page) == 2

    asyncio.run(run())


@pytest.mark.parametrize("way", ["kill", "stop"])
@pytest.mark.parametrize("kind", KINDS)
def test_restarted_server(nora_server: StartServer, up: UpstreamProcess, kind: str, way: str) -> None:
    """Clients are cut, nothing stays in the folder of downloads, and the next client gets the right bytes."""
    thing = KINDS[kind]("restart", SIZE)
    thing.publish(up)
    up.once(thing.source, thing.answer(hold=HALF, gate="never"))
    server = nora_server(workers=2, env=asking(up.url, NORA_GRACEFUL_TIMEOUT="2"))
    wire = Wire(server.host, server.port)

    async def run() -> None:
        await awake(server, wire)
        await thing.announce(wire)
        clients = [Download(wire, thing) for _ in range(4)]
        tasks = [asyncio.ensure_future(one.run()) for one in clients]
        await reach(clients, HALF - WITHHELD)
        assert parts(server)
        await asyncio.to_thread(server.kill if way == "kill" else server.stop)
        await asyncio.gather(*tasks)
        assert all(one.is_cut and one.is_right for one in clients)
        await asyncio.to_thread(server.start)
        assert list(downloads(server).iterdir()) == []
        await download(wire, thing)
        assert up.count("GET", thing.source) == 2
        await clean(server)

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.full
def test_what_nobody_asks_for_again_is_swept(nora_server: StartServer, up: UpstreamProcess) -> None:
    """The part file of a worker that died goes when it is an hour old, without a restart of the server."""
    thing = KINDS["blob"]("swept", SIZE)
    thing.publish(up)
    up.once(thing.source, thing.answer(hold=HALF, gate="never"))
    server = nora_server(workers=1, env=asking(up.url))
    wire = Wire(server.host, server.port)

    async def run() -> None:
        await awake(server, wire)
        await thing.announce(wire)
        client = Download(wire, thing)
        task = asyncio.ensure_future(client.run())
        await reach([client], HALF - WITHHELD)
        kill(leader(server))
        await task
        await asyncio.to_thread(server.wait_ready)
        for left in downloads(server).iterdir():
            os.utime(left, (time.time() - 3700, time.time() - 3700))
        await until(
            lambda: not list(downloads(server).iterdir()),
            "the folder of downloads to be swept",
            seen=lambda: list(downloads(server).iterdir()),
            seconds=180,
        )
        await download(wire, thing)

    asyncio.run(run())
