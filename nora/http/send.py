"""The way out for bytes, and how an answer is put on the wire.

`blob_response` decides what a client gets of a stored blob; `transmit` sends any response as ASGI messages.
Small bodies are sent from memory in two messages; large whole files are handed to the server as a path,
so that their bytes never pass through Python; the rest is streamed in small pieces, and stops when the
client leaves.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from time import monotonic
from typing import Any

from blacksheep import Content, Request, Response, StreamedContent

from nora._speedups import parse_range
from nora.blobs.base import BlobStore
from nora.catalog.records import Blob
from nora.errors import ClientGone, RangeNotSatisfiable, StorageFailed
from nora.http.conditions import conditions_of, http_date
from nora.http.errors import is_out_of_descriptors, no_descriptors
from nora.http.memory import MemoryCache
from nora.processes import descriptor_budget

Header = tuple[bytes, bytes]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

SMALL = 64 * 1024
"""Blobs of at most so many bytes are answered from memory."""
_PATHSEND = "http.response.pathsend"
_ACCEPT_RANGES = (b"accept-ranges", b"bytes")
_BODYLESS = frozenset({204, 304})
_NOTHING: tuple[bytes, ...] = ()


class _Opening:
    """Files that the server has been told to send and may not have opened yet: it does not say when."""

    SECONDS = 0.5
    """How long an opening may take on a busy machine."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> None:
        self.count += 1
        asyncio.get_running_loop().call_later(self.SECONDS, self._opened)

    def _opened(self) -> None:
        self.count -= 1


_opening = _Opening()


async def _no_pieces() -> AsyncIterator[bytes]:
    for piece in _NOTHING:
        yield piece


class SizedContent(StreamedContent):
    """A body of which only type and size are needed: the answer to a HEAD."""

    def __init__(self, media_type: bytes, size: int) -> None:
        super().__init__(media_type, _no_pieces, size)


class FileContent(SizedContent):
    """A whole file, which the server reads and sends by itself. The path must stay valid for as long as a
    transfer takes: `gc.unlink_delay` sees to that."""

    def __init__(self, media_type: bytes, size: int, path: str) -> None:
        super().__init__(media_type, size)
        self.path = path


class PassedContent(StreamedContent):
    """A body that is on its way from an upstream."""


async def blob_response(
    request: Request,
    store: BlobStore,
    memory: MemoryCache,
    blob: Blob,
    *,
    media_type: bytes,
    headers: Sequence[Header],
    etag: bytes,
    modified: float | None = None,
) -> Response:
    """A blob, as far as the client wants it: HEAD, GET, one Range, conditions (RFC 9110, 13-14).

    `etag` is a strong validator, quotes included; `modified` says since when this is so, in seconds since the
    epoch, where that is told. Never a Content-Encoding: the bytes are what the digest says. Raises
    RangeNotSatisfiable, PreconditionFailed, StorageFailed.
    """
    scope: Scope = request.scope  # type: ignore[assignment]
    conditions = conditions_of(scope["headers"])
    head = [*headers, (b"etag", etag), _ACCEPT_RANGES]
    if modified is not None:
        head.append((b"last-modified", http_date(modified)))
    if conditions.is_unchanged(etag, modified):
        return Response(304, head)
    if scope["method"] == "HEAD":
        return Response(200, head, SizedContent(media_type, blob.size))
    if blob.size > SMALL and not store.verifies and (url := store.redirect_url(blob, media_type)) is not None:
        return Response(307, [*headers, (b"location", url.encode())])  # which answers ranges, too
    if conditions.range is not None and conditions.allow_range(etag, modified):
        part = _requested_part(conditions.range, blob.size)
        if part is not None:
            return await _part_response(store, memory, blob, part, media_type, head)
    if blob.size <= SMALL:
        return Response(200, head, Content(media_type, await read_small(store, memory, blob)))
    path = store.path(blob)
    if path is not None:
        _check_file(path, blob)
    if path is None or store.verifies or _PATHSEND not in scope["extensions"]:
        return Response(200, head, await _streamed(store, blob, 0, blob.size, media_type))
    return Response(200, head, FileContent(media_type, blob.size, path))


def _requested_part(header: bytes, size: int) -> tuple[int, int] | None:
    try:
        return parse_range(header.decode("latin-1"), size)
    except ValueError:
        raise RangeNotSatisfiable(size) from None


async def _part_response(
    store: BlobStore,
    memory: MemoryCache,
    blob: Blob,
    part: tuple[int, int],
    media_type: bytes,
    head: list[Header],
) -> Response:
    first, last = part
    head.append((b"content-range", b"bytes %d-%d/%d" % (first, last, blob.size)))
    if blob.size <= SMALL:
        data = await read_small(store, memory, blob)
        return Response(206, head, Content(media_type, data[first : last + 1]))
    path = store.path(blob)
    if path is not None:
        _check_file(path, blob)
    return Response(206, head, await _streamed(store, blob, first, last + 1, media_type))


