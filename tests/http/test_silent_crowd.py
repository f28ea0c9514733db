"""Thousands of connections on which nothing happens, and a client that wants something."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import COMMAND, Server
from tests.support.waiting import until
from tests.test_server import certificate, unverified

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems tell less of a connection")

AT_ONCE = 200
ATTEMPT_SECONDS = 10
ASK = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Room for the sockets on the side of the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def health(server: Server, context: ssl.SSLContext | None) -> bytes:
    """The first line of the answer to a client that tries again, as all do, when nothing comes of it."""

    async def answered() -> bytes:
        with contextlib.suppress(OSError):  # a TimeoutError is one
            async with asyncio.timeout(ATTEMPT_SECONDS):
                reader, writer = await asyncio.open_connection(server.host, server.port, ssl=context)
                writer.write(ASK)
                line = await reader.readline()
                writer.close()
                return line
        return b""

    return await until(answered, "an answer of /health")


async def ask_among_silent(server: Server, count: int, context: ssl.SSLContext | None) -> bytes:
    """Open `count` connections that say nothing, and ask beside them for the health of the server."""
    writers: list[asyncio.StreamWriter] = []
    gate = asyncio.Semaphore(AT_ONCE)

    async def keep_silent() -> None:
        async with gate:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(server.host, server.port)
                writers.append(writer)

    opening = asyncio.gather(*(keep_silent() for _ in range(count)))
    before = -1
    while len(writers) > before:  # the last ones wait where the queue is full
        before = len(writers)
        await asyncio.sleep(0.2)
    try:
        return await health(server, context)
    finally:
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()


@pytest.mark.slow
@pytest.mark.parametrize("secure", [False, True])
def test_health_answers_while_silent_connections_take_all_places(tmp_path: Path, secure: bool) -> None:
    """A server of 64 places, and ten times as many who say nothing."""
    limited = ("sh", "-c", 'ulimit -n 256 && exec "$@"', "sh", *COMMAND)
    env = certificate(tmp_path) if secure else {}
    crowd(Server(tmp_path / "data", tmp_path / "log", env=env, command=limited), 640)


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize("secure", [False, True])
def test_health_answers_while_ten_thousand_are_silent(tmp_path: Path, secure: bool) -> None:
    env = certificate(tmp_path) if secure else {}
    crowd(Server(tmp_path / "data", tmp_path / "log", env=env), 10_000)


def crowd(server: Server, count: int) -> None:
    context = unverified() if server.scheme == "https" else None
    try:
        server.start()
        assert asyncio.run(ask_among_silent(server, count, context)).startswith(b"HTTP/1.1 200")
    finally:
        server.kill()
