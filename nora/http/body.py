"""Bodies of requests: in pieces, bounded in size and in silence, and never a short end taken for the end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, ClassVar, Final

from blacksheep import Request

from nora.errors import BadRequest, ClientGone, RequestTimeout, TooLarge

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

SCOPE_KEY = "nora.body"
"""Where the application keeps the RequestBody of a request that may have one."""
AHEAD_AFTER_BYTES: Final = 64 << 10
"""A body of which this much came is a long one."""
AHEAD_MESSAGES: Final = 16
"""Messages of a long body that are asked for at a time. For 1, 5 and 16 a push of 16 MiB in chunks of 32 KiB
costs 77, 52 and 44 ms of CPU, and takes 97, 56 and 48 ms."""
AHEAD_MESSAGES_OF_ALL: Final = 128
"""Of all bodies together: none is larger than the buffer of its connection (`server.BUFFER_BYTES`)."""


class RequestBody:
    """The body of one request as the server hands it over, and how far it was taken.

    Of a long body several messages are asked for at a time: each takes three threads of the server, which
    then need not wait for each other. They come in the order in which they were asked for where the server's
    runtime has one thread (Granian's `runtime_mode`): it begins what it is given in turn, and they wait in
    turn for the connection.
    """

    __slots__ = ("_ahead", "_receive", "finished", "limit", "received", "started")
    asked_ahead: ClassVar[int] = 0
    """Messages that all bodies of this process have asked for ahead."""

    def __init__(self, receive: Receive, limit: int | None = None) -> None:
        self._receive = receive
        self._ahead: deque[asyncio.Future[Message]] = deque()
        self.limit = limit
        """The most bytes that anybody may take of it (`server.body_limit`, or less for some handlers)."""
        self.received = 0
        self.started = False
        """Whether anything was asked for: a client that waits for `100 Continue` has been told to send."""
        self.finished = False
        """Whether nothing more will come: the body is complete, or the client is gone."""

    async def receive(self) -> Message:
        """The next ASGI message; the ASGI `receive` of everything that reads this request.
        Raises TooLarge."""
        self.started = True
        message = await self._ask()
        if not message.get("more_body"):
            self.finished = True
            self.close()
        self.received += len(message.get("body", b""))
        if self.limit is not None and self.received > self.limit:
            raise TooLarge(self.limit)
        return message

    def _ask(self) -> Awaitable[Message]:
        """The next message, and the beginning of those after it."""
        ahead = self._ahead
        if ahead:
            RequestBody.asked_ahead -= 1
            message: Awaitable[Message] = ahead.popleft()
        else:
            message = self._receive()
        # What is no future begins when it is awaited: it cannot be asked for ahead.
        if self.received >= AHEAD_AFTER_BYTES and asyncio.isfuture(message):
            room = min(AHEAD_MESSAGES - 1 - len(ahead), AHEAD_MESSAGES_OF_ALL - RequestBody.asked_ahead)
            for _ in range(room):
                RequestBody.asked_ahead += 1
                ahead.append(self._receive())  # type: ignore[arg-type]
        return message

    def close(self) -> None:
        """Ask for nothing more: what was asked for ahead is given up."""
        RequestBody.asked_ahead -= len(self._ahead)
        while self._ahead:
            self._ahead.pop().cancel()


class IdleTimeout:
    """Ends a wait that takes too long, by cancelling the task that waits.

    One timer serves the many waits of a body: asyncio.timeout for each of them costs as much as the message
    that is waited for (measured: a quarter of the interpreter's time in an upload of small chunks).
    """

    __slots__ = ("_loop", "_seconds", "_task", "_timer", "_waits_since", "expired")

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._task: asyncio.Task[Any] | None = None
        self._waits_since = 0.0
        self._timer = self._loop.call_later(seconds, self._look)
        self.expired = False

    def begin(self) -> None:
        """The current task begins to wait."""
        self._waits_since = self._loop.time()
        self._task = asyncio.current_task()

    def end(self) -> None:
        """It has what it waited for."""
        self._task = None

    def close(self) -> None:
        """There will be no more waits."""
        self._timer.cancel()

    def _look(self) -> None:
        left = self._seconds
        if self._task is not None:
            left += self._waits_since - self._loop.time()
            if left <= 0:
                self.expired = self._task.cancel()
                return
        self._timer = self._loop.call_later(left, self._look)


def content_length(request: Request) -> int | None:
    """The announced size of the body in bytes, or None. Raises BadRequest (RFC 9110, 8.6)."""
    value = _header(request, b"content-length")
    if value is None:
        return None
    if not value.isdigit() or len(value) > 18:
        raise BadRequest("Content-Length must be a number of bytes")
    return int(value)


async def stream_body(request: Request, *, limit: int | None, idle_seconds: float) -> AsyncIterator[bytes]:
    """The body, in pieces as they arrive.

    Raises TooLarge as soon as more than `limit` bytes - or those that any body may have - are announced or
    received, RequestTimeout when nothing arrives for `idle_seconds`, ClientGone when the client leaves before
    the end.
    """
    announced = content_length(request)
    body = _body_of(request)
    body.limit = min((one for one in (limit, body.limit) if one is not None), default=None)
    if body.limit is not None and announced is not None and announced > body.limit:
        raise TooLarge(body.limit)
    idle = IdleTimeout(idle_seconds)
    try:
        while not body.finished:
            idle.begin()
            message = await body.receive()
            idle.end()
            if message["type"] != "http.request":
                raise ClientGone(f"the client left after {body.received} bytes of the body")
            piece: bytes = message.get("body", b"")
            if piece:
                yield piece
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not idle.expired or task is None or task.uncancel() > 0:
            raise
        raise RequestTimeout(f"no byte of the body arrived for {idle_seconds:g} seconds") from None
    finally:
        idle.close()
    if announced is not None and body.received != announced:
        raise ClientGone(f"the body ended after {body.received} of {announced} bytes")


async def read_body(request: Request, limit: int, idle_seconds: float = 60.0) -> bytes:
    """The whole body, at most `limit` bytes. Raises as `stream_body` does."""
    pieces = [piece async for piece in stream_body(request, limit=limit, idle_seconds=idle_seconds)]
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def drain(request: Request, max_bytes: int, seconds: float) -> bool:
    """Take and forget what is left of a body; True when that was all of it.

    A client that is still sending when its connection is closed may lose the answer (RFC 9112, 9.6).
    A client that waits for `100 Continue` sends nothing unless it is told to, and is left waiting.
    """
    body = _body_of(request)
    if not body.started and not _may_send(request):
        return True
    body.limit = body.received + max_bytes
    try:
        async with asyncio.timeout(seconds):
            while not body.finished:
                await body.receive()
    except (TimeoutError, TooLarge):
        return False
    return True


def _may_send(request: Request) -> bool:
    """Whether the client sends a body without being told to."""
    sends = False
    for name, value in request.scope["headers"]:
        if name == b"expect" and value.lower() == b"100-continue":
            return False
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            sends = True
    return sends or request.scope.get("http_version") == "2"


def _body_of(request: Request) -> RequestBody:
    scope: dict[str, Any] = request.scope  # type: ignore[assignment]
    body = scope.get(SCOPE_KEY)
    if not isinstance(body, RequestBody):
        body = scope[SCOPE_KEY] = RequestBody(request.content.receive)  # type: ignore[union-attr]
    return body


def _header(request: Request, wanted: bytes) -> bytes | None:
    for name, value in request.scope["headers"]:
        if name == wanted:
            return bytes(value)
    return None
