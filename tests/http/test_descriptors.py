"""A server that has few file descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.http.toy import install
from tests.support.server import COMMAND, Server
from tests.test_server import certificate, unverified

STREAMS = 100


@pytest.mark.slow
def test_a_server_without_descriptors_answers_503_and_recovers(tmp_path: Path) -> None:
    """Never the 404 of a file that could not be opened: many streams of few connections, a file for each."""
    env = install(tmp_path) | certificate(tmp_path)
    limited = ("sh", "-c", 'ulimit -n 256 && exec "$@"', "sh", *COMMAND)
    server = Server(tmp_path / "data", tmp_path / "log", env=env, command=limited)
    try:
        server.start()
        statuses = asyncio.run(ask_slowly(server, clients=4))
        assert statuses.keys() == {200, 503}
        assert statuses[200] > 50
        assert server.status("/health") == 200
    finally:
        server.kill()


async def ask_slowly(server: Server, clients: int) -> Counter[int]:
    """Ask for a large file many times at once, and read none of it; the statuses."""
    async with contextlib.AsyncExitStack() as stack:
        pool = [
            await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=server.url, http2=True, verify=unverified(), trust_env=False, timeout=60
                )
            )
            for _ in range(clients)
        ]
        path = (await pool[0].put("/toy/blob", content=os.urandom(8 << 20))).headers["location"]
        answers = await asyncio.gather(
            *(one.send(one.build_request("GET", path), stream=True) for one in pool for _ in range(STREAMS))
        )
        assert all(one.headers["retry-after"] == "1" for one in answers if one.status_code == 503)
        return Counter(one.status_code for one in answers)
