"""What the kernel knows of files that a server fetches from upstreams: who does, for whom, what is left."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from tests.faults.processes import open_files, workers
from tests.faults.wire import Wire
from tests.support.server import Server
from tests.support.waiting import until

MOST_CONNECTIONS = 100
"""At once, to a server that is asked whether all of it is awake."""


def downloads(server: Server) -> Path:
    """Where files are while they come in."""
    return server.storage / "downloads"


def parts(server: Server) -> list[Path]:
    """What came in so far of files that are not complete."""
    return [path for path in downloads(server).iterdir() if path.suffix]


def leader(server: Server) -> int:
    """The worker that brings a file in: it has a part file open for writing."""
    folder = str(downloads(server).resolve())
    for pid in workers(server):
        for number, target in open_files(pid).items():
            if target.startswith(folder) and Path(target).suffix and _writes(pid, number):
                return pid
    raise AssertionError("nobody brings a file in")


def _writes(pid: int, number: str) -> bool:
    try:
        lines = Path(f"/proc/{pid}/fdinfo/{number}").read_text().splitlines()
    except OSError:
        return False
    flags = next(int(line.split()[1], 8) for line in lines if line.startswith("flags:"))
    return flags & os.O_ACCMODE != os.O_RDONLY


def clients_of(server: Server, pid: int) -> set[int]:
    """The ports of the clients whose connections one worker has."""
    return {remote for local, remote in _connections(pid) if local == server.port and remote}


def asking_workers(server: Server, port: int) -> list[int]:
    """The workers that have a connection to an upstream."""
    return [pid for pid in workers(server) if any(remote == port for _, remote in _connections(pid))]


def _connections(pid: int) -> Iterator[tuple[int, int]]:
    """The local and the remote port of each connection of a process."""
    sockets = {target for target in open_files(pid).values() if target.startswith("socket:")}
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, *rest = line.split()
        if f"socket:[{rest[6]}]" in sockets:
            yield _port(local), _port(remote)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def left(server: Server) -> list[str]:
    """Temporary files, and descriptors of files that are temporary or gone."""
    folders = [(server.storage / name).resolve() for name in ("downloads", "tmp")]
    found = [str(path) for folder in folders for path in folder.iterdir()]
    for pid in workers(server):
        for target in open_files(pid).values():
            if target.startswith(tuple(map(str, folders))):
                found.append(f"{pid}: {target}")
    return found


async def clean(server: Server) -> None:
    """Wait until nothing temporary is left. Raises AssertionError where something stays."""
    await until(lambda: not left(server), "nothing to be left", seen=lambda: left(server))


async def awake(server: Server, wire: Wire) -> None:
    """Wait until every worker takes connections: a server is ready as soon as the first one does."""
    writers: deque[asyncio.StreamWriter] = deque()

    def serving() -> list[int]:
        return [pid for pid in workers(server) if clients_of(server, pid)]

    async def asked() -> bool:
        if len(writers) == MOST_CONNECTIONS:
            writers.popleft().transport.abort()
        writers.append((await wire.connect())[1])
        return len(serving()) >= server.workers

    try:
        await until(asked, f"each of {server.workers} workers to take a connection", seen=serving)
    finally:
        for writer in writers:
            writer.transport.abort()
