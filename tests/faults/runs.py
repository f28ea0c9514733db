"""A run of faults: push, break the server, start it, check everything that was acknowledged; and again."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.ledger import Audit, partial_files
from tests.faults.pushes import Pushes
from tests.faults.wire import Wire
from tests.support.server import Server

# Each kill leaves the sessions that were open; their number is not what these runs are about.
MANY_SESSIONS = {"NORA_MAX_UPLOAD_SESSIONS": "100000"}
RECLAIM_SECONDS = 30.0
"""Nothing of what killed uploads have left goes for so long: it stays. There may be thousands of them."""


Record = Callable[[str, object], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How hard a kill run is."""

    kills: int
    clients: int
    acknowledged: int
    in_flight: int
    seed: int = field(default_factory=lambda: int(os.environ.get("TEST_SEED", time.time_ns() % 10**9)))


SLOW = Size(kills=8, clients=100, acknowledged=40, in_flight=10)
FULL = Size(kills=60, clients=200, acknowledged=50, in_flight=10)
SIZES = [
    pytest.param(SLOW, id="slow", marks=pytest.mark.slow),
    pytest.param(FULL, id="full", marks=[pytest.mark.slow, pytest.mark.full]),
]


async def kill_run(
    server: Server,
    size: Size,
    kill: Callable[[random.Random, Pushes], Awaitable[bool]],
    record: Record,
) -> None:
    """Push, kill, check, and again. `kill` says whether the server has to be started again; `record` is
    pytest's record_property, by which the seed comes into the summary."""
    wire = Wire(server.host, server.port)
    dice = random.Random(size.seed)
    pushes = Pushes(wire, size.seed, size.clients)
    verified: set[Path] = set()
    flying: list[int] = []
    record("run", f"TEST_SEED={size.seed}, {size.kills} kills")
    pushes.start()
    try:
        for number in range(size.kills):
            await pushes.acknowledged(size.acknowledged + dice.randrange(20), size.in_flight)
            await asyncio.sleep(dice.random() * 0.05)
            await pushes.acknowledged(0, size.in_flight)
            flying.append(pushes.in_flight)
            if await kill(dice, pushes):
                await pushes.quiet()
                await asyncio.to_thread(server.start)
                await check(wire, pushes)
                assert partial_files(server.storage / "blobs", verified) == []
            print(f"kill {number}: {pushes.ledger.count} acknowledged so far, {flying[-1]} in flight")
            pushes.resume()
    finally:
        await pushes.stop()
    await asyncio.to_thread(server.wait_ready)
    await check(wire, pushes)
    assert partial_files(server.storage / "blobs", verified) == []
    record("run", f"{pushes.ledger.count} acknowledged, at least {min(flying)} in flight at each kill")


async def check(wire: Wire, pushes: Pushes) -> None:
    assert pushes.problems == []
    assert await Audit(wire, pushes.ledger).run() == []


async def reclaimed(server: Server) -> None:
    """A start empties tmp/; with a short life for uploads, what the killed ones left goes as well."""
    server.stop()
    server.env = {**server.env, "NORA_DOCKER_UPLOAD_TTL": "1"}
    server.start()
    assert list((server.storage / "tmp").iterdir()) == []
    before = left = list((server.storage / "uploads").iterdir())
    patience = time.monotonic() + RECLAIM_SECONDS
    while left:
        assert time.monotonic() < patience, f"not reclaimed: {len(left)} uploads, {left[:5]}"
        await asyncio.sleep(0.1)
        left = list((server.storage / "uploads").iterdir())
        if len(left) < len(before):
            before, patience = left, time.monotonic() + RECLAIM_SECONDS