async def read_small(store: BlobStore, memory: MemoryCache, blob: Blob) -> bytes:
    """The bytes of a blob that is read again and again, out of memory where they are. Raises
    StorageFailed."""
    data = memory.get(blob.digest)
    if data is None:
        data = await store.read(blob)
        memory.put(blob.digest, data)
    return data


async def _streamed(
    store: BlobStore, blob: Blob, start: int, stop: int, media_type: bytes
) -> StreamedContent:
    """A part of a blob. Its first bytes are there before the head is sent, so that a failure is told."""
    pieces = store.stream(blob, start, stop)
    first = await anext(pieces, b"")

    async def parts() -> AsyncIterator[bytes]:
        async with aclosing(pieces):  # type: ignore[type-var]
            yield first
            async for piece in pieces:
                yield piece

    return StreamedContent(media_type, parts, stop - start)


def _check_file(path: str, blob: Blob) -> None:
    """A lost or locked file is a failure of the storage, not an absence."""
    try:
        size = stat_to_send(path).st_size
    except OSError as error:
        raise StorageFailed(f"the bytes of {blob.digest} cannot be read") from error
    if size != blob.size:
        raise StorageFailed(f"the bytes of {blob.digest} are damaged: {size} of {blob.size} bytes")


def stat_to_send(path: str) -> os.stat_result:
    """What is known of a file that the server will open and send.

    Once the head is sent the status cannot be changed, and the server answers 404 where it cannot open what
    it was told to - so it is opened here before. Raises OSError, and StorageBusy when so many files are open
    that the server might be refused a descriptor a moment later.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if is_out_of_descriptors(error):
            raise no_descriptors() from error
        raise
    try:
        if descriptor + _opening.count >= descriptor_budget().answers:
            raise no_descriptors()
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


async def transmit(
    response: Response,
    extra: Sequence[Header],
    scope: Scope,
    receive: Receive,
    send: Send,
    files_sent: dict[str, float],
    count: Callable[[int], None],
) -> None:
    """Send a response with `extra` headers. Raises ClientGone when the client leaves in the middle of a
    streamed body, and whatever the body raises: the server then cuts the connection, which is all that
    can be told to a client after the head. When the server was told to send a file by HTTP/2 is noted in
    `files_sent`, by the port of the peer. `count` is told of the bytes of the body that were sent, as far as
    the server says."""
    content = response.content
    status: int = response.status
    head = head_of(response, extra)
    if content is None or scope["method"] == "HEAD":
        await send_small(send, status, head, b"")
    elif not isinstance(content, StreamedContent):
        await send_small(send, status, head, content.body)
        count(len(content.body))
    elif isinstance(content, FileContent):
        _opening.add()
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": _PATHSEND, "path": content.path})
        count(content.length)
        if scope["http_version"] == "2":
            files_sent[scope["client"][1]] = monotonic()
    else:
        await send({"type": "http.response.start", "status": status, "headers": head})
        await _send_pieces(content, receive, send, count)


def head_of(response: Response, extra: Sequence[Header]) -> list[Header]:
    """All header fields of a response, with `extra` ones."""
    content = response.content
    head: list[Header] = [*response.headers.values, *extra]  # type: ignore[misc]
    if content is None:
        if response.status not in _BODYLESS:
            head.append((b"content-length", b"0"))
        return head
    head.append((b"content-type", content.type or b"application/octet-stream"))
    size: int = content.length
    if size >= 0:
        head.append((b"content-length", b"%d" % size))
    return head


async def send_small(send: Send, status: int, head: list[Header], body: bytes) -> None:
    """Send a whole answer from memory."""
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _send_pieces(
    content: StreamedContent, receive: Receive, send: Send, count: Callable[[int], None]
) -> None:
    """Stream a body, and stop producing it when the client leaves: the server does not tell otherwise."""
    loop = asyncio.get_running_loop()
    pump = loop.create_task(_pump(content, send, count))
    watch = loop.create_task(_left(receive))
    try:
        await asyncio.wait({pump, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not pump.done():
            raise ClientGone("the client left in the middle of the answer")
        pump.result()
    finally:
        for task in (pump, watch):
            task.cancel()
        await asyncio.gather(pump, watch, return_exceptions=True)


async def _pump(content: StreamedContent, send: Send, count: Callable[[int], None]) -> None:
    sent = 0
    pieces: AsyncGenerator[bytes, None] = content.generator()  # type: ignore[assignment]
    try:
        async for piece in pieces:
            if piece:
                sent += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                count(len(piece))
    finally:
        await pieces.aclose()
    if 0 <= content.length != sent:
        raise StorageFailed(f"the body ended after {sent} of {content.length} bytes")
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
