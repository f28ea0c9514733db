"""Several processes on one catalog: they take turns, and a killed one loses nothing that it acknowledged."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from nora.catalog.events import EventFilter
from nora.catalog.sqlite import SQLiteCatalog
from tests.catalog.sqlite import pusher
from tests.contracts.catalog import HOSTED, sha256

pytestmark = pytest.mark.slow

ROOT = Path(pusher.__file__).parents[3]


@contextmanager
def pushing(path: Path, name: str, awaiters: int, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """A pusher that is ready to start when it gets a line."""
    command = [sys.executable, "-m", pusher.__name__, str(path), name, str(awaiters), str(seconds)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def prepared(folder: Path) -> Path:
    path = folder / "catalog.sqlite3"
    SQLiteCatalog.prepare(path)

    async def declare() -> None:
        catalog = SQLiteCatalog.open(path)
        await catalog.sync_repositories([HOSTED])
        await catalog.close()

    asyncio.run(declare())
    return path


async def missing(path: Path, acknowledged: list[str]) -> list[str]:
    """What was acknowledged and has no blob, or no event."""
    catalog = SQLiteCatalog.open(path)
    hosted = (await catalog.sync_repositories([HOSTED]))["hosted"].id
    told = {event.version for event in await catalog.list_events(EventFilter(after=0), 100_000)}
    gone = [
        content
        for content in acknowledged
        if await catalog.find_linked_blob(hosted, content.split("-")[0], sha256(content)) is None
        or sha256(content) not in told
    ]
    await catalog.check()  # and it can be written again
    await catalog.close()
    return gone


def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    path = prepared(tmp_path)
    acknowledged: list[str] = []
    for number, after in enumerate([1, 37, 150]):
        with pushing(path, f"run{number}", 32, 30) as process:
            start(process)
            assert process.stdout is not None
            acknowledged += [line.strip() for line in itertools.islice(process.stdout, after)]
            process.kill()
            acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
        SQLiteCatalog.prepare(path)
    assert len(acknowledged) >= 188
    assert not [line for line in acknowledged if line.startswith("error")]
    assert asyncio.run(missing(path, acknowledged)) == []


async def writers(path: Path) -> list[str]:
    """Who made which change, from the first to the last."""
    catalog = SQLiteCatalog.open(path)
    events = await catalog.list_events(EventFilter(after=0), 1_000_000)
    await catalog.close()
    return [event.package for event in events]


def shares(path: Path, least: int) -> list[int]:
    """How many changes each of four processes got through, each with one awaiter, while all were at it.

    They go on until each of them has made `least`.
    """
    with ExitStack() as stack:
        processes = [stack.enter_context(pushing(path, f"p{n}", 1, 600)) for n in range(4)]
        for process in processes:
            start(process)
        lines: list[str] = []
        for process in processes:
            assert process.stdout is not None
            lines += [line.strip() for line in itertools.islice(process.stdout, least)]
    assert not [line for line in lines if line.startswith("error")]
    assert len(lines) == 4 * least
    assert asyncio.run(missing(path, lines)) == []
    order = asyncio.run(writers(path))
    began = max(order.index(f"p{n}") for n in range(4))
    return [order[began:].count(f"p{n}") for n in range(4)]


def test_processes_take_turns(tmp_path: Path) -> None:
    """Without turns one of them has nearly all; a busy machine may keep one away for a moment."""
    counts = shares(prepared(tmp_path), 50)
    assert max(counts) <= 10 * min(counts), counts


@pytest.mark.full
def test_processes_share_alike(tmp_path: Path) -> None:
    """A measure of who gets the processor as well: for a machine that does nothing else."""
    counts = shares(prepared(tmp_path), 1000)
    print(f"changes of four processes: {counts}")
    assert max(counts) <= 2 * min(counts), counts  # none starves
