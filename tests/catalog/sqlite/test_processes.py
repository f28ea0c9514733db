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

from nora.catalog.sqlite import SQLiteCatalog
from tests.catalog.sqlite import pusher
from tests.contracts.catalog import HOSTED, sha256

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
    catalog = SQLiteCatalog.open(path)
    hosted = (await catalog.sync_repositories([HOSTED]))["hosted"].id
    gone = [
        content
        for content in acknowledged
        if await catalog.find_linked_blob(hosted, content.split("-")[0], sha256(content)) is None
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


def shares(path: Path, seconds: float) -> list[int]:
    """How many changes each of four processes got through, each with one awaiter."""
    with ExitStack() as stack:
        processes = [stack.enter_context(pushing(path, f"p{n}", 1, seconds)) for n in range(4)]
        for process in processes:
            start(process)
        lines = [process.communicate(timeout=seconds + 30)[0].splitlines() for process in processes]
        assert {process.returncode for process in processes} == {0}
    assert not [line for of_one in lines for line in of_one if line.startswith("error")]
    assert asyncio.run(missing(path, [line for of_one in lines for line in of_one])) == []
    return [len(of_one) for of_one in lines]


@pytest.mark.slow
def test_processes_take_turns(tmp_path: Path) -> None:
    counts = shares(prepared(tmp_path), 1)
    assert max(counts) <= 2 * min(counts), counts


@pytest.mark.full
def test_processes_share_alike(tmp_path: Path) -> None:
    """A measure of who gets the processor as well: for a machine that does nothing else."""
    counts = shares(prepared(tmp_path), 5)
    print(f"changes of four processes in 5 s: {counts}")
    assert max(counts) <= 1.2 * min(counts), counts
