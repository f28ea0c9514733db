"""A small HTTP server of the loopback, in a thread: answers what the test says, and remembers what was asked.

with serving(lambda asked: Answer(200, b"hello")) as server:
    httpx.get(server.url)
    assert server.asked[0].path == "/"
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.certificates import Certificates


@dataclass(frozen=True, slots=True)
class Asked:
    """A request; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer. `length` is a Content-Length that may lie; `raw` are all bytes of an answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    raw: bytes | None = None
    before: Callable[[], object] | None = None
    """Called between the head and the body."""


@dataclass(slots=True)
class Served:
    """The running server."""

    url: str
    port: int
    asked: list[Asked]

    def paths(self) -> list[str]:
        return [one.path for one in self.asked]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is what some tests are about."""


@contextlib.contextmanager
def serving(answer: Callable[[Asked], Answer], tls: Certificates | None = None) -> Iterator[Served]:
    """A server on a free port; stopped at the end, with all its threads."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10
        disable_nagle_algorithm = True

        def handle_one(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            request = Asked(self.command, self.path, headers, body)
            asked.append(request)
            self.reply(answer(request))

        do_GET = do_HEAD = do_POST = do_CONNECT = handle_one

        def reply(self, found: Answer) -> None:
            if found.raw is not None:
                self.wfile.write(found.raw)
                self.close_connection = True
                return
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            length = len(found.body) if found.length is None else found.length
            if found.status not in (204, 304):
                self.send_header("Content-Length", str(length))
            self.end_headers()
            if found.before is not None:
                found.before()
            if self.command != "HEAD":
                self.wfile.write(found.body)
            self.close_connection = length != len(found.body)

        def log_message(self, *args: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    port = server.server_address[1]
    try:
        yield Served(f"{'https' if tls else 'http'}://127.0.0.1:{port}", port, asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


def silent_port() -> int:
    """A port of the loopback on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
