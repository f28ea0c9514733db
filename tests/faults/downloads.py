"""Clients that download one file and look at every byte of it as it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.faults.things import Thing
from tests.faults.wire import Wire
from tests.support.waiting import until

SECONDS = 300
"""Of one download at most."""
PIECE = 1 << 18


@dataclass(slots=True)
class Download:
    """One client on a connection of its own: it says how far it came, while it runs and afterwards."""

    wire: Wire
    thing: Thing
    fields: Mapping[str, str] = field(default_factory=dict)
    """Headers of the request."""
    port: int = 0
    """Its end of the connection."""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    received: int = 0
    """Bytes of the body."""
    is_right: bool = True
    """Whether all of them are those of the file."""
    is_cut: bool = False
    """Whether the connection ended before the answer."""
    waited: float = 0.0
    """Seconds to the first byte of the body."""
    error: bytes = b""
    """The body of what is not 200."""

    @property
    def is_whole(self) -> bool:
        """Whether the client has the file."""
        return self.status == 200 and not self.is_cut and self.is_right and self.received == self.thing.size

    @property
    def is_honest(self) -> bool:
        """Whether the client has the file or knows that it has not."""
        return self.is_whole or self.is_cut or self.status >= 400

    def __str__(self) -> str:
        size = self.thing.size
        return f"{self.status} {self.received}/{size} right={self.is_right} cut={self.is_cut} {self.error!r}"

    async def run(self, until: int | None = None) -> Download:
        """Download, or leave after `until` bytes."""
        async with asyncio.timeout(SECONDS):
            reader, writer = await self.wire.connect()
            try:
                self.port = writer.get_extra_info("sockname")[1]
                fields = {"connection": "close", **self.fields}
                writer.write(self.wire.head("GET", self.thing.path, fields))
                await self._read(reader, until)
            except (asyncio.IncompleteReadError, ConnectionError):
                self.is_cut = True
            finally:
                writer.transport.abort()
        return self

    async def _read(self, reader: asyncio.StreamReader, until: int | None) -> None:
        began = time.monotonic()
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        pairs = (line.split(":", 1) for line in lines[1:] if line)
        self.headers = {name.lower(): value.strip() for name, value in pairs}
        async for piece in _body(reader, self.headers):
            if self.status != 200:
                self.error += piece
                continue
            if not self.received:
                self.waited = time.monotonic() - began
            self.is_right = self.is_right and self.thing.is_right(self.received, piece)
            self.received += len(piece)
            if until is not None and self.received >= until:
                return
        assert await reader.read() == b"", "nothing comes after the answer"


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    """Raises IncompleteReadError where the connection ends before the body."""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            async for piece in _exactly(reader, size):
                yield piece
            await reader.readexactly(2)
        await reader.readexactly(2)
        return
    async for piece in _exactly(reader, int(headers["content-length"])):
        yield piece


async def _exactly(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size:
        piece = await reader.read(min(PIECE, size))
        if not piece:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(piece)
        yield piece


async def download(wire: Wire, thing: Thing) -> Download:
    """One client that has to get the file."""
    found = await Download(wire, thing).run()
    assert found.is_whole, found
    return found


async def eventually(wire: Wire, thing: Thing) -> None:
    """One client that tries again until it has the file. Each answer before is honest."""
    found: list[Download] = []

    async def has_it() -> bool:
        found[:] = [await Download(wire, thing).run()]
        assert found[0].is_honest, found[0]
        assert found[0].status != 404, found[0]
        return found[0].is_whole

    await until(has_it, thing.path, seen=lambda: found[0])


async def reach(clients: Sequence[Download], received: int) -> None:
    """Wait until each client has so many bytes."""
    await until(
        lambda: all(one.received >= received for one in clients),
        f"{received} bytes for each client",
        seen=lambda: [str(one) for one in clients],
    )
