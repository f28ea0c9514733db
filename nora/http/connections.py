"""Connections on which nothing happens: closed in time, and never so many that others get none.

The server ends a head of HTTP/1 that does not come, and an idle HTTP/1 connection. It waits for ever for the
bytes that tell HTTP/1 from HTTP/2, for the next request of HTTP/2, and for a client that has stopped reading.
A connection that waits has its place among those that are served at a time. So the sockets of this process
are looked at from outside, once a second: Linux knows of each when bytes last moved.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import stat
import struct
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final

from nora.config import ServerSettings
from nora.http.clients import Clients
from nora.processes import descriptor_budget

_log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
PRESSED_LOOK_SECONDS: Final = 0.05
"""Between two looks, while what the next one may close takes the places of others."""
SILENT_SECONDS: Final = 0.5
"""How long a client may take for its first byte when places are scarce."""
FILE_SECONDS: Final = 600.0
"""How long a connection of HTTP/2 that was sent a file may be idle: its client may have stopped reading."""
STOPPED_SECONDS: Final = 600.0
"""How long a client may take nothing of what is on its way to it: one that lives, and does not read."""
SPARES: Final = 16
MOST_REFUSED: Final = 4096
"""Of those who wait to be accepted, at one look: others may come as fast as they are refused."""
MOST_NUMBERS: Final = 1 << 17
"""Descriptors are given out from below: those of connections are far below it, whatever the limit is."""
_NONE_LEFT: Final = frozenset({errno.EMFILE, errno.ENFILE})
_LOG_SECONDS: Final = 60.0
_TCP_INFO: Final = 11
_INFO: Final = struct.Struct("=24xI16xI4xI64xQQ8xI")
"""Of tcp_info (linux/tcp.h): unacked, last_data_sent, last_data_recv, bytes_acked, bytes_received,
notsent_bytes."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What the system knows of a connection of a client."""

    descriptor: int
    address: str
    port: int
    silent: bool
    """Not one byte has come."""
    sending: bool
    """Something is on its way to the client that it has not confirmed."""
    taken: int
    """Bytes that it has confirmed."""
    idle: float
    """Seconds since a byte moved."""

    @property
    def key(self) -> tuple[int, str, int]:
        """What tells it from a later one with the same descriptor."""
        return self.descriptor, self.address, self.port


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections there may be in a worker, and for how long."""

    header_timeout: float
    most: int
    """That are served at a time. Those that are only in the handshake of TLS come on top."""

    @classmethod
    def build(cls, settings: ServerSettings) -> ConnectionLimits:
        """Those of a worker of this server."""
        return cls(settings.header_timeout, descriptor_budget().connections)

    @property
    def of_client(self) -> int:
        """Those of one address, or of one IPv6 network."""
        return self.most // 2

    def are_scarce(self, count: int) -> bool:
        """Whether there are so many that silent ones take the places of others."""
        return count >= self.most * 3 // 4


class ConnectionWatch:
    """Looks at the connections of this process, and closes those that are not to be kept."""

    def __init__(
        self,
        port: int,
        limits: ConnectionLimits,
        clients: Clients,
        in_flight: Mapping[int, tuple[str, str] | None],
        files_sent: dict[str, float],
    ) -> None:
        """`in_flight` are the peers of all requests that are being answered, `files_sent` says when HTTP/2
        was last sent a file, by the port of the peer, which the server
        tells as a text. Both are written while this is used."""
        self._port = port
        self._limits = limits
        self._sockets = OpenSockets()
        self._clients = clients
        self._in_flight = in_flight
        self._files_sent = files_sent
        self._suspects: frozenset[tuple[int, str, int]] = frozenset()
        self._taken: dict[tuple[int, str, int], tuple[int, float]] = {}
        """What who is being sent something has taken of it, and since when it is no more."""
        self._told_at = -_LOG_SECONDS

    async def run(self) -> None:
        """Look once, and again and again for as long as that makes room."""
        pressed = sys.platform.startswith("linux")
        while pressed:
            pressed = await asyncio.to_thread(self.look)
            if pressed:
                await asyncio.sleep(PRESSED_LOOK_SECONDS)

    def look(self) -> bool:
        """Close what is not to be kept. Whether places are scarce, and the next look may make room."""
        found = list(self._sockets.connections(self._port))
        busy = {int(peer[1]) for peer in list(self._in_flight.values()) if peer is not None}
        scarce = self._limits.are_scarce(len(found))
        idle = [one for one in found if one.port not in busy and not one.sending and self._is_late(one)]
        # Twice in a row: an answer may be between the application and the socket.
        self._close((one for one in idle if one.key in self._suspects), socket.SHUT_RD)
        self._suspects = frozenset(one.key for one in idle)
        if scarce:
            self._close((one for one in found if one.silent and one.idle > SILENT_SECONDS), socket.SHUT_RDWR)
        self._close(self._stopped(found), socket.SHUT_RDWR)
        beyond = list(self._beyond_share(found, busy))
        self._close(beyond, socket.SHUT_RDWR)
        if self._sockets.exhausted:
            self._sockets.empty_queue()
        elif not scarce:
            self._sockets.reserve()
        present = {str(one.port) for one in found}
        for port in [port for port in list(self._files_sent) if port not in present]:
            self._files_sent.pop(port, None)
        return self._sockets.exhausted or (scarce and (bool(beyond) or any(one.silent for one in found)))

    def _is_late(self, one: Connection) -> bool:
        if one.idle < self._limits.header_timeout:
            return False
        sent = self._files_sent.get(str(one.port))
        return sent is None or time.monotonic() - sent > FILE_SECONDS

    def _stopped(self, found: Iterable[Connection]) -> list[Connection]:
        """The connections of clients that have stopped reading."""
        now, before, self._taken = time.monotonic(), self._taken, {}
        stopped = []
        for one in found:
            if one.sending:
                taken, since = before.get(one.key, (-1, now))
                since = since if taken == one.taken else now
                self._taken[one.key] = one.taken, since
                if now - since > STOPPED_SECONDS and taken == one.taken:
                    stopped.append(one)
        return stopped

    def _beyond_share(self, found: Iterable[Connection], busy: Collection[int]) -> Iterator[Connection]:
        """The connections by which a client has more than its share: those that do nothing, longest first."""
        shares: dict[str, list[Connection]] = {}
        for one in found:
            shares.setdefault(network_of(one.address), []).append(one)
        for network, its in shares.items():
            excess = len(its) - self._limits.of_client
            if excess > 0 and not self._clients.is_trusted(its[0].address):
                self._tell(network, len(its))
                its.sort(key=lambda one: (one.port in busy or one.sending, -one.idle))
                yield from its[:excess]

    def _tell(self, network: str, count: int) -> None:
        now = time.monotonic()
        if now - self._told_at >= _LOG_SECONDS:
            self._told_at = now
            _log.warning(
                "%s has %d connections, more than a client may have of the %d of a worker: some are closed; "
                "is it a reverse proxy, name it in auth.trusted_proxies",
                network,
                count,
                self._limits.most,
            )

    def _close(self, those: Iterable[Connection], how: int) -> None:
        """End connections, if their descriptors are still theirs: the server then sees that they ended, and
        closes them. With SHUT_RD it still reads, and answers, what has come meanwhile."""
        for one in those:
            with suppress(OSError), self._sockets.opened(one.descriptor) as found:
                if found.getpeername()[:2] == (one.address, one.port):
                    found.shutdown(how)


class OpenSockets:
    """The sockets of this process, looked at by the descriptors that the server has: there may be none left.

    No descriptor is ever copied. Closing a copy of a file's would give up all locks that the process has on
    that file (fcntl(2)), those of the catalog among them. So what a number means may change while it is
    looked at: a connection that has just come may then be ended instead of one that has just gone.
    """

    def __init__(self) -> None:
        self._spares: list[int] = []
        self._listeners: list[int] = []
        self.exhausted = False
        """Whether no descriptor was left when the connections were last looked at."""
        self.reserve()

    def close(self) -> None:
        """Give the descriptors back."""
        self._release()

    def reserve(self) -> None:
        """Keep some descriptors for when there are no others."""
        with suppress(OSError):
            while len(self._spares) < SPARES:
                self._spares.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def _release(self) -> None:
        while self._spares:
            os.close(self._spares.pop())

    def empty_queue(self) -> None:
        """Refuse who waits to be accepted, and leave descriptors for who comes next. With TLS the server
        accepts as many as it can before it looks at those that it has, and never does without a descriptor
        for the next."""
        self._release()
        for listener in self._listeners:
            with suppress(OSError), self.opened(listener) as found:
                for _ in range(MOST_REFUSED):  # at the end of the queue it would block: an OSError
                    found.accept()[0].close()

    @contextmanager
    def opened(self, descriptor: int) -> Iterator[socket.socket]:
        """What a descriptor is of. Raises OSError where it is no socket."""
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, descriptor)
        try:
            yield found
        finally:
            found.detach()

    def connections(self, port: int) -> Iterator[Connection]:
        """The connections on which clients reached a port."""
        self._listeners = []
        for number in self._numbers():
            with suppress(OSError), self.opened(number) as found:
                own = found.getsockname()  # a text where it is no address of the internet
                if not isinstance(own, tuple) or own[1] != port:
                    continue
                if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    self._listeners.append(number)
                else:
                    yield _connection(number, found)

    def _numbers(self) -> Iterable[int]:
        try:
            with os.scandir("/proc/self/fd") as descriptors:
                self.exhausted = False
                return [int(one.name) for one in descriptors]
        except OSError as error:
            self.exhausted = error.errno in _NONE_LEFT
            # Without that directory (a sandbox has no /proc) nothing is known of connections
            return range(min(descriptor_budget().limit, MOST_NUMBERS)) if self.exhausted else ()


def _connection(number: int, found: socket.socket) -> Connection:
    info = found.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _INFO.size)
    address, peer = found.getpeername()[:2]
    unconfirmed, sent, received, taken, bytes_received, unsent = _INFO.unpack(info)
    return Connection(
        descriptor=number,
        address=address,
        port=peer,
        silent=bytes_received == 0,
        sending=unconfirmed > 0 or unsent > 0,
        taken=taken,
        idle=min(sent, received) / 1000,
    )


@lru_cache(4096)
def network_of(address: str) -> str:
    """The client that an address stands for: one of IPv6 has a whole network of 64 bits."""
    found: Any = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is None:
            return str(ip_network((found, 64), strict=False))
        found = found.ipv4_mapped
    return str(found)
