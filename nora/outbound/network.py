"""Connections as httpcore wants to have them, on the transports of the event loop.

httpcore's own lets an upstream that is faster than we are keep the event loop: while one `read` waits, uvloop
goes on reading, up to 8 MiB before it looks at anything else (measured: 5 ms in which nobody is answered, for
each of them). Here the transport pauses after each piece, and reads on when the next one is wanted.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any, cast

import anyio
import httpcore
from aiohappyeyeballs import start_connection
from anyio.abc import ByteStream
from anyio.streams.tls import TLSAttribute, TLSStream

from nora.addresses import Reach
from nora.outbound.guard import within

PIECE_BYTES = 64 * 1024
"""What is read at once. With four times as much others wait for twice as long (0.5 ms)."""
STAGGER_SECONDS = 0.25
"""After so long without an answer the next address of a host is tried beside the one before (RFC 8305)."""
_BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError)


class Network(httpcore.AsyncNetworkBackend):
    """Connections to addresses that are no further away than `reach`."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's protocol
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Connection:
        """Resolve once, and connect to the first address that answers.

        Raises httpcore.ConnectError, ConnectTimeout; UpstreamFailed where none of the addresses may be used.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                found = within(host, found, self._reach)
                connected = await start_connection(found, happy_eyeballs_delay=STAGGER_SECONDS, interleave=1)
                try:
                    for option in socket_options or ():
                        connected.setsockopt(*option)
                    peer = str(connected.getpeername()[0])
                    _, stream = await loop.create_connection(lambda: SocketStream(peer), sock=connected)
                except BaseException:
                    connected.close()
                    raise
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        return Connection(stream, stream)

    async def sleep(self, seconds: float) -> None:
        """As asyncio's."""
        await asyncio.sleep(seconds)


class Connection(httpcore.AsyncNetworkStream):
    """One connection, encrypted or not."""

    def __init__(self, stream: ByteStream, below: SocketStream) -> None:
        self._stream = stream
        self._below = below

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Some bytes; none at the end. Raises httpcore.ReadError, ReadTimeout."""
        try:
            async with asyncio.timeout(timeout):
                return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except _BROKEN as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """All of it. Raises httpcore.WriteError, WriteTimeout."""
        if not buffer:
            return
        try:
            async with asyncio.timeout(timeout):
                await self._stream.send(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except (anyio.EndOfStream, *_BROKEN) as error:
            raise httpcore.WriteError(str(error)) from error

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's protocol
    ) -> Connection:
        """The same connection, encrypted from here on. Raises httpcore.ConnectError, ConnectTimeout."""
        try:
            async with asyncio.timeout(timeout):
                # Not by the event loop: uvloop loses what has come in when the other side ends while reading
                # is paused. What ends without a word of TLS is judged by HTTP: standard_compatible.
                stream = await TLSStream.wrap(
                    self._stream, hostname=server_hostname, ssl_context=ssl_context, standard_compatible=False
                )
        except TimeoutError as error:
            self._below.abort()
            raise httpcore.ConnectTimeout(str(error)) from error
        except (anyio.EndOfStream, *_BROKEN) as error:
            self._below.abort()
            raise httpcore.ConnectError(str(error)) from error
        except BaseException:  # cancelled: httpcore does not know the connection yet
            self._below.abort()
            raise
        return Connection(stream, self._below)

    async def aclose(self) -> None:
        """At once: what was asked for has come, or is not wanted any more."""
        self._below.abort()

    def get_extra_info(self, info: str) -> Any:
        """httpcore asks for `ssl_object`, and for `is_readable`: whether an idle connection has ended. We ask
        for `server_addr`: the address that it was made to."""
        match info:
            case "is_readable":
                return self._below.is_readable
            case "server_addr":
                return self._below.peer
            case "ssl_object":
                return self._stream.extra(TLSAttribute.ssl_object, None)  # noqa: S610 - not Django
        return None


class SocketStream(asyncio.BufferedProtocol, ByteStream):
    """What one task sends and receives, at the pace at which it does.

    A BufferedProtocol: without, uvloop reads four times as much at once, into memory that is new each time.
    """

    def __init__(self, peer: str = "") -> None:
        self.peer = peer
        """The address of the other side."""
        self._transport: asyncio.Transport | None = None
        # what was received is between `_start` and `_stop`
        self._buffer = bytearray(PIECE_BYTES)
        self._start = self._stop = 0
        self._is_over = False
        self._error: Exception | None = None
        self._is_full = False
        self._waiter: asyncio.Future[None] | None = None

    # -- for who holds it ----------------------------------------------------------------------------

    async def receive(self, max_bytes: int = PIECE_BYTES) -> bytes:
        """Some bytes. Raises anyio.EndOfStream, anyio.BrokenResourceError."""
        if self._start == self._stop and not self._is_over:
            self._open().resume_reading()
            await self._wait(lambda: self._start < self._stop or self._is_over)
        stop = min(self._stop, self._start + max_bytes)
        piece = bytes(memoryview(self._buffer)[self._start : stop])
        self._start = stop
        if piece:
            return piece
        if self._error is not None:
            raise anyio.BrokenResourceError from self._error
        raise anyio.EndOfStream

    async def send(self, item: bytes) -> None:
        """All of it. Raises anyio.BrokenResourceError."""
        if not self._is_over:
            self._open().write(item)
            await self._wait(lambda: not self._is_full or self._is_over)
        if self._is_over:
            raise anyio.BrokenResourceError from self._error

    async def send_eof(self) -> None:
        """Say that nothing follows."""
        self._open().write_eof()

    async def aclose(self) -> None:
        """As `abort`."""
        self.abort()

    def abort(self) -> None:
        """End it at once. That is no end of what was being received."""
        self._is_over = True
        self._error = self._error or ConnectionAbortedError("the connection was closed here")
        self._open().abort()
        self._wake()

    @property
    def is_readable(self) -> bool:
        """Whether `receive` would not wait."""
        if self._is_over or self._start < self._stop:
            return True
        connected = self._open().get_extra_info("socket")
        poll = select.poll()
        poll.register(connected, select.POLLIN)
        return bool(poll.poll(0))

    # -- for the event loop --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read nothing before somebody wants it: an idle connection that has something to say has ended."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.pause_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        """All of it: it is asked for only after everything was read."""
        return memoryview(self._buffer)

    def buffer_updated(self, nbytes: int) -> None:
        """One piece has come, which is enough."""
        self._start, self._stop = 0, nbytes
        self._open().pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """The other side has said everything; the transport closes itself."""
        self._is_over = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, well or not."""
        self._is_over = True
        self._error = self._error or exc
        self._wake()

    def pause_writing(self) -> None:
        """The other side is slower than we are."""
        self._is_full = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._is_full = False
        self._wake()

    # -- between them --------------------------------------------------------------------------------

    def _open(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    async def _wait(self, is_ready: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        while not is_ready():
            self._waiter = loop.create_future()
            await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
