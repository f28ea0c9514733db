"""Connections that lead nowhere but to the internet."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nora.addresses import is_public
from nora.errors import UpstreamFailed
from nora.outbound.terms import CONNECT_SECONDS

if TYPE_CHECKING:
    import httpcore


class Guard:
    """httpcore's network backend that connects to public addresses only, and to those it has checked."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's protocol
        **options: Any,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, check, and connect to the first address that answers. Raises UpstreamFailed."""
        import httpcore

        try:
            async with asyncio.timeout(timeout or CONNECT_SECONDS):
                loop = asyncio.get_running_loop()
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = [str(address[0]) for *_, address in found if is_public(str(address[0]))]
        if not addresses:
            raise private_network(host)
        patience = (timeout or CONNECT_SECONDS) / len(addresses)
        for address in addresses[:-1]:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._backend.connect_tcp(address, port, timeout=patience, **options)
        return await self._backend.connect_tcp(addresses[-1], port, timeout=patience, **options)


def private_network(host: str) -> UpstreamFailed:
    """The error of what leads there."""
    return UpstreamFailed(f"{host} is in a private network, and not an address that the configuration names")
