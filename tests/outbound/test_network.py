"""Connections on the transports of both event loops: plain and encrypted, fast and slow, ended and cut."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpcore
import pytest
import uvloop

from nora.addresses import Reach
from nora.errors import UpstreamFailed
from nora.outbound.network import Connection, Network
from tests.support.certificates import Certificates, make
from tests.support.waiting import PATIENCE_SECONDS, until

BODY = bytes(range(256)) * 10_000
Loop = Callable[[], asyncio.AbstractEventLoop]
Talk = Callable[[socket.socket], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Loop:
    found: Loop = request.param
    return found


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make(tmp_path_factory.mktemp("certificates"))


@contextlib.contextmanager
def listening(talk: Talk, tls: Certificates | None = None) -> Iterator[int]:
    """The port of a server that talks with one client, in a thread."""
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            plain, _ = listener.accept()
            plain.settimeout(PATIENCE_SECONDS)
            with plain:
                if tls is None:
                    talk(plain)
                else:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(tls.certificate, tls.key)
                    with context.wrap_socket(plain, server_side=True) as secure:
                        talk(secure)
        except OSError:  # the client has gone
            return
        except BaseException as failure:  # noqa: BLE001 - for the test
            failures.append(failure)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_SECONDS)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(PATIENCE_SECONDS)
    assert not failures, failures


def run(loop: Loop, port: int, work: Callable[[Connection], Awaitable[None]]) -> None:
    async def body() -> None:
        connection = await Network(Reach.ANYWHERE).connect_tcp("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        try:
            await work(connection)
        finally:
            await connection.aclose()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(body(), PATIENCE_SECONDS))


def wait(over: threading.Event) -> None:
    assert over.wait(PATIENCE_SECONDS)


async def read_all(connection: Connection, most: int = 65_536) -> bytes:
    pieces = []
    while piece := await connection.read(most, timeout=PATIENCE_SECONDS):
        assert len(piece) <= most
        pieces.append(piece)
    return b"".join(pieces)


async def write_for_ever(connection: Connection) -> None:
    while True:
        await connection.write(BODY, timeout=0.05)


@pytest.mark.parametrize("most", [1000, 65_536, 1 << 20])
def test_all_bytes_come_in_order(loop: Loop, most: int) -> None:
    async def work(connection: Connection) -> None:
        assert await read_all(connection, most) == BODY
        assert await connection.read(most) == b"", "an end stays one"

    with listening(lambda peer: peer.sendall(BODY)) as port:
        run(loop, port, work)


def test_all_bytes_come_in_order_when_they_are_encrypted(loop: Loop, certificates: Certificates) -> None:
    def echo(peer: socket.socket) -> None:
        left = len(BODY)
        received = b""
        while left > len(received):
            received += peer.recv(1 << 20)
        peer.sendall(received)

    async def work(connection: Connection) -> None:
        context = ssl.create_default_context(cafile=str(certificates.authority))
        secure = await connection.start_tls(context, "127.0.0.1", timeout=PATIENCE_SECONDS)
        assert secure.get_extra_info("ssl_object") is not None
        await secure.write(BODY, timeout=PATIENCE_SECONDS)
        assert await read_all(secure) == BODY

    with listening(echo, certificates) as port:
        run(loop, port, work)


def test_an_authority_that_is_not_trusted(loop: Loop, certificates: Certificates) -> None:
    async def work(connection: Connection) -> None:
        with pytest.raises(httpcore.ConnectError) as failed:
            await connection.start_tls(ssl.create_default_context(), "127.0.0.1", timeout=PATIENCE_SECONDS)
        assert isinstance(failed.value.__cause__, ssl.SSLError)

    with listening(lambda peer: None, certificates) as port:
        run(loop, port, work)


def test_who_says_nothing_while_a_connection_is_to_be_encrypted(loop: Loop) -> None:
    over = threading.Event()

    async def work(connection: Connection) -> None:
        with pytest.raises(httpcore.ConnectTimeout):
            await connection.start_tls(ssl.create_default_context(), "127.0.0.1", timeout=0.1)
        over.set()

    with listening(lambda peer: wait(over)) as port:
        run(loop, port, work)


def test_nothing_is_read_that_nobody_wants(loop: Loop) -> None:
    """However fast the other side is, what is here of it is one piece, and what the kernel has."""
    sent = [0]
    is_full = threading.Event()

    def pour(peer: socket.socket) -> None:
        peer.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while sent[0] < 200 << 20:
                sent[0] += peer.send(BODY)
        is_full.set()

    async def work(connection: Connection) -> None:
        assert await connection.read(1000, timeout=PATIENCE_SECONDS)
        assert await asyncio.to_thread(is_full.wait, 10)
        assert sent[0] < 100 << 20

    with listening(pour) as port:
        run(loop, port, work)


def test_a_silent_side_is_not_waited_for_longer_than_asked(loop: Loop) -> None:
    over = threading.Event()

    async def work(connection: Connection) -> None:
        with pytest.raises(httpcore.ReadTimeout):
            await connection.read(10, timeout=0.05)
        with pytest.raises(httpcore.WriteTimeout):
            await write_for_ever(connection)
        over.set()

    with listening(lambda peer: wait(over)) as port:
        run(loop, port, work)


def test_a_cut_is_no_end(loop: Loop) -> None:
    def cut(peer: socket.socket) -> None:
        peer.recv(1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def work(connection: Connection) -> None:
        await connection.write(b"x", timeout=PATIENCE_SECONDS)
        with pytest.raises(httpcore.ReadError):
            await connection.read(10, timeout=PATIENCE_SECONDS)
        with pytest.raises(httpcore.WriteError):
            await connection.write(b"x", timeout=PATIENCE_SECONDS)
        await connection.write(b"")

    with listening(cut) as port:
        run(loop, port, work)


def test_what_is_damaged_on_its_way_is_no_end(loop: Loop, certificates: Certificates) -> None:
    def damage(peer: socket.socket) -> None:
        assert isinstance(peer, ssl.SSLSocket)
        peer.sendall(b"x" * 1000)
        with socket.socket(fileno=os.dup(peer.fileno())) as below:
            below.sendall(b"\x17\x03\x03\x00\x20" + b"?" * 32)

    async def work(connection: Connection) -> None:
        context = ssl.create_default_context(cafile=str(certificates.authority))
        secure = await connection.start_tls(context, "127.0.0.1", timeout=PATIENCE_SECONDS)
        with pytest.raises(httpcore.ReadError):
            await read_all(secure)
        with pytest.raises(httpcore.WriteError):
            await write_for_ever(secure)

    with listening(damage, certificates) as port:
        run(loop, port, work)


def test_closing_is_no_end_of_what_is_being_received(loop: Loop) -> None:
    over = threading.Event()

    async def work(connection: Connection) -> None:
        reading = asyncio.get_running_loop().create_task(connection.read(10, timeout=PATIENCE_SECONDS))
        await asyncio.sleep(0.05)
        await connection.aclose()
        with pytest.raises(httpcore.ReadError):
            await reading
        over.set()

    with listening(lambda peer: wait(over)) as port:
        run(loop, port, work)


def test_whoever_gives_up_while_a_connection_is_to_be_encrypted_leaves_none(loop: Loop) -> None:
    ended: list[bytes] = []

    def hear(peer: socket.socket) -> None:
        while heard := peer.recv(1 << 16):
            ended.append(heard)
        ended.append(b"")

    async def work(connection: Connection) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await connection.start_tls(ssl.create_default_context(), "127.0.0.1")

    async def body(port: int) -> None:
        await work(await Network(Reach.ANYWHERE).connect_tcp("127.0.0.1", port, timeout=PATIENCE_SECONDS))
        await until(lambda: ended and not ended[-1], "the peer to see the end")

    with listening(hear) as port, asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(body(port), PATIENCE_SECONDS))


def test_an_idle_connection_that_ends_or_speaks_is_seen(loop: Loop) -> None:
    goes_on, has_spoken = threading.Event(), threading.Event()

    def talk(peer: socket.socket) -> None:
        goes_on.wait(PATIENCE_SECONDS)
        peer.sendall(b"late")
        has_spoken.set()

    async def work(connection: Connection) -> None:
        assert connection.get_extra_info("is_readable") is False
        goes_on.set()
        assert await asyncio.to_thread(has_spoken.wait, 10)
        assert connection.get_extra_info("is_readable") is True
        assert await connection.read(2, timeout=PATIENCE_SECONDS) == b"la"
        assert connection.get_extra_info("is_readable") is True
        assert await read_all(connection) == b"te"
        assert connection.get_extra_info("is_readable") is True
        await connection.aclose()
        assert connection.get_extra_info("is_readable") is True

    with listening(talk) as port:
        run(loop, port, work)


def answering(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Have every host resolve to these."""

    async def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=False)


