"""Many clients, one cold file: one upstream request for the machine, whoever stays and whoever leaves."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.faults.downloads import Download, download, reach
from tests.faults.in_flight import awake, clean
from tests.faults.processes import open_files, workers
from tests.faults.runs import Record
from tests.faults.things import KINDS, MIB, Thing, asking, jar, wheel
from tests.faults.wire import Wire
from tests.support.memory import peak
from tests.support.upstream_process import UpstreamProcess, upstream_process
from tests.support.waiting import until

pytestmark = pytest.mark.slow

CLIENTS = 64
ROUNDS = 12
"""So many files would leave as many descriptors; what is opened at first use is fewer."""
FIRST_BYTE_SECONDS = 0.5
GROWTH = 64 * MIB
SIZES = [
    pytest.param(8 * MIB, id="8MiB"),
    pytest.param(200 * MIB, id="200MiB", marks=pytest.mark.full),
]


@pytest.fixture
def up() -> Iterator[UpstreamProcess]:
    with upstream_process() as found:
        yield found


def counted(up: UpstreamProcess) -> dict[str, int]:
    """How often each thing was asked for."""
    found: dict[str, int] = {}
    for one in up.requests():
        key = f"{one.method} {one.path}"
        found[key] = found.get(key, 0) + 1
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_one_upstream_request_for_a_crowd(
    nora_server: StartServer,
    up: UpstreamProcess,
    kind: str,
    count: int,
    size: int,
    record_property: Record,
) -> None:
    thing = KINDS[kind]("crowd", size)
    thing.publish(up, delay=FIRST_BYTE_SECONDS)
    server = nora_server(workers=count, env=asking(up.url))
    wire = Wire(server.host, server.port)

    async def client() -> Download:
        await thing.announce(wire)
        return await Download(wire, thing).run()

    async def run() -> None:
        await awake(server, wire)
        clients = await asyncio.gather(*(client() for _ in range(CLIENTS)))
        assert [str(one) for one in clients if not one.is_whole] == []
        asked = counted(up)
        assert set(asked.values()) == {1}, asked
        assert asked[f"GET {thing.source}"] == 1
        assert (await download(wire, thing)).is_whole
        assert counted(up) == asked, "what is stored is not asked for"
        await clean(server)
        waits = sorted(one.waited for one in clients)
        record_property(
            "run",
            f"{CLIENTS} clients of {count} workers, {size >> 20} MiB behind {FIRST_BYTE_SECONDS} s: "
            f"first byte after {statistics.median(waits):.2f} s (median), {waits[-1]:.2f} s (last)",
        )

    asyncio.run(run())


def test_a_crowd_takes_no_memory(
    nora_server: StartServer, up: UpstreamProcess, record_property: Record
) -> None:
    """Fifty clients read along while a jar of 50 MB comes in: once, and not into memory."""
    warm, thing = jar("warm", MIB), jar("crowded", 50_000_000)
    warm.publish(up)
    thing.publish(up, delay=FIRST_BYTE_SECONDS)
    server = nora_server(env=asking(up.url))
    wire = Wire(server.host, server.port)

    async def run() -> None:
        await awake(server, wire)
        assert (await download(wire, warm)).is_whole
        with peak(server) as growth:
            clients = await asyncio.gather(*(Download(wire, thing).run() for _ in range(50)))
        assert [str(one) for one in clients if not one.is_whole] == []
        assert up.count("GET", thing.source) == 1
        record_property("run", f"50 clients of a jar of 50 MB: grows by {growth[0] / MIB:.1f} MiB")
        assert growth[0] < GROWTH, growth

    asyncio.run(run())


@pytest.mark.parametrize("count", [1, 4])
def test_everybody_who_reads_along_gets_it_as_it_comes(
    nora_server: StartServer, up: UpstreamProcess, count: int
) -> None:
    """Nobody waits for the whole file: all have the first half while the upstream holds the second back."""
    thing = wheel("along", 4 * MIB)
    thing.publish(up)
    up.once(thing.source, thing.answer(hold=2 * MIB, gate="half"))
    server = nora_server(workers=count, env=asking(up.url))
    wire = Wire(server.host, server.port)

    async def run() -> None:
        await awake(server, wire)
        clients = [Download(wire, thing) for _ in range(16)]
        tasks = [asyncio.ensure_future(one.run()) for one in clients]
        await reach(clients, 2 * MIB - 64 * 1024)
        late = Download(wire, thing)
        tasks.append(asyncio.ensure_future(late.run()))
        await reach([late], 2 * MIB - 64 * 1024)
        assert all(one.headers["content-length"] == str(thing.size) for one in clients)
        up.open("half")
        assert all(one.is_whole for one in await asyncio.gather(*tasks))
        assert up.count("GET", thing.source) == 1

    asyncio.run(run())


async def leave(wire: Wire, up: UpstreamProcess, thing: Thing) -> None:
    """Clients that come, get something, and leave all at once; then the upstream goes on."""
    up.once(thing.source, thing.answer(hold=thing.size // 2, gate=thing.source))
    thing.publish(up)
    await thing.announce(wire)
    clients = [Download(wire, thing) for _ in range(12)]
    await asyncio.gather(*(one.run(until=thing.size // 4) for one in clients))
    up.open(thing.source)


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fill_completes_when_all_clients_have_left(
    nora_server: StartServer, up: UpstreamProcess, kind: str, count: int
) -> None:
    """It is served from the cache afterwards; no file, no descriptor and no connection is left."""
    server = nora_server(workers=count, env=asking(up.url))
    wire = Wire(server.host, server.port)

    async def once(name: str) -> None:
        thing = KINDS[kind](name, 2 * MIB)
        await leave(wire, up, thing)
        await clean(server)
        up.fail(thing.answer(status=500))
        try:
            await download(wire, thing)
        finally:
            up.fail(None)
        assert up.count("GET", thing.source) == 1

    async def run() -> None:
        await awake(server, wire)
        for number in range(2 * count):
            await once(f"warm{number}")
        before = {pid: len(open_files(pid)) for pid in workers(server)}
        threads = {pid: _threads(pid) for pid in before}
        for number in range(ROUNDS):
            await once(f"left{number}")
        most = sum(before.values()) + ROUNDS
        await until(
            lambda: sum(len(open_files(pid)) for pid in before) < most,
            f"fewer than {most} descriptors",
            seen=lambda: {pid: open_files(pid) for pid in before},
        )
        assert all(_threads(pid) <= known + 8 for pid, known in threads.items())

    asyncio.run(run())


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
