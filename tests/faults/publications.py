"""Publications of any format while the server is killed again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import httpx

from tests.support.server import Server
from tests.support.waiting import PATIENCE_SECONDS, wait_until

BETWEEN_KILLS = 25
Publish = Callable[[httpx.Client, int, int], bool]
"""The n-th publication of a writer, both from 0; whether it was acknowledged."""


def client(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=600, trust_env=False)


def publish_under_kills(
    server: Server, publish: Publish, *, writers: int, kills: int
) -> set[tuple[int, int]]:
    """All writers publish at once, until the last kill; what was acknowledged, by writer and number."""
    acknowledged: set[tuple[int, int]] = set()
    over = threading.Event()

    def write(writer: int) -> None:
        with client(server) as http:
            for number in count():
                try:
                    if publish(http, writer, number):
                        acknowledged.add((writer, number))
                except httpx.HTTPError:
                    time.sleep(0.05)
                if over.is_set():
                    return

    with ThreadPoolExecutor(writers) as pool:
        jobs = [pool.submit(write, writer) for writer in range(writers)]
        try:
            for kill in range(kills):
                wanted = len(acknowledged) + BETWEEN_KILLS + kill
                wait_until(
                    lambda: len(acknowledged) >= wanted,  # noqa: B023
                    f"{wanted} publications to be acknowledged",
                    seen=lambda: len(acknowledged),
                )
                server.kill()
                server.start()
        finally:
            over.set()
        for job in jobs:
            job.result(timeout=PATIENCE_SECONDS)
    return acknowledged
