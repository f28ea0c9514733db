"""Connections through an outbound proxy, which httpcore forgets to close when they come to nothing.

Where the proxy has made a tunnel and no secure connection comes of it, httpcore leaves the connection in its
pool as one that is in use, for ever: after as many failures as the pool has places, nobody gets through.
"""

from __future__ import annotations

import httpcore


class TunnelPool(httpcore.AsyncConnectionPool):
    """A pool of which every place is given back."""

    def create_connection(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        """As httpcore's."""
        return _Tunnel(super().create_connection(origin))


class _Tunnel(httpcore.AsyncConnectionInterface):
    """A connection that is closed when its first request fails."""

    def __init__(self, connection: httpcore.AsyncConnectionInterface) -> None:
        self._connection = connection
        self._is_proven = False

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        try:
            response = await self._connection.handle_async_request(request)
        except BaseException:
            if not self._is_proven:
                await self._connection.aclose()
            raise
        self._is_proven = True
        return response

    async def aclose(self) -> None:
        await self._connection.aclose()

    def info(self) -> str:
        return self._connection.info()

    def can_handle_request(self, origin: httpcore.Origin) -> bool:
        return self._connection.can_handle_request(origin)

    def is_available(self) -> bool:
        return self._connection.is_available()

    def has_expired(self) -> bool:
        return self._connection.has_expired()

    def is_idle(self) -> bool:
        return self._connection.is_idle()

    def is_closed(self) -> bool:
        return self._connection.is_closed()
