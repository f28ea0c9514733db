"""Those who ask something small while a server has something large to do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.support.server import Server


@contextmanager
def others(server: Server) -> Iterator[list[int]]:
    """Somebody who asks for `/health` again and again meanwhile; how often it was answered."""
    answered, over = [0], threading.Event()
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http:
                while not over.is_set():
                    assert http.get("/health").status_code == 200
                    answered[0] += 1
        except BaseException as error:  # noqa: BLE001 - it is raised where it is seen
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answered
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]
