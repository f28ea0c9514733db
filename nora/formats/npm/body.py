"""The body of a publication: JSON that holds a tarball in base64, read as it comes.

    {"_id": …, "versions": {…}, "_attachments": {"name-1.0.0.tgz": {"data": "…", "length": …, …}}}

The tarball is decoded while it comes, whatever stands before or after it. Everything else is kept, and parsed
as a whole at the end.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson

from nora.errors import BadRequest, TooLarge, quoted
from nora.proxy.offload import offload

ATTACHMENTS: Final = "_attachments"
LARGEST_DOCUMENT: Final = 32 << 20
"""What is not the tarball. Who deprecates sends all that there is of a package."""
MOST_CANDIDATES: Final = 64
"""Members named `data` that are no tarball: each is looked at."""
_DATA: Final = re.compile(rb'(?<!\\)"data"\s{0,32}:\s{0,32}"')
"""In JSON this is always the name of a member and the beginning of its value: within a text a quotation mark
has a backslash in front of it."""
_BEGINNING: Final = re.compile(rb'"_attachments"')
_HELD: Final = 80
"""Bytes of a piece that the next one may make a beginning of."""


class PublicationBody:
    """Read `tarball` first, then what it names, then `document`."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._kept = bytearray()
        self._buffer = b""
        self._candidates = 0
        self._next = _BEGINNING
        """What is looked for: members named `data` count from the attachments on."""
        self.names: list[str] = []
        """Of the tarballs that were met."""

    async def tarball(self) -> str | None:
        """The name of the next tarball, whose bytes are to be read with `data`; None after the last."""
        while True:
            found = self._next.search(self._buffer)
            if found is None:
                keep = max(0, len(self._buffer) - _HELD)
                self._keep(self._buffer[:keep])
                self._buffer = self._buffer[keep:]
                if not await self._more():
                    self._keep(self._buffer)
                    self._buffer = b""
                    return None
                continue
            self._keep(self._buffer[: found.end()])
            self._buffer = self._buffer[found.end() :]
            if self._next is _BEGINNING:
                self._next = _DATA
                continue
            name = await self._attachment()
            if name is not None:
                self.names.append(name)
                return name

    async def data(self) -> AsyncIterator[bytes]:
        """The bytes of the tarball that was just named. Raises BadRequest."""
        left = b""
        while True:
            end = self._buffer.find(b'"')
            piece, self._buffer = (self._buffer, b"") if end < 0 else (self._buffer[:end], self._buffer[end:])
            encoded, left = _whole(left + piece, is_last=end >= 0)
            if encoded:
                yield _decoded(encoded)
            if end >= 0:
                return
            if not await self._more():
                raise BadRequest("the body ends within the tarball")

    async def document(self) -> dict[str, Any]:
        """What stands around the tarballs. Raises BadRequest, TooLarge."""
        while await self._more():
            self._keep(self._buffer)
            self._buffer = b""
        self._keep(self._buffer)
        self._buffer = b""
        return await offload(parse_document, bytes(self._kept))

    async def _attachment(self) -> str | None:
        """The name of the tarball whose data begins here; None for a member that is something else."""
        self._candidates += 1
        if self._candidates > MOST_CANDIDATES:
            raise BadRequest(f"the body has more than {MOST_CANDIDATES} members named data")
        return await offload(attachment_at_end, bytes(self._kept))

    def _keep(self, piece: bytes) -> None:
        self._kept += piece
        if len(self._kept) > LARGEST_DOCUMENT:
            raise TooLarge(LARGEST_DOCUMENT, "the document of a package")

    async def _more(self) -> bool:
        piece = await anext(self._pieces, None)
        if piece is None:
            return False
        self._buffer += piece
        return True


def attachment_at_end(kept: bytes) -> str | None:
    """Which tarball a document is about to bring, that breaks off where a text begins: only three objects are
    open there."""
    try:
        document = orjson.loads(kept + b'"}}}')
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict) or next(reversed(document), None) != ATTACHMENTS:
        return None
    attachments = document[ATTACHMENTS]
    name = next(reversed(attachments), None) if isinstance(attachments, dict) else None
    return name if isinstance(name, str) and name.endswith(".tgz") else None


def parse_document(kept: bytes) -> dict[str, Any]:
    """Raises BadRequest."""
    try:
        document = orjson.loads(kept)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not valid JSON: {quoted(error)}") from None
    if not isinstance(document, dict):
        raise BadRequest("the body is not a JSON object")
    return document


def _whole(text: bytes, *, is_last: bool) -> tuple[bytes, bytes]:
    """As much of base64 as can be decoded by itself, and the rest."""
    if b"\\" in text:  # some write a slash as `\/`
        cut = 1 if text.endswith(b"\\") and not is_last else 0
        text, tail = (text[:-1], text[-1:]) if cut else (text, b"")
        text = text.replace(b"\\/", b"/")
        if b"\\" in text:
            raise BadRequest("the data of the tarball is not base64")
    else:
        tail = b""
    if is_last:
        return text, b""
    end = len(text) - len(text) % 4
    return text[:end], text[end:] + tail


def _decoded(encoded: bytes) -> bytes:
    try:
        return b64decode(encoded, validate=True)
    except (Error, ValueError):
        raise BadRequest("the data of the tarball is not base64") from None
