"""Stores for commands: filled through a server, and damaged."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import httpx

from tests.support.in_process import application

LARGE = os.urandom(300_000)


def play(folder: Path, *asked: tuple[str, str, bytes]) -> list[httpx.Response]:
    """Requests to a server of the store: method, path, body."""

    async def ask() -> list[httpx.Response]:
        async with application(folder) as http:
            return [await http.request(method, path, content=body) for method, path, body in asked]

    return asyncio.run(ask())


def get(folder: Path, path: str) -> httpx.Response:
    return play(folder, ("GET", path, b""))[0]


def put(folder: Path, path: str, data: bytes) -> httpx.Response:
    return play(folder, ("PUT", path, data))[0]


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 4]))


def object_of(folder: Path, data: bytes) -> Path:
    """The file with these bytes."""
    (found,) = (folder / "storage" / "blobs").rglob(f"{hashlib.sha256(data).hexdigest()}-*")
    return found
