"""Documents that are computed from what is stored: made once, kept ready to be sent, and never the truth.

A variant of a document (one media type, one encoding) has a name that says all that it depends on: the
revision of a package, the id of a blob. So nothing here expires, and the ETag is known before there are any
bytes. What is small is in the memory of the worker; what is large is a file that all workers share and the
server sends by itself. A file that nobody has asked for in a while is swept.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import xxhash
from blacksheep import Content, Request, Response

from nora._speedups import DURABLE_NOT, store_file
from nora.blobs.files import list_idle, remove
from nora.errors import NoraError
from nora.http.conditions import is_unchanged
from nora.http.context import RequestContext
from nora.http.encodings import Encoding, choose_encoding
from nora.http.memory import MemoryCache
from nora.http.send import FileContent, Header, SizedContent, stat_to_send
from nora.http.tasks import spawn

_log = logging.getLogger(__name__)

LARGE: Final = 1 << 20
"""Bytes beyond which a variant is a file, whatever room there is in memory."""
IDLE_SECONDS: Final = 3600.0
"""How long a file is kept that nobody asks for: longer than any transfer of it takes to begin."""
TOUCH_SECONDS: Final = 60.0
USED_SECONDS: Final = 900.0
"""How long a file is kept that was asked for, whatever else wants its room."""
MOST_BYTES: Final = 4 << 30
"""Of all files: what a document depends on may be chosen by clients, such as the host that they ask. On small
file systems it is a tenth of them."""

Make = Callable[[], Awaitable[bytes]]
MakeEncoded = Callable[[Encoding], Awaitable[bytes]]

VARY_ENCODING: Final = (b"vary", b"Accept-Encoding")
"""What tells caches that there are variants: those of one media type."""
VARY_ALL: Final = (b"vary", b"Accept, Accept-Encoding")
"""Those of several."""


class RenderCache:
    """The variants that one worker has in memory, and those that all workers have in `folder`."""

    def __init__(
        self,
        memory: MemoryCache,
        folder: str,
        *,
        salt: str,
        reserve_bytes: int,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """`salt` is what all documents depend on: the version of NORA, its public URL. Of the file system
        `reserve_bytes` stay free."""
        self._memory = memory
        self._folder = folder
        self._salt = salt
        self._reserve_bytes = reserve_bytes
        self._most_bytes = most_bytes
        self._largest = min(LARGE, memory.largest)
        self._making: dict[str, asyncio.Task[Content | NoraError]] = {}

    def name(self, *depends_on: object) -> str:
        """The name of a variant, 32 hexadecimal digits. The `repr` of what it depends on tells it apart."""
        return xxhash.xxh3_128_hexdigest(f"{self._salt}{depends_on!r}".encode())

    async def response(
        self, request: Request, name: str, make: Make, *, media_type: bytes, headers: Sequence[Header]
    ) -> Response:
        """The variant of a name, made if need be; 304 to who has it. Raises what `make` raises."""
        etag = b'"%b"' % name.encode()
        head = [*headers, (b"etag", etag)]
        if is_unchanged(request, etag):
            return Response(304, head)
        content = await self._content(name, make, media_type)
        if request.method == "HEAD":
            return Response(200, head, SizedContent(media_type, content.length))
        return Response(200, head, content)

    async def data(self, name: str, make: Make) -> bytes:
        """The bytes of a small document, for who makes more of it than an answer. Raises what `make` does."""
        content = await self._content(name, make, b"")
        if isinstance(content, FileContent):
            return await asyncio.to_thread(Path(content.path).read_bytes)
        return bytes(content.body)

    async def variant(
        self,
        context: RequestContext,
        depends_on: tuple[object, ...],
        make: MakeEncoded,
        *,
        media_type: str,
        headers: Sequence[Header],
        vary: Header = VARY_ENCODING,
    ) -> Response:
        """As `response`, in the encoding that the client likes best: `make` makes it in that one."""
        encoding = choose_encoding(context.header(b"accept-encoding"))
        return await self.response(
            context.request,
            self.name(media_type, encoding.value, *depends_on),
            lambda: make(encoding),
            media_type=media_type.encode(),
            headers=(vary, *encoding.headers, *headers),
        )

    async def piece(self, depends_on: tuple[object, ...], make: Make) -> bytes:
        """A small part of answers that is made of what is stored, kept in memory as long as there is room."""
        name = self.name("piece", *depends_on)
        data = self._memory.get(name)
        if data is None:
            data = await make()
            self._memory.put(name, data)
        return data

    async def sweep(self) -> None:
        """Remove the files that nobody asks for any more."""
        await asyncio.to_thread(self._sweep)

    async def _content(self, name: str, make: Make, media_type: bytes) -> Content:
        content = self._find(name, media_type)
        if content is not None:
            return content
        task = self._making.get(name)
        if task is None:
            task = self._making[name] = spawn(self._make(name, make, media_type), f"making {name}")
            task.add_done_callback(lambda _: self._making.pop(name, None))
        made = await asyncio.shield(task)
        if isinstance(made, NoraError):
            raise made
        return made

    def _find(self, name: str, media_type: bytes) -> Content | None:
        data = self._memory.get(name)
        if data is not None:
            return Content(media_type, data)
        path = Path(self._folder, name)
        try:
            found = stat_to_send(str(path))
            if time.time() - found.st_mtime > TOUCH_SECONDS:
                os.utime(path)
        except OSError:
            return None
        return FileContent(media_type, found.st_size, str(path))

    async def _make(self, name: str, make: Make, media_type: bytes) -> Content | NoraError:
        """An error of ours is for those who wait, not for the log."""
        try:
            data = await make()
        except NoraError as error:
            return error
        if len(data) > self._largest:
            try:
                await asyncio.to_thread(self._store, name, data)
            except OSError as error:  # it can be sent all the same
                _log.warning("a derived document cannot be kept: %s", error.strerror)
            else:
                return FileContent(media_type, len(data), f"{self._folder}/{name}")
        self._memory.put(name, data)
        return Content(media_type, data)

    def _store(self, name: str, data: bytes) -> None:
        room = os.statvfs(self._folder)
        if room.f_bavail * room.f_frsize < self._reserve_bytes + len(data):
            raise OSError(0, "there is no room")
        self._make_room(min(self._most_bytes, room.f_blocks * room.f_frsize // 10) - len(data))
        temp = f"{self._folder}/{os.urandom(8).hex()}"
        # a crash may take it: it is made again
        store_file(temp, f"{self._folder}/{name}", data, DURABLE_NOT)

    def _make_room(self, most: int) -> None:
        """Remove what was not used for longest until all is within `most` bytes. Raises OSError."""
        found: list[tuple[float, int, str]] = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    told = entry.stat()
                    found.append((told.st_mtime, told.st_size, entry.path))
        total = sum(size for _, size, _ in found)
        for used, size, path in sorted(found):
            if total <= most or time.time() - used < USED_SECONDS:
                break
            remove(path)
            total -= size
        if total > most:
            raise OSError(0, "there are too many of them")

    def _sweep(self) -> None:
        for name in list_idle(self._folder, IDLE_SECONDS):
            with suppress(OSError):
                remove(f"{self._folder}/{name}")
