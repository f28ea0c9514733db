"""Raw HTTP/1.1 for tests of faults: one connection for each request, as docker does, and no hidden retry."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

SECONDS = 300
"""Of one request at most: a server that hangs fails the test instead of blocking it; one may be busy."""
PIECE = 256 * 1024


class Dropped(ConnectionError):
    """The server went away before its answer was complete."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """The code of an error in OCI's shape, or None where the body is something else."""
        try:
            return json.loads(self.body)["errors"][0]["code"]
        except (ValueError, KeyError, IndexError, TypeError):
            return None

    def __str__(self) -> str:
        return f"{self.status} {self.body[:300]!r}"


@dataclass(frozen=True, slots=True)
class Wire:
    """A server to speak to."""

    host: str
    port: int

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port, limit=1 << 20)

    def head(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        """The head of a request, for those who send the rest by themselves."""
        lines = [f"{method} {path} HTTP/1.1", f"host: {self.host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def call(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own. Raises Dropped, ConnectionError or TimeoutError."""
        fields = {"connection": "close", "content-length": str(len(body)), **(headers or {})}
        async with asyncio.timeout(SECONDS):
            reader, writer = await self.connect()
            try:
                sending = asyncio.ensure_future(_send(writer, self.head(method, path, fields), body))
                try:
                    return await read_answer(reader, method)
                finally:
                    sending.cancel()
                    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                        await sending
            finally:
                writer.transport.abort()


@dataclass(slots=True)
class Line:
    """A connection that is kept for many requests without a body: for those who only read."""

    wire: Wire
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """One request. Raises Dropped, ConnectionError or TimeoutError."""
        async with asyncio.timeout(SECONDS):
            if self._streams is None:
                self._streams = await self.wire.connect()
            reader, writer = self._streams
            writer.write(self.wire.head(method, path, headers or {}))
            answer = await read_answer(reader, method)
        if answer.headers.get("connection") == "close":
            self.close()
        return answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


async def _send(writer: asyncio.StreamWriter, head: bytes, body: bytes) -> None:
    """A server may answer before it has read all: the answer counts, not whether all could be sent."""
    with contextlib.suppress(ConnectionError):
        writer.write(head)
        for start in range(0, len(body), PIECE):
            writer.write(body[start : start + PIECE])
            await writer.drain()


async def read_answer(
    reader: asyncio.StreamReader, method: str = "GET", interim: list[int] | None = None
) -> Answer:
    """The next final answer on a connection; statuses before it go to `interim`. Raises Dropped."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(head[0].split(" ")[1])
            if status >= 200:
                break
            if interim is not None:
                interim.append(status)
        pairs = (line.split(":", 1) for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, value in pairs}
        return Answer(status, headers, await _read_body(reader, method, status, headers))
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise Dropped(str(error)) from error


async def _read_body(
    reader: asyncio.StreamReader, method: str, status: int, headers: Mapping[str, str]
) -> bytes:
    if method == "HEAD" or status in (204, 304):
        return b""
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    if headers.get("transfer-encoding") != "chunked":
        return await reader.read()
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body