def test_the_first_address_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(port: int) -> bytes:
        answering(monkeypatch, "127.0.0.2", "127.0.0.1")
        options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
        connection = await Network(Reach.ANYWHERE).connect_tcp(
            "x", port, timeout=PATIENCE_SECONDS, socket_options=options
        )
        try:
            return await read_all(connection)
        finally:
            await connection.aclose()

    with listening(lambda peer: peer.sendall(b"here")) as port:
        assert asyncio.run(work(port)) == b"here"


def test_an_option_that_is_not_one_leaves_no_connection() -> None:
    ended: list[bytes] = []

    async def work(port: int) -> None:
        with pytest.raises(httpcore.ConnectError):
            await Network(Reach.ANYWHERE).connect_tcp("127.0.0.1", port, socket_options=[(-1, -1, -1)])

    with listening(lambda peer: ended.append(peer.recv(1))) as port:
        asyncio.run(work(port))
    assert ended == [b""]


def test_nobody_there(loop: Loop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async def work(connection: Connection) -> None:
        raise AssertionError

    with pytest.raises(httpcore.ConnectError):
        run(loop, port, work)


def test_an_address_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        never = asyncio.Event()

        async def getaddrinfo(*_: object, **__: object) -> list[Any]:
            await never.wait()
            return []

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=False)
        network = Network(Reach.PUBLIC)
        await network.sleep(0)
        with pytest.raises(httpcore.ConnectTimeout):
            await network.connect_tcp("x", 80, timeout=0.05)

    asyncio.run(work())


@pytest.mark.parametrize(
    ("addresses", "used"), [(["10.0.0.1"], None), (["127.0.0.1", "93.184.216.34"], ["93.184.216.34"])]
)
def test_guarded_it_leads_to_public_addresses_only(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], used: list[str] | None
) -> None:
    tried: list[str] = []

    async def start_connection(found: list[Any], **_: object) -> None:
        tried.extend(address[0] for *_, address in found)
        raise OSError("no network in tests")

    async def work() -> None:
        answering(monkeypatch, *addresses)
        monkeypatch.setattr("nora.outbound.network.start_connection", start_connection)
        with pytest.raises(UpstreamFailed if used is None else httpcore.ConnectError):
            await Network(Reach.PUBLIC).connect_tcp("x.example.com", 80, timeout=PATIENCE_SECONDS)

    asyncio.run(work())
    assert tried == (used or [])
