"""Secure connections through an outbound proxy: made, refused, and given back."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nora.errors import UpstreamFailed
from nora.outbound import Outbound, Terms, connections, origin
from tests.support.certificates import Certificates, make
from tests.support.httpd import Answer, serving


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make(tmp_path_factory.mktemp("certificates"))


@contextlib.contextmanager
def proxy() -> Iterator[str]:
    """The URL of a proxy that makes tunnels to wherever it is asked."""
    stopped = threading.Event()

    def move(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def tunnel(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(60)
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += client.recv(1 << 16)
            host, _, port = asked.split()[1].decode().rpartition(":")
            with socket.create_connection((host, int(port)), 10) as target:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=move, args=(target, client))
                back.start()
                move(client, target)
                back.join()

    def accept() -> None:
        while not stopped.is_set():
            with contextlib.suppress(OSError):
                threading.Thread(target=tunnel, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stopped.set()
            thread.join()


def terms(url: str) -> Terms:
    return Terms(
        connect_seconds=5, idle_seconds=5, total_seconds=5, max_bytes=1000, given=frozenset([origin(url)])
    )


def test_a_tunnel_is_made_and_used_again(monkeypatch: pytest.MonkeyPatch, certificates: Certificates) -> None:
    async def work(url: str, authority: Path) -> None:
        outbound = Outbound(authority)
        for _ in range(3):
            assert (await outbound.get(url, terms(url))).body == b"secure"
        await outbound.close()

    with serving(lambda asked: Answer(200, b"secure"), certificates) as server, proxy() as between:
        monkeypatch.setenv("HTTPS_PROXY", between)
        monkeypatch.setenv("NO_PROXY", "")
        asyncio.run(work(server.url, certificates.authority))


def test_tunnels_that_come_to_nothing_take_no_place(
    monkeypatch: pytest.MonkeyPatch, certificates: Certificates
) -> None:
    async def work(url: str) -> None:
        outbound = Outbound()
        for _ in range(6):
            with pytest.raises(UpstreamFailed, match="NORA_TLS_CA_CERT"):
                await outbound.get(url, terms(url))
        await outbound.close()

    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    with serving(lambda asked: Answer(200, b"secure"), certificates) as server, proxy() as between:
        monkeypatch.setenv("HTTPS_PROXY", between)
        monkeypatch.setenv("NO_PROXY", "")
        asyncio.run(work(server.url))
