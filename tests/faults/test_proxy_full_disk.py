"""A disk that is full, or becomes so, while files come in: 507 or a cut, and nothing stays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.faults.downloads import Download, download, eventually, reach
from tests.faults.in_flight import clean
from tests.faults.test_full_disk import SIZE, filled, ready, room
from tests.faults.things import KINDS, MIB, Thing, asking, wheel
from tests.faults.wire import Wire
from tests.support.server import Server
from tests.support.upstream_process import UpstreamProcess, upstream_process

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or os.geteuid() != 0,
        reason="mounting a tmpfs needs root on Linux",
    ),
]


@pytest.fixture(scope="module")
def up() -> Iterator[UpstreamProcess]:
    with upstream_process() as found:
        yield found


@pytest.fixture(scope="module", params=[1, 4], ids=["1-worker", "4-workers"])
def server(
    tmp_path_factory: pytest.TempPathFactory, up: UpstreamProcess, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """A server whose data is on a tmpfs of 64 MiB; each test leaves room behind."""
    folder = tmp_path_factory.mktemp("full")
    point = folder / "data" / "storage"
    point.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(point)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    found = Server(folder / "data", folder / "nora.log", workers=request.param, env=asking(up.url))
    try:
        found.start()
        yield found
    finally:
        found.kill()
        subprocess.run(["umount", "--lazy", str(point)], check=False)


@pytest.fixture
def wire(server: Server) -> Wire:
    return Wire(server.host, server.port)


async def crowd(wire: Wire, thing: Thing) -> list[Download]:
    return await asyncio.gather(*(Download(wire, thing).run() for _ in range(8)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_larger_than_the_disk(
    server: Server, up: UpstreamProcess, wire: Wire, kind: str
) -> None:
    """507 before the first byte, for everybody who waits; what is small is still taken in."""
    thing, small = KINDS[kind]("large", SIZE + MIB), KINDS[kind]("small", 100_000)
    for one in (thing, small):
        one.publish(up)

    async def run() -> None:
        await thing.announce(wire)
        free = room(server)
        for found in await crowd(wire, thing):
            assert found.status == 507, found
            if kind == "blob":
                assert b'"UNAVAILABLE"' in found.error
        await clean(server)
        assert room(server) > free - MIB
        await small.announce(wire)
        await download(wire, small)

    asyncio.run(run())


@pytest.mark.parametrize("says_size", [True, False], ids=["size", "no-size"])
def test_a_disk_that_fills_up_while_a_file_comes(
    server: Server, up: UpstreamProcess, wire: Wire, says_size: bool
) -> None:
    """Whoever reads is cut, nothing stays, and when there is room again the file is brought in."""
    thing = wheel(f"filling-{says_size}".lower(), 12 * MIB, says_size=says_size)
    thing.publish(up)
    framing, gate = "length" if says_size else "chunked", f"full-{server.port}-{says_size}"
    up.serve(thing.source, thing.answer(framing=framing, hold=4 * MIB, gate=gate))

    async def run() -> None:
        await thing.announce(wire)
        clients = [Download(wire, thing) for _ in range(8)]
        tasks = [asyncio.ensure_future(one.run()) for one in clients]
        await reach(clients, 4 * MIB - 64 * 1024)
        with filled(server, leave=20 * MIB):  # of which 16 MiB are kept
            up.open(gate)
            await asyncio.gather(*tasks)
            for found in clients:
                assert found.is_cut, found
                assert found.is_right
            await clean(server)
            for found in await crowd(wire, thing):
                assert found.status == 507 or found.is_cut, found
            await clean(server)
        await ready(wire, 200)
        await eventually(wire, thing)
        await clean(server)

    asyncio.run(run())


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_without_any_room(server: Server, up: UpstreamProcess, wire: Wire, kind: str) -> None:
    """What is cached goes on; what is not is refused, never absent; and then there is room again."""
    before, after = (KINDS[kind](name, 200_000) for name in ("before", "after"))
    for one in (before, after):
        one.publish(up)

    async def run() -> None:
        await before.announce(wire)
        await after.announce(wire)
        await download(wire, before)
        await clean(server)
        unknown = KINDS[kind]("unknown", 1000)
        unknown.publish(up)
        with contextlib.ExitStack() as full:
            full.enter_context(filled(server))
            await download(wire, before)
            await before.announce(wire)
            for found in await crowd(wire, after):
                assert found.status == 507, found
            page = await unknown.ask_page(wire)
            assert page.status == 507, page
            assert (await wire.call("GET", f"{after.page}-absent")).status in (404, 507)
        await ready(wire, 200)
        await eventually(wire, after)
        await unknown.announce(wire)
        await download(wire, unknown)
        await clean(server)

    asyncio.run(run())
