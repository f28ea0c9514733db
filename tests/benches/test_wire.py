"""The bench's client reads what servers send, and refuses what is cut short."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benches.registries.wire import LAST_CHUNK, Answer, Wire, WireError, framed


@contextmanager
def serving(*answers: bytes) -> Iterator[tuple[tuple[str, int], list[bytes]]]:
    """A server that takes one connection and answers each request with the next bytes."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(60)
                for answer in answers:
                    requests.append(connection.recv(65536))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[:2], requests
        finally:
            thread.join(60)


def test_a_connection_is_kept_and_bodies_are_read_by_their_length() -> None:
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    two = b"HTTP/1.1 204 No Content\r\n\r\n"
    with serving(one, two) as (address, requests), Wire(address) as wire:
        assert wire.ask("GET", "/a").body == b"abc"
        assert wire.ask("GET", "/b").status == 204
    assert requests[1].startswith(b"GET /b HTTP/1.1\r\n")


def test_head_has_a_length_and_no_body() -> None:
    with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n") as (address, _), Wire(address) as wire:
        answer = wire.ask("HEAD", "/")
    assert (answer.size, answer.headers["content-length"]) == (0, "99")


def test_chunked_answers_are_joined() -> None:
    body = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    with serving(answer) as (address, _), Wire(address) as wire:
        assert wire.ask("GET", "/").body == b"abcde"


def test_a_counted_body_is_hashed_not_kept() -> None:
    with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc") as (address, _), Wire(address) as wire:
        answer = wire.ask("GET", "/", keep=False, digest=True)
    assert (answer.body, answer.size) == (b"", 3)
    assert answer.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("cut", [b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"])
def test_an_answer_that_is_cut_short_is_an_error(cut: bytes) -> None:
    with serving(cut) as (address, _), Wire(address) as wire, pytest.raises(WireError):
        wire.ask("GET", "/")


def test_a_status_that_was_not_expected_is_an_error_with_the_servers_words() -> None:
    with pytest.raises(WireError, match="no such thing"):
        Answer(404, {}, b"no such thing", 13).expect(200, 201)


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:5000/v2/a/blobs/uploads/1?_state=x", "/v2/a/blobs/uploads/1?_state=x"]
)
def test_a_location_may_be_absolute_or_relative(location: str) -> None:
    assert Answer(202, {"location": location}, b"", 0).location == "/v2/a/blobs/uploads/1?_state=x"


def test_frames_are_chunked_transfer_coding() -> None:
    assert framed(b"abcde", chunk=3) == [b"3\r\nabc\r\n2\r\nde\r\n"]
    assert LAST_CHUNK == b"0\r\n\r\n"
    assert len(framed(bytes(3 * 1024 * 1024))) == 3
