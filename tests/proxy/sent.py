"""What a client gets of a response, without a server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from blacksheep import Request, Response

from nora.blobs.base import BlobStore
from nora.errors import NoraError
from nora.http.memory import MemoryCache
from nora.http.send import transmit
from nora.proxy.cache import Cache


@dataclass
class Services:
    blobs: BlobStore
    memory: MemoryCache
    cache: Cache


@dataclass
class Sent:
    """What went to a client, and how it ended."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    error: Exception | None


def asking(method: str = "GET", **headers: str) -> Request:
    """A request with these headers; `_` in names is `-`."""
    values = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    request = Request(method, b"/a", values)
    scope: Any = {"method": method, "headers": values, "extensions": {}}
    request.scope = scope
    return request


async def sent(request: Request, response: Response) -> Sent:
    """What goes to the client."""
    messages: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    error: Exception | None = None
    scope: Any = request.scope
    try:
        await transmit(response, (), scope, receive, send, {}, lambda _: None)
    except NoraError as failed:
        error = failed
    head, *parts = messages
    body = b"".join(part["body"] for part in parts)
    return Sent(head["status"], dict(head["headers"]), body, error)
