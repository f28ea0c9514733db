"""A resolver of tests: names lead to any address, as the code sees it, and to the loopback in truth.

    resolving(monkeypatch, {"index.corp.example": "10.0.0.5"})
    await outbound.get(f"http://index.corp.example:{up.port}/simple/", terms)     # reaches `up`

Whoever asks for the address of the other side is told the one of the table.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Any

import pytest


class _Claimed(socket.socket):
    """A connection that claims to lead to another address than it does."""

    claimed: tuple[str, int]

    def getpeername(self) -> tuple[str, int]:
        return self.claimed


def resolving(monkeypatch: pytest.MonkeyPatch, addresses: Mapping[str, str]) -> list[str]:
    """The addresses that were connected to, as the table has them. Other names do not resolve."""
    connected: list[str] = []

    async def getaddrinfo(_: object, host: str, port: int, **__: object) -> list[Any]:
        if host not in addresses:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (addresses[host], port))]

    async def start_connection(found: list[Any], **_: object) -> socket.socket:
        *_, address = found[0]
        plain = socket.create_connection(("127.0.0.1", address[1]), timeout=5)
        made = _Claimed(fileno=plain.detach())
        made.claimed = address
        made.setblocking(False)
        connected.append(address[0])
        return made

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr("nora.outbound.network.start_connection", start_connection)
    return connected
