"""Forms with files (multipart/form-data, RFC 7578 and RFC 2046, 5.1), read as they arrive.

    async for part in parts(stream_body(…), boundary_of(request)):
        if part.name == "content":
            async for piece in part: …

Parts come in the order of the wire, and what is not read of one is skipped when the next is asked for.
Nothing is kept but the piece that is being looked at.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from blacksheep import Request

from nora.errors import BadRequest, TooLarge, quoted

LARGEST_HEAD: Final = 16 * 1024
"""Bytes of the headers of one part."""
MOST_PARTS: Final = 10_000

_BOUNDARY = re.compile(rb"""boundary=(?:"([^"\r\n]{1,70})"|([^\s";,]{1,70}))""", re.IGNORECASE)
_PARAMETER = re.compile(r';\s*(name|filename)=(?:"((?:\\.|[^"\\])*)"|([^\s;"]+))', re.IGNORECASE)


def boundary_of(request: Request) -> bytes:
    """What is between the parts. Raises BadRequest for a body of another type."""
    declared = request.content_type() or b""
    found = _BOUNDARY.search(declared)
    if found is None or declared.partition(b";")[0].strip().lower() != b"multipart/form-data":
        raise BadRequest("the body is a form: Content-Type: multipart/form-data; boundary=…")
    return found[1] or found[2]


class Part:
    """One field or file. Iterated once, before the next one is asked for."""

    def __init__(self, form: _Form, name: str, filename: str | None) -> None:
        self._form = form
        self.name = name
        self.filename = filename
        """As the client says it; None for what is no file."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._form.pieces()

    async def text(self, limit: int) -> str:
        """The whole value, of at most `limit` bytes. Raises TooLarge, and BadRequest for what is no UTF-8."""
        value = bytearray()
        async for piece in self:
            value += piece
            if len(value) > limit:
                raise TooLarge(limit, f"the field {quoted(self.name)}")
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise BadRequest(f"the field {quoted(self.name)} is not UTF-8") from None


async def parts(body: AsyncIterator[bytes], boundary: bytes) -> AsyncGenerator[Part, None]:
    """The parts of a form. Raises BadRequest when it is none, or ends too early."""
    form = _Form(body, boundary)
    await form.skip_preamble()
    for _ in range(MOST_PARTS):
        if await form.is_over():
            return
        yield await form.head()
        async for _ in form.pieces():
            pass
    raise BadRequest(f"the form has more than {MOST_PARTS} parts")


class _Form:
    """The bytes that have arrived and were not given away, and whether they are inside of a part."""

    def __init__(self, body: AsyncIterator[bytes], boundary: bytes) -> None:
        self._body = body
        self._delimiter = b"\r\n--" + boundary
        self._held = b"\r\n"  # the first delimiter may be the first line
        self._inside = True

    async def skip_preamble(self) -> None:
        async for _ in self.pieces():
            pass

    async def is_over(self) -> bool:
        """After a delimiter: whether it was the last one."""
        while len(self._held) < 2:
            await self._more()
        return self._held.startswith(b"--")

    async def head(self) -> Part:
        """The headers after a delimiter."""
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            if len(self._held) > LARGEST_HEAD:
                raise BadRequest("the headers of a part of the form are too long")
            await self._more()
        first, _, rest = self._held[: end + 2].partition(b"\r\n")
        if first.strip(b" \t"):
            raise BadRequest("there is something beside a delimiter of the form")
        self._held = self._held[end + 4 :]
        self._inside = True
        return _part(self, rest)

    async def pieces(self) -> AsyncIterator[bytes]:
        """What there is up to the next delimiter."""
        delimiter, keep = self._delimiter, len(self._delimiter) - 1
        while self._inside:
            held = self._held
            end = held.find(delimiter)
            if end >= 0:
                self._held = held[end + len(delimiter) :]
                self._inside = False
                if end:
                    yield held[:end]
            elif len(held) > keep:
                self._held = held[-keep:]
                yield held[:-keep]
            else:
                await self._more()

    async def _more(self) -> None:
        piece = await anext(self._body, b"")
        if not piece:
            raise BadRequest("the form ends before its last delimiter")
        self._held += piece


def _part(form: _Form, head: bytes) -> Part:
    for line in head.decode("utf-8", "replace").split("\r\n"):
        header, _, value = line.partition(":")
        if header.strip().lower() == "content-disposition" and value.strip().lower().startswith("form-data"):
            found = dict(map(_parameter, _PARAMETER.finditer(value)))
            if "name" in found:
                return Part(form, found["name"], found.get("filename"))
    raise BadRequest("a part of the form does not say its name")


def _parameter(found: re.Match[str]) -> tuple[str, str]:
    quoted: str | None = found[2]
    return found[1].lower(), found[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
