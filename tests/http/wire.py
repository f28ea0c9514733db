"""HTTP by hand, for what a well-behaved client would never do."""

from __future__ import annotations

import socket
from typing import NamedTuple

from tests.support.server import Server


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def connect(server: Server) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=30)


def read_answer(connection: socket.socket) -> Answer:
    """One answer, to the end of its announced body or of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError(f"closed after {data!r}")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:
            break
        body += piece
    return Answer(int(first.split()[1]), headers, body)


def ask(server: Server, request: bytes) -> Answer:
    with connect(server) as connection:
        connection.sendall(request)
        return read_answer(connection)
