"""Connections on which nothing happens."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import h2.config
import h2.connection
import httpx
import pytest

from nora.http.clients import Clients, parse_networks
from nora.http.connections import ConnectionLimits, ConnectionWatch, OpenSockets, network_of
from nora.processes import DescriptorBudget
from tests.http.toy import install
from tests.http.wire import connect, read_answer
from tests.support.server import HOST, Server, running
from tests.support.waiting import wait_until
from tests.test_server import certificate, unverified

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems tell less of a connection")

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("impatient")
    with running(folder, env=install(folder) | {"NORA_HEADER_TIMEOUT": "1"}) as server:
        yield server


@pytest.fixture(scope="module")
def impatient_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("impatient-tls")
    env = install(folder) | certificate(folder) | {"NORA_HEADER_TIMEOUT": "1"}
    with running(folder, env=env) as server:
        yield server


def is_closed(connection: socket.socket) -> bool:
    """Whether the server ends it, whatever it says before."""
    connection.settimeout(20)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


BEGINNINGS = [
    b"",
    b"G",
    b"P",
    PREFACE[:23],
    PREFACE,
    PREFACE + b"\0\0\0\4\0\0\0\0\0",
    b"GET / HTTP/1.1\r\nhost: local",
]


@pytest.mark.slow
def test_a_connection_without_a_request_is_closed(impatient: Server) -> None:
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(connect(impatient)) for _ in BEGINNINGS]
        for connection, sent in zip(opened, BEGINNINGS, strict=True):
            connection.sendall(sent)
        kept = [
            sent for connection, sent in zip(opened, BEGINNINGS, strict=True) if not is_closed(connection)
        ]
        assert kept == []


@pytest.mark.slow
def test_a_handshake_without_a_request_is_closed(impatient_tls: Server) -> None:
    with contextlib.ExitStack() as stack:
        opened: list[socket.socket] = [stack.enter_context(connect(impatient_tls))]
        for protocol in ("h2", "http/1.1"):
            context = unverified()
            context.set_alpn_protocols([protocol])
            plain = stack.enter_context(connect(impatient_tls))
            opened.append(one := stack.enter_context(context.wrap_socket(plain)))
            assert one.selected_alpn_protocol() == protocol
        assert [is_closed(one) for one in opened] == [True] * 3


@pytest.mark.slow
def test_a_connection_of_http_2_is_closed_when_its_requests_are_answered(impatient: Server) -> None:
    with connect(impatient) as connection:
        client = h2.connection.H2Connection(h2.config.H2Configuration())
        client.initiate_connection()
        host = f"{impatient.host}:{impatient.port}"
        client.send_headers(
            1,
            [(":method", "GET"), (":path", "/toy/get"), (":scheme", "http"), (":authority", host)],
            end_stream=True,
        )
        connection.sendall(client.data_to_send())
        connection.settimeout(20)
        said = b""
        while b"toy" not in said and (piece := connection.recv(65536)):
            said += piece
        assert b"toy" in said
        assert is_closed(connection)


@pytest.mark.slow
@pytest.mark.parametrize("secure", [False, True])
def test_a_request_may_take_longer(impatient: Server, impatient_tls: Server, secure: bool) -> None:
    server = impatient_tls if secure else impatient
    with httpx.Client(base_url=server.url, http2=secure, verify=unverified(), trust_env=False) as client:
        answer = client.get("/toy/slow/4")
        assert (answer.text, answer.http_version) == ("done", "HTTP/2" if secure else "HTTP/1.1")


@pytest.mark.slow
def test_a_body_may_come_more_slowly(impatient: Server) -> None:
    with connect(impatient) as connection:
        connection.sendall(b"PUT /toy/digest HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\n")
        for byte in (b"a", b"b"):
            connection.sendall(byte)
            time.sleep(3)
        connection.sendall(b"cd")
        assert read_answer(connection).status == 200


# -- decisions --------------------------------------------------------------------------------------------


class Peers:
    """Connections to this process, and the watch over them."""

    def __init__(self, stack: contextlib.ExitStack, limits: ConnectionLimits, trusted: str = "") -> None:
        self._stack = stack
        self._listener = stack.enter_context(socket.create_server((HOST, 0)))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.in_flight: dict[int, tuple[str, str] | None] = {}
        self.files_sent: dict[str, float] = {}
        clients = Clients(parse_networks([trusted] if trusted else []))
        self.watch = ConnectionWatch(self.port, limits, clients, self.in_flight, self.files_sent)
        self._others: dict[str, socket.socket] = {}

    def connect(self, sent: bytes = b"", host: str = HOST) -> socket.socket:
        client = self._stack.enter_context(
            socket.create_connection((HOST, self.port), source_address=(host, 0))
        )
        server, _ = self._listener.accept()
        self._stack.enter_context(server)
        if sent:
            client.sendall(sent)
            server.recv(len(sent))
        server.settimeout(0.05)
        self._others[port_of(server)] = client
        return server

    def client_of(self, server: socket.socket) -> socket.socket:
        """The other side."""
        return self._others[port_of(server)]


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as one:
        yield one


def ended(server: socket.socket) -> bool:
    """Whether the server would read the end of it."""
    try:
        return server.recv(1) == b""
    except TimeoutError:
        return False


def port_of(server: socket.socket) -> str:
    return str(server.getpeername()[1])


def test_what_is_idle_too_long_ends_at_the_second_look(stack: contextlib.ExitStack) -> None:
    peers = Peers(stack, ConnectionLimits(header_timeout=0, most=100))
    silent, spoke = peers.connect(), peers.connect(b"x")
    peers.watch.look()
    assert not ended(silent)
    peers.watch.look()
    assert ended(silent)
    assert ended(spoke)


def test_what_is_young_or_answered_or_reading_a_file_stays(stack: contextlib.ExitStack) -> None:
    peers = Peers(stack, ConnectionLimits(header_timeout=0, most=100))
    busy, reading = peers.connect(b"x"), peers.connect(b"x")
    peers.in_flight[1] = (HOST, port_of(busy))
    peers.files_sent[port_of(reading)] = time.monotonic()
    peers.files_sent["1"] = 0.0  # of a connection that is gone
    for _ in range(3):
        peers.watch.look()
    assert not ended(busy)
    assert not ended(reading)
    assert list(peers.files_sent) == [port_of(reading)]
    patient = Peers(stack, ConnectionLimits(header_timeout=30, most=100))
    young = patient.connect()
    for _ in range(3):
        patient.watch.look()
    assert not ended(young)


def test_the_answer_to_what_came_meanwhile_is_still_sent(stack: contextlib.ExitStack) -> None:
    peers = Peers(stack, ConnectionLimits(header_timeout=0, most=100))
    server = peers.connect(b"x")
    peers.watch.look()
    peers.watch.look()
    server.sendall(b"answer")
    assert ended(server)


def test_a_client_has_no_more_than_its_share(
    stack: contextlib.ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    peers = Peers(stack, ConnectionLimits(header_timeout=30, most=12))
    its = [peers.connect(b"x") for _ in range(8)]
    other = peers.connect(b"x", host="127.0.0.2")
    peers.in_flight[1] = (HOST, port_of(its[0]))
    peers.watch.look()
    assert sum(map(ended, its)) == 2
    assert not ended(its[0])
    assert not ended(other)
    assert "127.0.0.1 has 8 connections" in caplog.text
    assert "auth.trusted_proxies" in caplog.text


def test_a_trusted_proxy_may_have_all(stack: contextlib.ExitStack) -> None:
    peers = Peers(stack, ConnectionLimits(header_timeout=30, most=10), trusted=HOST)
    its = [peers.connect(b"x") for _ in range(9)]
    peers.watch.look()
    assert not any(map(ended, its))


def test_who_says_nothing_makes_room_where_places_are_scarce(
    stack: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nora.http.connections.SILENT_SECONDS", -1)
    peers = Peers(stack, ConnectionLimits(header_timeout=30, most=12))
    silent, spoke = peers.connect(), peers.connect(b"x")
    assert not peers.watch.look()
    assert not ended(silent)
    others = [peers.connect(b"x", host=f"127.0.0.{number}") for number in range(2, 9)]
    assert peers.watch.look()
    assert ended(silent)
    assert not any(map(ended, (spoke, *others)))


def test_who_speaks_is_not_looked_at_all_the_time(
    stack: contextlib.ExitStack,
) -> None:
    peers = Peers(stack, ConnectionLimits(header_timeout=30, most=8))
    for number in range(2, 9):
        peers.connect(b"x", host=f"127.0.0.{number}")
    assert not peers.watch.look()
    for number in range(2, 9):
        peers.connect(b"x", host=f"127.0.0.{number % 2 + 2}")
    assert peers.watch.look()  # there is one with more than its share, whose next ones wait for its places


def test_no_more_than_so_many_who_wait_are_refused_at_a_look(
    stack: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nora.http.connections.MOST_REFUSED", 2)
    listener = stack.enter_context(socket.create_server((HOST, 0)))
    listener.setblocking(False)
    waiting = [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(3)]
    sockets = stack.enter_context(contextlib.closing(OpenSockets()))
    assert list(sockets.connections(listener.getsockname()[1])) == []
    sockets.empty_queue()
    for refused in waiting[:2]:
        assert is_closed(refused)
    stack.enter_context(listener.accept()[0])  # the third one is still there


def test_who_takes_nothing_of_an_answer_is_dropped(
    stack: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = Peers(stack, ConnectionLimits(header_timeout=30, most=100))
    stopped, quiet = peers.connect(b"x"), peers.connect(b"x")
    for server in (stopped, quiet):
        peers.in_flight[server.fileno()] = (HOST, port_of(server))
    fill(stopped)
    for _ in range(3):
        peers.watch.look()
    assert not is_shut(stopped)
    monkeypatch.setattr("nora.http.connections.STOPPED_SECONDS", -1)
    wait_until(lambda: peers.watch.look() or is_shut(stopped), "the one who stopped to be shut")
    assert not is_shut(quiet)


def test_who_takes_an_answer_slowly_gets_it(
    stack: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nora.http.connections.STOPPED_SECONDS", -1)
    peers = Peers(stack, ConnectionLimits(header_timeout=30, most=100))
    server = peers.connect(b"x")
    fill(server)
    for _ in range(3):
        assert peers.client_of(server).recv(1 << 20)
        wait_until(lambda: fill(server) > 0, "something to be taken")
        peers.watch.look()
        assert not is_shut(server)


def fill(server: socket.socket) -> int:
    """Send as much as the other side may not have taken; how much."""
    sent = 0
    with contextlib.suppress(TimeoutError):
        while True:
            sent += server.send(bytes(1 << 16))
    return sent


def is_shut(server: socket.socket) -> bool:
    try:
        server.send(b"x")
    except BrokenPipeError:
        return True
    except TimeoutError:
        return False
    return False


def test_connections_are_seen_when_no_descriptor_is_left(
    stack: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = Peers(stack, ConnectionLimits(header_timeout=30, most=12))
    server = peers.connect(b"x")
    sockets = stack.enter_context(contextlib.closing(OpenSockets()))

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "dup", refuse)
    monkeypatch.setattr("nora.http.connections.descriptor_budget", lambda: DescriptorBudget(1 << 17))
    (found,) = sockets.connections(peers.port)
    assert (found.address, str(found.port), found.silent) == (HOST, port_of(server), False)


def test_nobody_is_refused_where_there_is_no_directory_of_descriptors(
    stack: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(os, "scandir", refuse)
    peers = Peers(stack, ConnectionLimits(header_timeout=0, most=1))
    its = [peers.connect() for _ in range(3)]
    waiting = stack.enter_context(socket.create_connection((HOST, peers.port)))
    assert not peers.watch.look()
    waiting.settimeout(0.05)
    assert not any(map(ended, (*its, waiting)))


def test_descriptors_that_there_may_be_by_the_billion_are_not_all_looked_at(
    stack: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As containers may have them; that the whole system has none left is another's doing, too."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENFILE, "Too many open files in system")

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr("nora.http.connections.descriptor_budget", lambda: DescriptorBudget(1 << 30))
    peers = Peers(stack, ConnectionLimits(header_timeout=30, most=12))
    server = peers.connect(b"x")
    sockets = stack.enter_context(contextlib.closing(OpenSockets()))
    numbers = sockets._numbers()
    assert server.fileno() in numbers
    assert len(list(islice(numbers, 1 << 18))) <= 1 << 17


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_client_of_ipv6_is_a_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_locks_on_files_stay_while_connections_are_looked_at(tmp_path: Path) -> None:
    """Whoever closes a copy of a descriptor gives up the locks that the process has on its file."""
    path = tmp_path / "locked"
    look = (
        "import fcntl, sys\n"
        "try: fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "except OSError: sys.exit(3)"
    )
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("w+b"))
        fcntl.lockf(file, fcntl.LOCK_EX)
        sockets = stack.enter_context(contextlib.closing(OpenSockets()))
        listener = stack.enter_context(socket.create_server((HOST, 0)))
        stack.enter_context(socket.create_connection(listener.getsockname()))
        stack.enter_context(listener.accept()[0])
        assert len(list(sockets.connections(listener.getsockname()[1]))) == 1
        assert subprocess.run([sys.executable, "-c", look, path], check=False).returncode == 3
