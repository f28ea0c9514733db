"""How much memory a server takes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.server import Server


def resident(server: Server) -> int:
    """Bytes of all processes of a server in memory, each page once."""
    total = 0
    for pid in (server.pid, *server.children()):
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:  # it has just ended
            continue
        total += int(text.partition("Pss:")[2].split()[0]) << 10
    return total


@contextmanager
def peak(server: Server) -> Iterator[list[int]]:
    """The growth of a server meanwhile: one number, when it is over."""
    before, found, over = resident(server), [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            found[0] = max(found[0], resident(server) - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
