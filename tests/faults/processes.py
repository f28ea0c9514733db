"""What the kernel knows of the processes of a server."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.server import Server
from tests.support.waiting import wait_until


def alive(pid: int) -> bool:
    """Whether any thread of a process runs. The first one may be a zombie while others still hold files."""
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            state = stat.read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            return True
    return False


def workers(server: Server) -> list[int]:
    """The processes that serve: the helpers of multiprocessing do not."""
    found = []
    for pid in server.children():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if alive(pid) and b"resource_tracker" not in command and b"forkserver" not in command:
            found.append(pid)
    return found


def open_files(pid: int) -> dict[str, str]:
    """The open descriptors of a process and what each is."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[entry.name] = os.readlink(entry)
        except OSError:
            continue
    return found


def group(server: Server) -> list[int]:
    """All processes of a server."""
    return [server.pid, *server.children()]


def gone(pids: list[int]) -> None:
    """Wait until processes have ended. Raises AssertionError where one does not."""
    wait_until(
        lambda: not any(map(alive, pids)),
        "processes to end",
        seen=lambda: [pid for pid in pids if alive(pid)],
    )
