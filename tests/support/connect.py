"""An HTTP proxy of the loopback that knows other ways: `CONNECT host:443` ends where the test says.

with connecting({"registry-1.docker.io:443": up.port}) as proxy:
    …, env={"HTTPS_PROXY": proxy.url}
    assert "registry-1.docker.io:443" in proxy.asked
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.support.server import HOST

STALLED_SECONDS = 60.0


@dataclass(slots=True)
class Proxy:
    """The running proxy, and what was asked of it."""

    port: int
    ways: Mapping[str, int]
    """The port of the loopback behind `host:port`; everything else is refused."""
    asked: list[str] = field(default_factory=list)
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connected, args=(connection,), daemon=True).start()

    def close(self) -> None:
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _connected(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            connection.settimeout(STALLED_SECONDS)
            head = b""
            while b"\r\n\r\n" not in head and (received := connection.recv(1 << 16)):
                head += received
            method, wanted, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
            self.asked.append(wanted)
            if method != "CONNECT" or wanted not in self.ways:
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection((HOST, self.ways[wanted]), STALLED_SECONDS) as other:
                connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                self._splice(connection, other)

    def _splice(self, one: socket.socket, other: socket.socket) -> None:
        with self._lock:
            self._open |= {one, other}
        back = threading.Thread(target=_copy, args=(other, one), daemon=True)
        back.start()
        _copy(one, other)
        back.join(STALLED_SECONDS)
        with self._lock:
            self._open -= {one, other}


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while received := source.recv(1 << 16):
            target.sendall(received)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def connecting(ways: Mapping[str, int]) -> Iterator[Proxy]:
    """A proxy on a free port; nothing of it is left afterwards."""
    with socket.create_server((HOST, 0)) as listener:
        proxy = Proxy(listener.getsockname()[1], ways)
        accepting = threading.Thread(target=proxy.serve, args=(listener,), daemon=True)
        accepting.start()
        try:
            yield proxy
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            proxy.close()
            accepting.join(60)
