"""A format that another distribution brings: small, and able to misbehave in every way a test asks for.

`install` makes it discoverable for a server (an entry point in a folder on PYTHONPATH), as a wheel would.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import orjson
from blacksheep import Content, Request, Response, StreamedContent

from nora.blobs.base import Expect
from nora.catalog.records import Blob
from nora.errors import Conflict, MethodNotAllowed, NoraError, NotFound, StorageBusy, TooManyRequests
from nora.formats.base import Format, Handler, Services
from nora.http.body import read_body, stream_body
from nora.http.send import blob_response
from nora.model import Digest, Repository

LIMIT = 1024 * 1024
IDLE_SECONDS = 1.0
HOT_BODY = b"x" * 500
HOT_HEADERS = (
    (b"docker-content-digest", b"sha256:" + b"a" * 64),
    (b"etag", b'"sha256:' + b"a" * 64 + b'"'),
    (b"docker-distribution-api-version", b"registry/2.0"),
    (b"cache-control", b"public, max-age=31536000"),
)


def install(folder: Path) -> dict[str, str]:
    """Put the format where a server finds it; the environment for that server."""
    from tests.support.distributions import install_format  # the copy has no tests beside it

    return install_format(Path(__file__), folder, "nora_toy")


class Toy:
    """The handlers; what they saw is in `seen`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.seen: dict[str, object] = {}

    async def __call__(self, request: Request) -> Response:
        name, _, rest = request.scope["path"].removeprefix("/toy/").partition("/")
        handler = getattr(self, f"on_{name}", None)
        if handler is None:
            raise NotFound("no such toy")
        response: Response = await handler(request, rest)
        return response

    async def on_hot(self, request: Request, _: str) -> Response:
        return Response(200, list(HOT_HEADERS), Content(b"application/octet-stream", HOT_BODY))

    async def on_get(self, request: Request, _: str) -> Response:
        if request.method != "GET":
            raise MethodNotAllowed(("GET",))
        request.scope["nora.event"] = "download"
        return Response(200, None, Content(b"text/plain", b"toy"))

    async def on_put(self, request: Request, _: str) -> Response:
        await read_body(request, LIMIT, IDLE_SECONDS)
        request.scope["nora.event"] = "upload"
        return Response(201)

    async def on_refuse(self, request: Request, _: str) -> Response:
        raise Conflict("never")

    async def on_busy(self, request: Request, rest: str) -> Response:
        raise TooManyRequests("later", 7) if rest else StorageBusy("later")

    async def on_fail(self, request: Request, _: str) -> Response:
        raise RuntimeError("a secret of the house")

    async def on_status(self, request: Request, rest: str) -> Response:
        return Response(int(rest))

    async def on_pid(self, request: Request, _: str) -> Response:
        return Response(200, None, Content(b"text/plain", str(os.getpid()).encode()))

    async def on_slow(self, request: Request, rest: str) -> Response:
        print("toy/slow begins", flush=True)
        await asyncio.sleep(float(rest))
        return Response(200, None, Content(b"text/plain", b"done"))

    async def on_echo(self, request: Request, rest: str) -> Response:
        """Take a body; what became of it is at /toy/seen afterwards."""
        received = 0
        try:
            limit = int(rest) if rest else LIMIT
            async for piece in stream_body(request, limit=limit, idle_seconds=IDLE_SECONDS):
                received += len(piece)
        except NoraError as error:
            self.seen["echo"] = type(error).__name__
            raise
        self.seen["echo"] = received
        return Response(200, None, Content(b"text/plain", str(received).encode()))

    async def on_digest(self, request: Request, _: str) -> Response:
        """The digest of a body of any size."""
        digest = hashlib.sha256()
        async for piece in stream_body(request, limit=None, idle_seconds=60):
            digest.update(piece)
        return Response(200, None, Content(b"text/plain", digest.hexdigest().encode()))

    async def on_read(self, request: Request, _: str) -> Response:
        """A body taken with BlackSheep's own means."""
        body = await request.read() or b""
        return Response(200, None, Content(b"text/plain", str(len(body)).encode()))

    async def on_seen(self, request: Request, _: str) -> Response:
        return Response(200, None, Content(b"application/json", orjson.dumps(self.seen)))

    async def on_endless(self, request: Request, _: str) -> Response:
        self.seen["endless"] = "running"

        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield bytes(1024)
                    await asyncio.sleep(0.01)
            finally:
                self.seen["endless"] = "stopped"

        return Response(200, None, StreamedContent(b"application/octet-stream", pieces))

    async def on_short(self, request: Request, _: str) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"12345"

        return Response(200, None, StreamedContent(b"application/octet-stream", pieces, 10))

    async def on_stream(self, request: Request, rest: str) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            for number in range(int(rest)):
                yield b"%d\n" % number

        return Response(200, None, StreamedContent(b"text/plain", pieces))

    async def on_blob(self, request: Request, rest: str) -> Response:
        """PUT stores a blob and says where it is: nothing but the URL remembers it."""
        if request.method == "PUT":
            body = stream_body(request, limit=None, idle_seconds=30)
            async with self._services.blobs.ingest(body, Expect()) as new:
                blob = new.blob
                new.settle(Blob(0, blob.digest, blob.size, blob.generation))
            where = f"/toy/blob/{blob.digest}/{blob.size}/{blob.generation}"
            return Response(201, [(b"location", where.encode())])
        digest, size, generation = rest.split("/")
        return await blob_response(
            request,
            self._services.blobs,
            self._services.memory,
            Blob(0, Digest(digest), int(size), int(generation)),
            media_type=b"application/x-toy",
            headers=((b"x-toy", b"1"),),
            etag=f'"{digest}"'.encode(),
        )


def build(services: Services, repositories: Mapping[str, Repository]) -> Handler:
    """One toy for all repositories."""
    return Toy(services)


def render_error(error: NoraError, request: Request) -> Response:
    """The toy's own dialect."""
    return Response(error.status, None, Content(b"text/x-toy", f"toy: {error}".encode()))


FORMAT = Format(name="toy", title="Toy", mount="/toy/", build=build, render_error=render_error)
