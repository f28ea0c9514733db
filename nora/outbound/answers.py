"""What comes back: an answer in pieces, or with its whole body."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from nora.errors import UpstreamFailed
from nora.outbound.faults import check_size, transient, translated
from nora.outbound.headers import parse_content_range
from nora.outbound.terms import Headers, Method, host_of

if TYPE_CHECKING:
    import httpcore

EXPANDED_BYTES = 128 * 1024
"""What is decompressed at once."""
YIELD_BYTES = 64 * 1024
YIELD_SECONDS = 0.001
"""Of a document that comes in as fast as it can be read, so much is read before others have the processor for
so long: the threads that hand requests to the event loop may wait for it to sleep (for 4 ms, as Linux is
usually built, even when another core has nothing to do)."""
DRAINED_BYTES = 16 * 1024
DRAINED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with its whole body. 304 and 4xx are answers; 429 and 5xx are errors."""

    status: int
    headers: Headers
    body: bytes
    url: str
    """Where it came from after redirects."""
    is_inside: bool = False
    """As `Stream.is_inside`."""
    is_delimited: bool = True
    """Whether it is known to be whole: as `Stream.is_delimited`, or compressed."""


class Stream:
    """An answer whose body comes in pieces, as they are on the wire: iterate once."""

    def __init__(
        self,
        response: httpcore.Response,
        method: Method,
        url: str,
        max_bytes: int,
        *,
        is_inside: bool = False,
    ) -> None:
        self._response = response
        self._bodiless = method == "HEAD" or response.status in (204, 304)
        self._max_bytes = max_bytes
        self.url = url
        self.is_inside = is_inside
        """Whether who answers, and everybody who led there, was reached at an address that is not public:
        what the answer names may be in a private network then."""
        self.status = response.status
        self.headers = lowered(response)
        declared = self.headers.get("content-length", "")
        self.length = int(declared) if declared.isascii() and declared.isdigit() else None
        """The declared size of the body in bytes."""
        self.is_delimited = self._bodiless or self.length is not None or "transfer-encoding" in self.headers
        """Whether the answer says where its body ends. Where it does not, the end of the connection is the
        end of the body, and nobody can tell it from a cut (RFC 9112, 8)."""
        self.received = 0
        """Bytes of the body so far, as they are on the wire."""
        self.is_broken = False
        """Whether the body ended otherwise than it should."""
        self._is_begun = False

    @property
    def range(self) -> tuple[int, int, int | None] | None:
        """Of a 206: the first byte, the last byte and the whole size, where that is told."""
        return parse_content_range(self.headers.get("content-range")) if self.status == 206 else None

    def values(self, name: str) -> tuple[str, ...]:
        """Every field with this name, in lower case, as it stands there."""
        wanted = name.encode()
        return tuple(
            value.decode("latin-1") for key, value in self._response.headers if key.lower() == wanted
        )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises UpstreamFailed, also when the body ends before its declared length or is too large."""
        self._is_begun = True
        try:
            with translated(self.url):
                async for piece in self._response.aiter_stream():
                    self.received += len(piece)
                    check_size(self.received, self._max_bytes, self.url)
                    yield piece
        except UpstreamFailed:
            self.is_broken = True
            raise

    async def reply(self) -> Reply:
        """The whole answer; what is compressed is never expanded further than `max_bytes`."""
        encoding = self.headers.get("content-encoding", "identity").lower()
        if encoding not in ("identity", "gzip", "x-gzip"):
            raise UpstreamFailed(f"{host_of(self.url)} answers in an encoding that was not asked for")
        expand = zlib.decompressobj(zlib.MAX_WBITS | 16) if encoding != "identity" else None
        body = BytesIO()  # its value is not copied out of it, unlike that of a bytearray
        self._is_begun = True
        yield_at = YIELD_BYTES
        with translated(self.url):
            async for piece in self._response.aiter_stream():
                self.received += len(piece)
                if self.received >= yield_at:
                    yield_at = self.received + YIELD_BYTES
                    await asyncio.sleep(YIELD_SECONDS)
                if expand is None:
                    body.write(piece)
                    check_size(body.tell(), self._max_bytes, self.url)
                else:
                    await self._expand(expand, piece, body)
                    if expand.unused_data:  # zlib would keep it all, however much it is
                        raise UpstreamFailed(f"{host_of(self.url)} goes on after the end of its answer")
        if expand is not None and self.received and not expand.eof:
            raise transient(UpstreamFailed(f"{host_of(self.url)} ends in the middle of its answer"), self.url)
        is_whole = self.is_delimited or expand is not None
        return Reply(self.status, self.headers, body.getvalue(), self.url, self.is_inside, is_whole)

    async def _expand(self, expand: zlib._Decompress, piece: bytes, body: BytesIO) -> None:
        """Append what a piece expands to, in steps that keep nobody else waiting."""
        while True:
            step = expand.decompress(piece, EXPANDED_BYTES)
            body.write(step)
            check_size(body.tell(), self._max_bytes, self.url)
            piece = expand.unconsumed_tail
            if not piece and len(step) < EXPANDED_BYTES:
                return
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Let go of the connection, which is used again when the body was read to its end."""
        await self._response.aclose()

    async def drain(self) -> None:
        """Read a short body that nobody wants, so that the connection is used again. Raises nothing."""
        is_short = self._bodiless or (self.length is not None and self.length <= DRAINED_BYTES)
        if is_short and not self._is_begun:
            self._is_begun = True
            with suppress(UpstreamFailed, TimeoutError), translated(self.url):
                async with asyncio.timeout(DRAINED_SECONDS):
                    await self._response.aread()


def lowered(response: httpcore.Response) -> Headers:
    """The header fields; one that stands there several times is joined as RFC 9110, 5.3 has it."""
    found: dict[str, str] = {}
    for name, value in response.headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
