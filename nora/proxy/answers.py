"""What a client gets of the cache: files, stored or on their way, and what is said of stale documents."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from blacksheep import Request, Response

from nora._speedups import parse_range
from nora.catalog.records import Blob
from nora.errors import NotFound, RangeNotSatisfiable, UpstreamFailed
from nora.http.conditions import conditions_of, http_date
from nora.http.kept_answers import Until, give_once
from nora.http.pulls import answer_with
from nora.http.send import PassedContent, SizedContent, blob_response
from nora.outbound.headers import parse_date
from nora.resolve.deadline import work_for_all

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from nora.blobs.base import BlobStore
    from nora.catalog.records import Cached
    from nora.http.kept_answers import Stamp
    from nora.http.memory import MemoryCache
    from nora.http.send import Header
    from nora.proxy.base import Document, FileRequest
    from nora.proxy.cache import Cache
    from nora.proxy.in_flight import InFlightFile

HEAD_WAIT_SECONDS: Final = 10.0
"""How long the head of an answer waits for the first byte of its body: until then an error has its status.
So long a part waits for its bytes, too, before it is asked for by itself."""
PIECE_BYTES: Final = 64 << 10
LONGEST_AGE: Final = 86_400
KEPT_SECONDS: Final = 5.0
"""How long an answer is given again that upstreams were asked for."""
NO_CACHE: Final = (b"cache-control", b"no-cache")
_ACCEPT_RANGES: Final = (b"accept-ranges", b"bytes")
STALE: Final = ((b"x-nora-stale", b"true"), (b"warning", b'110 - "Response is Stale"'))

_log = logging.getLogger(__name__)


class Services(Protocol):
    """What is needed of nora.formats.base.Services."""

    @property
    def blobs(self) -> BlobStore: ...
    @property
    def memory(self) -> MemoryCache: ...
    @property
    def cache(self) -> Cache: ...


def stale_headers(document: Document) -> tuple[Header, ...]:
    """What the answer made of a document says about its age: nothing, unless it is stale (RFC 9111, 5.5)."""
    return STALE if document.is_stale else ()


def age_headers(documents: Sequence[Document], *, public: bool) -> tuple[Header, ...]:
    """For as long as nobody would be asked for what they are made of; a stale copy not at all."""
    stale = staleness(documents)
    if stale:
        return (NO_CACHE, *stale)
    fresh_until = min(document.cached.fresh_until for document in documents)
    age = int(max(0.0, min(fresh_until - time.time(), LONGEST_AGE)))
    return ((b"cache-control", b"%b, max-age=%d" % (b"public" if public else b"private", age)),)


def kept_while(documents: Sequence[Document], stamp: Stamp | None) -> Stamp | None:
    """How long an answer may be given again that is made of these documents, and of rows for which the stamp
    stands: not beyond their freshness, a stale one not at all, and not for long: what an upstream that was
    asked does not have is in no row."""
    if stamp is None or staleness(documents):
        return None
    left = min((document.cached.fresh_until for document in documents), default=inf) - time.time()
    return Until(stamp, min(KEPT_SECONDS, left))


def staleness(documents: Sequence[Document]) -> tuple[Header, ...]:
    """As `stale_headers`, of an answer that is made of several."""
    return tuple({header for document in documents for header in stale_headers(document)})


def modified_of(cached: Cached) -> float | None:
    """Since when the upstream says that this is so, in seconds since the epoch; None: it does not."""
    return parse_date(cached.validators.get("last-modified", ""))


async def file_response(
    request: Request,
    services: Services,
    file: FileRequest,
    *,
    headers: Sequence[Header],
    etag: bytes | None,
    modified: float | None = None,
    what: str,
) -> Response:
    """A file, as far as the client wants it, from the store or while it comes in. See `blob_response`.

    `etag` is a strong validator, quotes included; None: the digest, once that is known. `modified` as
    there. A HEAD of a file that is not here costs no GET of an upstream. Raises NotFound, naming `what`,
    where no upstream has it; UpstreamFailed and its kinds, RangeNotSatisfiable, PreconditionFailed,
    StorageFailed, StorageFull. What fails after the head was sent cuts the connection.
    """
    if file.place is not None:
        answer_with(request, *file.place)
    answer = _Answer(request, services, file, headers, etag, modified)
    try:
        return await (answer.head() if request.method == "HEAD" else answer.get())
    except NotFound as error:
        raise NotFound(f"there is no {what}") from error


class _Answer:
    """The answer to one request."""

    def __init__(
        self,
        request: Request,
        services: Services,
        file: FileRequest,
        headers: Sequence[Header],
        etag: bytes | None,
        modified: float | None,
    ) -> None:
        digest = file.expect.digest
        self._modified = modified
        self._conditions = conditions_of(request.scope["headers"])
        self._request = request
        self._services = services
        self._file = file
        self._headers = headers
        self._etag = etag or (_tag(digest) if digest is not None and digest.algorithm == "sha256" else None)
        self._media_type = file.media_type.encode("latin-1")

    async def head(self) -> Response:
        blob = await self._file.found()
        if blob is not None:
            return await self._stored(blob)
        give_once(self._request)  # no row moves when its upstream has it no more
        size = await self._services.cache.size(self._file)
        if self._is_unchanged():
            return Response(304, self._head())
        return Response(200, self._head(), SizedContent(self._media_type, -1 if size is None else size))

    async def get(self) -> Response:
        found = await self._services.cache.file(self._file)
        if found is None:
            raise NotFound("no upstream has this file")
        return await (self._stored(found) if isinstance(found, Blob) else self._coming(found))

    async def _stored(self, blob: Blob) -> Response:
        return await blob_response(
            self._request,
            self._services.blobs,
            self._services.memory,
            blob,
            media_type=self._media_type,
            headers=self._headers,
            etag=self._etag or _tag(blob.digest),
            modified=self._modified,
        )

    async def _coming(self, in_flight: InFlightFile) -> Response:
        """A file on its way."""
        if self._is_unchanged():
            return Response(304, self._head())
        part = self._requested_part(in_flight.total)
        seconds = min(HEAD_WAIT_SECONDS, self._services.cache.seconds_left())
        is_there = await _reached(in_flight, part[0] if part else 0, seconds)
        if in_flight.over:
            blob = await in_flight.end()
            if blob is None:
                raise NotFound("no upstream has this file")
            return await self._stored(blob)
        part = self._requested_part(in_flight.total)  # it may have begun anew
        if part is None or in_flight.total is None:
            total = -1 if in_flight.total is None else in_flight.total
            return Response(200, self._head(), _streamed(in_flight.read(), self._media_type, total))
        first, last = part
        head = [*self._head(), (b"content-range", b"bytes %d-%d/%d" % (first, last, in_flight.total))]
        if is_there or self._file.expect.digest is None:
            pieces = in_flight.read(first, last + 1)
        else:
            pieces = _passed(self._file, in_flight, first, last + 1)
        return Response(206, head, _streamed(pieces, self._media_type, last + 1 - first))

    def _head(self) -> list[Header]:
        tag = () if self._etag is None else ((b"etag", self._etag),)
        date = () if self._modified is None else ((b"last-modified", http_date(self._modified)),)
        return [*self._headers, *tag, *date, _ACCEPT_RANGES]

    def _is_unchanged(self) -> bool:
        return self._etag is not None and self._conditions.is_unchanged(self._etag, self._modified)

    def _requested_part(self, total: int | None) -> tuple[int, int] | None:
        """The first and last byte that are asked for; None: all, as where the size is not known yet."""
        conditions = self._conditions
        if conditions.range is None or total is None:
            return None
        if not conditions.allow_range(self._etag or b"", self._modified):
            return None
        try:
            return parse_range(conditions.range.decode("latin-1"), total)
        except ValueError:
            raise RangeNotSatisfiable(total) from None


def _tag(digest: str) -> bytes:
    return b'"%b"' % digest.encode()


async def _reached(in_flight: InFlightFile, first: int, seconds: float) -> bool:
    """Whether the byte at `first` can be read, waited for as long as a client may be kept waiting."""
    try:
        async with asyncio.timeout(seconds):
            await in_flight.reaches(first + 1)
    except TimeoutError:
        return False
    return True


def _streamed(pieces: AsyncGenerator[bytes, None], media_type: bytes, size: int) -> PassedContent:
    async def provider() -> AsyncGenerator[bytes, None]:
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    return PassedContent(media_type, provider, size)


async def _passed(
    file: FileRequest, in_flight: InFlightFile, first: int, stop: int
) -> AsyncGenerator[bytes, None]:
    """Bytes first..stop (exclusive) straight from an upstream, kept by nobody: the client knows the digest of
    the whole. What the upstreams do not give is waited for after all."""
    work_for_all()  # the client has the head of its answer
    with in_flight.wanted():
        async with aclosing(_asked(file, in_flight, first, stop)) as pieces:
            async for piece in pieces:
                first += len(piece)
                yield piece
        if first < stop:
            async for piece in in_flight.read(first, stop):
                yield piece


async def _asked(
    file: FileRequest, in_flight: InFlightFile, first: int, stop: int
) -> AsyncGenerator[bytes, None]:
    """As many of these bytes as the upstreams give."""
    for address in file.addresses:
        headers = {**address.headers, "range": f"bytes={first}-{stop - 1}"}
        try:
            stream = address.upstream.stream(address.url, headers, max_bytes=stop - first)
            async with stream as answer:
                total = in_flight.total
                if answer is None or total is None or answer.range != (first, stop - 1, total):
                    continue
                async for received in answer:
                    for start in range(0, len(received), PIECE_BYTES):
                        piece = received[start : start + PIECE_BYTES]
                        first += len(piece)
                        yield piece
        except UpstreamFailed as error:
            _log.info("a part of a file of %s: %s", address.upstream.url, error)
        if first == stop:
            return
