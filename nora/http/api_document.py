"""The document that describes the API, made with the first request for it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import orjson
from blacksheep import Content, Response

from nora.http.conditions import is_unchanged
from nora.http.encodings import Encoding, choose_encoding, compress
from nora.http.openapi import Mounted, make_document

if TYPE_CHECKING:
    from nora.http.context import RequestContext

_CHECKED = (b"cache-control", b"private, no-cache")
_VARY = (b"vary", b"Accept-Encoding")
_TYPE: Final = b"application/json"


class ApiDocument:
    """What `/api-docs/openapi.json` is, for everybody who may see it."""

    def __init__(self, mounted: Callable[[], Iterable[Mounted]], version: str, *, asks_who: bool) -> None:
        """`mounted` tells what is answered, once all of it is known; for the others see `make_document`."""
        self._mounted = mounted
        self._version = version
        self._asks_who = asks_who
        self._lock = asyncio.Lock()
        self._etag = b""
        self._bodies: dict[Encoding, bytes] = {}

    async def answer(self, context: RequestContext) -> Response:
        """The document, or that the client has it."""
        encoding = choose_encoding(context.header(b"accept-encoding"))
        async with self._lock:
            body = self._bodies.get(encoding)
            if body is None:
                body = await asyncio.to_thread(self._make, encoding)
        headers = [_CHECKED, _VARY, (b"etag", b"W/" + self._etag)]  # one for all codings
        if is_unchanged(context.request, self._etag):
            return Response(304, headers)
        return Response(200, [*headers, *encoding.headers], Content(_TYPE, body))

    def _make(self, encoding: Encoding) -> bytes:
        if not self._bodies:
            body = orjson.dumps(make_document(self._mounted(), self._version, asks_who=self._asks_who))
            self._etag = b'"%b"' % hashlib.sha256(body).hexdigest()[:32].encode()
            self._bodies[Encoding.IDENTITY] = body
        if encoding is not Encoding.IDENTITY:
            self._bodies[encoding] = compress(self._bodies[Encoding.IDENTITY], encoding)
        return self._bodies[encoding]
