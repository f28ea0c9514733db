"""Bodies of requests, through a real server."""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest
from blacksheep import Request
from blacksheep.contents import ASGIContent

from nora.errors import RequestTimeout
from nora.http.body import (
    AHEAD_AFTER_BYTES,
    AHEAD_MESSAGES,
    AHEAD_MESSAGES_OF_ALL,
    Message,
    Receive,
    RequestBody,
    stream_body,
)
from tests.http.toy import LIMIT
from tests.http.wire import ask, connect, read_answer
from tests.support.server import Server
from tests.support.waiting import wait_until

MIB = 1024 * 1024


def test_body_is_received_whole(client: httpx.Client) -> None:
    assert client.put("/toy/echo", content=bytes(LIMIT)).text == str(LIMIT)
    assert client.put("/toy/echo", content=b"").text == "0"
    assert client.put("/toy/read", content=bytes(100_000)).text == "100000"


def test_chunked_body_is_received_whole(client: httpx.Client) -> None:
    assert client.put("/toy/echo", content=(bytes(1000) for _ in range(50))).text == "50000"


def test_a_body_in_another_coding_than_chunks_is_refused(toy: Server) -> None:
    request = (
        b"PUT /toy/read HTTP/1.1\r\nhost: localhost\r\n"
        b"transfer-encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    assert ask(toy, request).status == 501


def test_more_than_the_limit_is_refused_by_its_announcement(toy: Server) -> None:
    request = (
        b"PUT /toy/echo HTTP/1.1\r\nhost: localhost\r\n"
        b"content-length: 999999999999\r\nexpect: 100-continue\r\n\r\n"
    )
    answer = ask(toy, request)  # nothing of the body is sent, nothing of it is waited for
    assert answer.status == 413
    assert b"limit" in answer.body


def test_more_than_the_limit_is_refused_in_the_middle(client: httpx.Client) -> None:
    answer = client.put("/toy/echo", content=(bytes(MIB // 4) for _ in range(8)))
    assert answer.status_code == 413


@pytest.mark.parametrize("size", [100_000, 4 * MIB, 12 * MIB])
def test_a_client_that_first_sends_everything_sees_the_refusal(toy: Server, size: int) -> None:
    with connect(toy) as connection:
        connection.sendall(
            b"PUT /toy/refuse HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % size
        )
        connection.sendall(bytes(size))
        assert read_answer(connection).status == 409
        connection.sendall(b"GET /toy/get HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert read_answer(connection).body == b"toy"  # and its connection is still good


def test_a_client_that_sends_without_end_is_cut(toy: Server) -> None:
    with connect(toy) as connection:
        connection.sendall(
            b"PUT /toy/refuse HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % (1 << 40)
        )
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            send_zeros(connection, 512 * MIB)


def send_zeros(connection: socket.socket, size: int) -> None:
    while size > 0:
        size -= connection.send(bytes(MIB))


def test_expect_continue_is_answered_when_the_body_is_wanted(toy: Server) -> None:
    with connect(toy) as connection:
        connection.sendall(
            b"PUT /toy/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 100")
        connection.sendall(b"abc")
        assert read_answer(connection).body == b"3"


def test_expect_continue_is_refused_without_a_body(toy: Server) -> None:
    request = (
        b"PUT /toy/refuse HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n"
    )
    assert ask(toy, request).status == 409


def test_silence_ends_with_408(toy: Server) -> None:
    answer = ask(toy, b"PUT /toy/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc")
    assert answer.status == 408


@pytest.mark.parametrize("abruptly", [False, True])
def test_a_client_that_leaves_is_no_short_body(toy: Server, client: httpx.Client, abruptly: bool) -> None:
    client.put("/toy/echo", content=b"")
    with connect(toy) as connection:
        connection.sendall(
            b"PUT /toy/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n" + bytes(40_000)
        )
        if abruptly:
            linger = b"\1\0\0\0\0\0\0\0"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    wait_until(lambda: client.get("/toy/seen").json()["echo"] == "ClientGone", "the end of the body")


def test_a_client_that_leaves_a_chunked_body_is_no_short_body(toy: Server, client: httpx.Client) -> None:
    client.put("/toy/echo", content=b"")
    with connect(toy) as connection:
        connection.sendall(
            b"PUT /toy/echo HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"
        )
    wait_until(lambda: client.get("/toy/seen").json()["echo"] == "ClientGone", "the end of the body")


def test_a_client_that_leaves_is_no_error_in_the_log(toy: Server, client: httpx.Client) -> None:
    client.put("/toy/echo", content=b"")
    before = toy.log.read_text().count('"level":"error"')
    with connect(toy) as connection:
        connection.sendall(
            b"PUT /toy/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n" + bytes(40_000)
        )
    wait_until(lambda: client.get("/toy/seen").json()["echo"] == "ClientGone", "the end of the body")
    assert toy.log.read_text().count('"level":"error"') == before


@pytest.mark.parametrize("value", [b"-1", b"1x", b"1, 2", b"99999999999999999999"])
def test_a_malformed_length_is_400(toy: Server, value: bytes) -> None:
    answer = ask(toy, b"PUT /toy/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: " + value + b"\r\n\r\n")
    assert answer.status == 400


def request_of(receive: Receive) -> Request:
    request = Request.incoming("PUT", b"/", b"", [])
    request.scope = {"type": "http", "headers": []}  # type: ignore[typeddict-item]
    request.content = ASGIContent(receive)
    return request


def test_a_slow_reader_is_no_silent_client() -> None:
    left = 3

    async def receive() -> dict[str, object]:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": b"x", "more_body": left > 0}

    async def read() -> int:
        taken = 0
        async for piece in stream_body(request_of(receive), limit=None, idle_seconds=0.02):
            await asyncio.sleep(0.05)  # the disk is slow; the client has sent
            taken += len(piece)
        return taken

    assert asyncio.run(read()) == 3


def test_silence_in_the_middle_is_told_and_leaves_the_task_alone() -> None:
    sent = False

    async def receive() -> dict[str, object]:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()
        sent = True
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def read() -> str:
        with pytest.raises(RequestTimeout):
            async for _ in stream_body(request_of(receive), limit=None, idle_seconds=0.02):
                pass
        await asyncio.sleep(0)  # a cancellation that is left over would end this
        return "alive"

    assert asyncio.run(read()) == "alive"


def test_a_cancelled_reader_is_cancelled_and_not_timed_out() -> None:
    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        raise AssertionError

    async def read() -> None:
        async for _ in stream_body(request_of(receive), limit=None, idle_seconds=60):
            pass

    async def cancel() -> None:
        task = asyncio.ensure_future(read())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())


def send_pieces(server: Server, seed: int) -> bool:
    """Whether a body of pieces of all sizes arrives as it was sent."""
    dice = random.Random(seed)
    digest = hashlib.sha256()
    with connect(server) as connection:
        connection.sendall(
            b"PUT /toy/digest HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for _ in range(1000):
            piece = dice.randbytes(dice.choice([1, 7, 100, 4000, 32768]))
            digest.update(piece)
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")
        return read_answer(connection).body == digest.hexdigest().encode()


def test_small_pieces_come_in_order_under_load(toy: Server) -> None:
    with ThreadPoolExecutor(8) as senders:
        assert all(senders.map(partial(send_pieces, toy), range(24)))


class Messages:
    """A server whose messages begin when they are asked for, as Granian's do."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[Message]] = []

    def receive(self) -> asyncio.Future[Message]:
        self.asked.append(asyncio.get_running_loop().create_future())
        return self.asked[-1]

    def answer(self, number: int, body: bytes, more_body: bool = True) -> None:
        self.asked[number].set_result({"type": "http.request", "body": body, "more_body": more_body})


def test_a_long_body_is_asked_for_ahead_and_comes_in_order() -> None:
    async def read() -> list[bytes]:
        messages = Messages()
        body = RequestBody(messages.receive)
        taken = []

        async def take() -> None:
            while not body.finished:
                taken.append((await body.receive())["body"])

        task = asyncio.ensure_future(take())
        await asyncio.sleep(0)
        assert len(messages.asked) == 1  # it may be short
        messages.answer(0, bytes(AHEAD_AFTER_BYTES))
        await asyncio.sleep(0.01)
        assert len(messages.asked) == 1 + AHEAD_MESSAGES
        for number in (3, 2, 1):
            messages.answer(number, b"%d" % number)
        await asyncio.sleep(0.01)
        messages.answer(4, b"end", more_body=False)
        await task
        assert all(one.cancelled() for one in messages.asked[5:])
        return taken[1:]

    assert asyncio.run(read()) == [b"1", b"2", b"3", b"end"]
    assert RequestBody.asked_ahead == 0


def test_all_bodies_together_are_asked_for_ahead_within_a_limit() -> None:
    async def read() -> int:
        servers = [Messages() for _ in range(40)]
        bodies = [RequestBody(one.receive) for one in servers]
        for body in bodies:
            body.received = AHEAD_AFTER_BYTES
        tasks = [asyncio.ensure_future(body.receive()) for body in bodies]
        await asyncio.sleep(0)
        assert all(one.asked for one in servers)
        asked = sum(len(one.asked) for one in servers)
        for task, body in zip(tasks, bodies, strict=True):
            task.cancel()
            body.close()
        return asked

    assert asyncio.run(read()) == 40 + AHEAD_MESSAGES_OF_ALL
    assert RequestBody.asked_ahead == 0


def test_a_message_that_begins_when_it_is_awaited_is_not_asked_for_ahead() -> None:
    asked = 0

    async def receive() -> Message:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": bytes(AHEAD_AFTER_BYTES), "more_body": asked < 3}

    async def read() -> None:
        body = RequestBody(receive)
        while not body.finished:
            await body.receive()

    asyncio.run(read())
    assert asked == 3
