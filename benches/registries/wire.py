"""A small HTTP/1.1 client on a bare socket: what it costs must not hide what the registry costs."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

Address = tuple[str, int]
Buffer = bytes | bytearray | memoryview

SCRATCH = 256 * 1024
KEEP_BELOW = 8 * 1024 * 1024


class WireError(Exception):
    """The registry closed, stalled or answered something that is not HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One response. ``body`` is empty when it was only counted; ``size`` is what came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    size: int
    sha256: str | None = None

    def expect(self, *statuses: int) -> Answer:
        """Return the answer itself, or raise WireError with the registry's own words."""
        if self.status not in statuses:
            raise WireError(f"expected {statuses}, got {self.status}: {self.body[:300]!r}")
        return self

    @property
    def location(self) -> str:
        """The path and query of Location, which may be absolute or relative (RFC 9110 10.2.2)."""
        parts = urlsplit(self.headers["location"])
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


class Wire:
    """One client. ``keep_alive=False`` opens a connection for each request, as docker does.

    ``headers`` are ready lines, each with its CRLF, that every request has.
    """

    def __init__(
        self, address: Address, *, keep_alive: bool = True, timeout: float = 60.0, headers: str = ""
    ) -> None:
        self.address = address
        self.keep_alive = keep_alive
        self.timeout = timeout
        self._socket: socket.socket | None = None
        self._pending = bytearray()
        self._scratch = memoryview(bytearray(SCRATCH))
        connection = "" if keep_alive else "Connection: close\r\n"
        self._host = f"Host: {address[0]}:{address[1]}\r\n{connection}{headers}"

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection, if there is one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._pending.clear()

    def ask(
        self,
        method: str,
        path: str,
        headers: str = "",
        body: Sequence[Buffer] = (),
        *,
        chunked: bool = False,
        keep: bool = True,
        digest: bool = False,
    ) -> Answer:
        """Send one request and read its whole answer.

        ``headers`` are ready lines, each with its CRLF. ``body`` is sent as it is: with ``chunked`` the
        buffers already carry their chunk framing. With ``keep=False`` the body is counted, not kept.
        Raises WireError and OSError.
        """
        framing = ""
        if chunked:
            framing = "Transfer-Encoding: chunked\r\n"
        elif body or method in {"POST", "PUT", "PATCH"}:
            framing = f"Content-Length: {sum(map(len, body))}\r\n"
        head = f"{method} {path} HTTP/1.1\r\n{self._host}{headers}{framing}\r\n".encode("ascii")
        try:
            self._send(head, body)
            answer = self._receive(method, keep, digest)
        except BaseException:
            self.close()
            raise
        if not self.keep_alive or answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    def _send(self, head: bytes, body: Sequence[Buffer]) -> None:
        if self._socket is None:
            self._socket = socket.create_connection(self.address, timeout=self.timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sum(map(len, body)) <= SCRATCH:
            self._socket.sendall(b"".join((head, *body)))
            return
        self._socket.sendall(head)
        for part in body:
            self._socket.sendall(part)

    def _receive(self, method: str, keep: bool, digest: bool) -> Answer:
        while (end := self._pending.find(b"\r\n\r\n")) < 0:
            self._fill()
        lines = bytes(self._pending[:end]).decode("latin-1").split("\r\n")
        del self._pending[: end + 4]
        status = int(lines[0].split(" ", 2)[1])
        if status == 100:
            return self._receive(method, keep, digest)
        fields = (line.partition(":") for line in lines[1:])
        headers = {name.lower(): value.strip() for name, _, value in fields}
        if method == "HEAD" or status in {204, 304}:
            return Answer(status, headers, b"", 0)
        if headers.get("transfer-encoding") == "chunked":
            body = b"".join(self._chunks())
            return Answer(status, headers, body, len(body))
        length = int(headers.get("content-length", "0"))
        if keep and length <= KEEP_BELOW:
            body = self._take(length)
            return Answer(status, headers, body, length)
        return Answer(status, headers, b"", length, self._drain(length, digest))

    def _fill(self) -> None:
        assert self._socket is not None
        if not (data := self._socket.recv(SCRATCH)):
            raise WireError("the connection ended in the middle of an answer")
        self._pending += data

    def _take(self, length: int) -> bytes:
        while len(self._pending) < length:
            self._fill()
        taken = bytes(self._pending[:length])
        del self._pending[:length]
        return taken

    def _drain(self, length: int, digest: bool) -> str | None:
        assert self._socket is not None
        hasher = hashlib.sha256() if digest else None
        first = self._take(min(length, len(self._pending)))
        if hasher:
            hasher.update(first)
        left = length - len(first)
        while left:
            got = self._socket.recv_into(self._scratch, min(left, SCRATCH))
            if not got:
                raise WireError(f"the connection ended {left} bytes early")
            if hasher:
                hasher.update(self._scratch[:got])
            left -= got
        return hasher.hexdigest() if hasher else None

    def _chunks(self) -> Iterable[bytes]:
        while True:
            while (end := self._pending.find(b"\r\n")) < 0:
                self._fill()
            length = int(bytes(self._pending[:end]).partition(b";")[0], 16)
            del self._pending[: end + 2]
            chunk = self._take(length + 2)[:-2]
            if not length:
                return
            yield chunk


def framed(data: Buffer, chunk: int = 32 * 1024) -> list[bytes]:
    """Frame ``data`` for Transfer-Encoding: chunked, without the last chunk, in pieces of about 1 MiB.

    32 KiB is what docker sends: Go's io.Copy.
    """
    view = memoryview(data)
    pieces: list[bytes] = []
    for start in range(0, len(view), 1024 * 1024):
        block = view[start : start + 1024 * 1024]
        parts: list[Buffer] = []
        for offset in range(0, len(block), chunk):
            part = block[offset : offset + chunk]
            parts += (b"%x\r\n" % len(part), part, b"\r\n")
        pieces.append(b"".join(parts))
    return pieces


LAST_CHUNK = b"0\r\n\r\n"
