"""An upstream registry on the loopback: answers what a test says, as badly as it says, and remembers it.

    with upstream() as up:
        up.serve("/a/file", document(b"…"))
        up.once("/a/file", Answer(status=503), document(b"…", cut=10))    # first these, then the above
        up.fault = Answer(status=500)                                     # everything, until it is None again
        up.stop(); up.start()                                             # refuses connections, same port
        assert up.log.count("GET", "/a/file") == 3

One thread for each connection: they sleep in the kernel nearly always, so that 64 clients of 200 MiB cost
what copying costs. answers.py has what can be answered; upstream_process.py runs one in another process.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.client import responses
from itertools import pairwise
from math import isinf

from tests.support.answers import (
    Answer,
    Asked,
    absent,
    is_unchanged,
    pieces,
    size_of,
    wanted_range,
)
from tests.support.certificates import Certificates
from tests.support.server import HOST, free_port
from tests.support.waiting import PATIENCE_SECONDS

Handler = Callable[[Asked], Answer | None]
"""Answers the requests below its prefix; None: not its own."""
HEAD_BYTES = 1 << 16
STALLED_SECONDS = 120.0


@dataclass(slots=True)
class Log:
    """The requests in the order in which they came."""

    requests: list[Asked] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, asked: Asked) -> None:
        with self.changed:
            self.requests.append(asked)
            self.changed.notify_all()

    def of(self, method: str | None = None, path: str | None = None) -> list[Asked]:
        """Those with this method, and this path (with its query or without)."""
        return [
            one
            for one in list(self.requests)
            if method in (None, one.method) and path in (None, one.path, one.target)
        ]

    def count(self, method: str | None = None, path: str | None = None) -> int:
        return len(self.of(method, path))

    def paths(self, method: str | None = None) -> list[str]:
        return [one.path for one in self.of(method)]

    def clear(self) -> None:
        self.requests.clear()

    def wait(
        self,
        method: str | None = None,
        path: str | None = None,
        count: int = 1,
        timeout: float = PATIENCE_SECONDS,
    ) -> None:
        """Until there are so many. An AssertionError when there are not."""
        with self.changed:
            arrived = self.changed.wait_for(lambda: self.count(method, path) >= count, timeout)
        assert arrived, f"{method} {path}: {self.count(method, path)} of {count} in {self.paths()}"


class Upstream:
    """The server; `start` and `stop` may be called again and again, the port stays."""

    def __init__(self, port: int | None = None, tls: Certificates | None = None) -> None:
        self.port = port or free_port()
        self.log = Log()
        self.guard: Handler | None = None
        """Asked before everything else; None lets the request through."""
        self.fault: Answer | None = None
        """The answer to everything while it is set."""
        self.connections = 0
        """How many were accepted."""
        self._tls = tls
        self._answers: dict[tuple[str | None, str], Answer | Handler] = {}
        self._once: dict[tuple[str | None, str], deque[Answer]] = {}
        self._mounts: list[tuple[str, Handler]] = []
        self._gates: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._stopped = threading.Event()
        self._threads: set[threading.Thread] = set()
        self._open: set[socket.socket] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{HOST}:{self.port}"

    # What is answered

    def serve(self, path: str, answer: Answer | Handler, method: str | None = None) -> None:
        """Answer `path` (with a query, when it has one: only that) so from now on; None: any method."""
        self._answers[method, path] = answer

    def once(self, path: str, *answers: Answer, method: str | None = "GET") -> None:
        """Answer the next requests of `path` with these, one each."""
        with self._lock:
            self._once.setdefault((method, path), deque()).extend(answers)

    def mount(self, prefix: str, handler: Handler) -> None:
        """Answer everything below `prefix` that no other call is about; the last mount is asked first."""
        self._mounts.insert(0, (prefix, handler))

    def forget(self, path: str) -> None:
        """Answer `path` with 404 again."""
        for key in [key for key in self._answers if key[1] == path]:
            del self._answers[key]

    def open(self, gate: str) -> None:
        """Let the answers go on that wait for this gate, those to come too."""
        self._gate(gate).set()

    def _gate(self, name: str) -> threading.Event:
        with self._lock:
            return self._gates.setdefault(name, threading.Event())

    def _find(self, asked: Asked) -> Answer:
        found = self._planned(asked)
        if not isinstance(found, Answer) and found is not None:
            found = found(asked)
        if found is None:
            for prefix, handler in self._mounts:
                if asked.target.startswith(prefix) and (found := handler(asked)) is not None:
                    break
        return found or absent()

    def _planned(self, asked: Asked) -> Answer | Handler | None:
        if self.guard is not None and (refusal := self.guard(asked)) is not None:
            return refusal
        if self.fault is not None:
            return self.fault
        keys = [(method, path) for path in (asked.target, asked.path) for method in (asked.method, None)]
        with self._lock:
            for key in keys:
                if waiting := self._once.get(key):
                    return waiting.popleft()
        return next((self._answers[key] for key in keys if key in self._answers), None)

    # The server

    def start(self) -> None:
        self._stopped = threading.Event()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, self.port))
        listener.listen(512)
        self._listener = listener
        self._spawn(self._accept, listener, self._stopped)

    def stop(self) -> None:
        """Refuse connections and cut those that are open."""
        self._stopped.set()
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            connections, threads = list(self._open), list(self._threads)
            gates = list(self._gates.values())
            self._gates.clear()
        for gate in gates:
            gate.set()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(60)

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        def run() -> None:
            try:
                target(*args)
            finally:
                with self._lock:
                    self._threads.discard(thread)

        thread = threading.Thread(target=run, daemon=True, name=f"upstream {self.port}")
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _accept(self, listener: socket.socket, stopped: threading.Event) -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self._spawn(self._connected, connection, stopped)

    def _connected(self, connection: socket.socket, stopped: threading.Event) -> None:
        connection.settimeout(STALLED_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._tls is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self._tls.certificate, self._tls.key)
                connection = context.wrap_socket(connection, server_side=True)
            with self._lock:
                self._open.add(connection)
            self._converse(_Reader(connection), connection, stopped)
        except (OSError, ValueError):
            pass  # A client that leaves, or stop().
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _converse(self, reader: _Reader, connection: socket.socket, stopped: threading.Event) -> None:
        while not stopped.is_set() and (asked := reader.request()) is not None:
            self.log.add(asked)
            answer = self._find(asked)
            if not _Sender(connection, stopped, self._gate).send(asked, answer):
                return
            if asked.headers.get("connection", "").lower() == "close":
                return


class _Reader:
    """The requests of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def request(self) -> Asked | None:
        """The next one; None when the client has closed. Raises ValueError for what is no request."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more() or len(self._buffer) > HEAD_BYTES:
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
        length = int(headers.get("content-length", "0"))
        while len(self._buffer) < length and self._more():
            pass
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Asked(method, target, headers, body, time.monotonic())

    def _more(self) -> bool:
        received = self._connection.recv(1 << 16)
        self._buffer += received
        return bool(received)


class _Sender:
    """Sends one answer with its faults."""

    def __init__(
        self, connection: socket.socket, stopped: threading.Event, gate: Callable[[str], threading.Event]
    ) -> None:
        self._connection = connection
        self._stopped = stopped
        self._gate = gate

    def send(self, asked: Asked, answer: Answer) -> bool:
        """Whether the connection may be used again."""
        if isinf(answer.delay):
            return self._hang()
        if answer.gate and answer.hold is None:
            self._gate(answer.gate).wait()
        if answer.delay:
            self._stopped.wait(answer.delay)
        asked.status = answer.status
        if answer.raw is not None:
            self._connection.sendall(answer.raw)
            return False
        if is_unchanged(asked, answer):
            asked.status = 304
            self._head(
                304,
                {n: v for n, v in answer.headers.items() if n not in ("content-type", "content-encoding")},
            )
            return True
        return self._full(asked, answer)

    def _hang(self) -> bool:
        """Until the client has gone or the upstream is stopped."""
        self._connection.settimeout(0.05)
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                if not self._connection.recv(1 << 16):
                    break
        return False

    def _full(self, asked: Asked, answer: Answer) -> bool:
        size, status, headers = size_of(answer.body), answer.status, dict(answer.headers)
        span = wanted_range(asked, answer, size)
        start, end = span or (0, size)
        if span is not None:
            status = 206 if start < end else 416
            headers["content-range"] = f"bytes {start}-{end - 1}/{size}" if start < end else f"bytes */{size}"
        if answer.ranges and status in (200, 206):
            headers.setdefault("accept-ranges", "bytes")
        if answer.framing == "chunked":
            headers["transfer-encoding"] = "chunked"
        elif answer.framing == "length" and status not in (204, 304):
            headers["content-length"] = str(end - start if answer.length is None else answer.length)
        kept = answer.framing != "close" and not answer.close
        if not kept:
            headers["connection"] = "close"
        asked.status = status
        self._head(status, headers)
        if answer.body_delay:
            self._stopped.wait(answer.body_delay)
        if asked.method == "HEAD" or status in (204, 304):
            return kept
        whole = self._body(asked, answer, start, end)
        return whole and kept and answer.length in (None, end - start)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        phrase = responses.get(status, "")
        lines = [f"HTTP/1.1 {status} {phrase}", f"date: {formatdate(usegmt=True)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def _body(self, asked: Asked, answer: Answer, start: int, end: int) -> bool:
        """Whether all of it went out."""
        stops = [at for at in (answer.hold, answer.cut) if at is not None]
        step = max(1, int(answer.rate / 20)) if answer.rate else 1 << 20
        edges = sorted({start, *(start + at for at in stops if start + at < end), end})
        if answer.hold == 0:
            self._gate(answer.gate).wait()
        for first, last in pairwise(edges):
            if answer.cut is not None and first - start >= answer.cut:
                return self._cut(answer)
            for piece in pieces(answer.body, first, last, step):
                if self._stopped.is_set():
                    return False
                self._piece(piece, answer)
                asked.sent += len(piece)
            if answer.hold is not None and last - start == answer.hold:
                self._gate(answer.gate).wait()
        if answer.cut is not None and answer.cut <= end - start:
            return self._cut(answer)
        if answer.framing == "chunked":
            self._connection.sendall(b"0\r\n\r\n")
        return True

    def _piece(self, piece: memoryview, answer: Answer) -> None:
        if answer.framing == "chunked":
            self._connection.sendall(b"%x\r\n" % len(piece))
        self._connection.sendall(piece)
        if answer.framing == "chunked":
            self._connection.sendall(b"\r\n")
        if answer.rate:
            self._stopped.wait(len(piece) / answer.rate)

    def _cut(self, answer: Answer) -> bool:
        if answer.reset:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


@contextlib.contextmanager
def upstream(tls: Certificates | None = None) -> Iterator[Upstream]:
    """A started upstream on a free port; nothing of it is left afterwards."""
    server = Upstream(tls=tls)
    server.start()
    try:
        yield server
    finally:
        server.stop()
