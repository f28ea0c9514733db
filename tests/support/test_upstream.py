"""The upstream simulator is as precise as the tests that use it believe."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.answers import NEVER, Answer, Paths, Repeated, document, redirect
from tests.support.upstream import Upstream
from tests.support.upstream_process import upstream_process

BODY = bytes(range(256)) * 40


@pytest.fixture
def client(upstream: Upstream) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=upstream.url, timeout=10, trust_env=False) as client:
        yield client


def test_documents_conditions_ranges_and_the_log(upstream: Upstream, client: httpx.Client) -> None:
    upstream.serve("/file", document(BODY, "application/x-test"))
    whole = client.get("/file?a=1%2B+2")
    assert (whole.status_code, whole.content) == (200, BODY)
    assert whole.headers["content-type"] == "application/x-test"
    etag = whole.headers["etag"]
    assert client.get("/file", headers={"if-none-match": etag}).status_code == 304
    for value, status, content in [
        ("bytes=5-9", 206, BODY[5:10]),
        ("bytes=-3", 206, BODY[-3:]),
        ("bytes=10000-", 206, BODY[10000:]),
        ("bytes=99999-", 416, b""),
        ("bytes=1-2,4-5", 200, BODY),
    ]:
        part = client.get("/file", headers={"range": value})
        assert (part.status_code, part.content) == (status, content)
    other = client.get("/file", headers={"range": "bytes=5-9", "if-range": '"other"'})
    assert (other.status_code, other.content) == (200, BODY)
    head = client.head("/file")
    assert head.headers["content-length"] == str(len(BODY))
    assert (upstream.log.count("GET", "/file"), upstream.log.count("HEAD")) == (8, 1)
    first = upstream.log.of("GET")[0]
    assert (first.path, first.query, first.sent, first.status) == ("/file", {"a": "1+ 2"}, len(BODY), 200)
    assert upstream.connections == 1
    assert client.get("/other").status_code == 404


def test_what_is_planned_once_comes_first(upstream: Upstream, client: httpx.Client) -> None:
    upstream.serve("/x", document(b"then"))
    upstream.once("/x", Answer(status=503), redirect("/y"))
    assert [client.head("/x").status_code, *(client.get("/x").status_code for _ in range(3))] == [
        200,
        503,
        302,
        200,
    ]
    upstream.fault = Answer(status=429, headers={"retry-after": "7"})
    assert client.get("/x").headers["retry-after"] == "7"
    upstream.fault = None
    upstream.guard = lambda asked: None if "authorization" in asked.headers else Answer(status=401)
    assert [client.get("/x", auth=auth).status_code for auth in (None, ("a", "b"))] == [401, 200]


def test_handlers_below_a_prefix(upstream: Upstream, client: httpx.Client) -> None:
    upstream.mount("/a/", lambda asked: document(asked.path.encode()) if asked.path != "/a/no" else None)
    assert client.get("/a/b%2Fc").content == b"/a/b%2Fc"
    assert client.get("/a/no").status_code == 404
    assert client.post("/a/x", content=b"body").status_code == 200
    assert upstream.log.of("POST")[0].body == b"body"


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_cut_body_is_as_long_as_it_says(upstream: Upstream, client: httpx.Client, framing: str) -> None:
    upstream.serve("/x", Answer(body=BODY, framing=framing))  # type: ignore[arg-type]
    assert client.get("/x").content == BODY
    upstream.serve("/x", Answer(body=BODY, framing=framing, cut=1000))  # type: ignore[arg-type]
    received = bytearray()

    def read() -> None:
        with client.stream("GET", "/x") as answer:
            for piece in answer.iter_raw():
                received.extend(piece)

    if framing == "close":
        read()
    else:
        with pytest.raises(httpx.RemoteProtocolError):
            read()
    assert received == BODY[:1000]


def test_resets_lies_and_raw_bytes(upstream: Upstream, client: httpx.Client) -> None:
    upstream.serve("/reset", Answer(body=BODY, cut=10, reset=True))
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        client.get("/reset")
    upstream.serve("/short", Answer(body=b"abc", length=2))
    assert client.get("/short").content == b"ab"
    upstream.serve("/long", Answer(body=b"abc", length=4))
    with pytest.raises(
        (httpx.ReadError, httpx.RemoteProtocolError)
    ):  # the byte too many reset the connection
        client.get("/long")
    upstream.serve("/raw", Answer(raw=b"HTTP/1.0 200 Fine\r\n\r\nold"))
    assert client.get("/raw").content == b"old"


def test_gates_hold_an_answer_where_it_says(upstream: Upstream, client: httpx.Client) -> None:
    upstream.serve("/x", Answer(body=BODY, hold=4000, gate="go"))
    with client.stream("GET", "/x") as answer:
        pieces = answer.iter_raw(4000)
        assert next(pieces) == BODY[:4000]
        upstream.open("go")
        assert b"".join(pieces) == BODY[4000:]


def test_it_hangs_until_it_is_stopped_and_comes_back_on_its_port(
    upstream: Upstream, client: httpx.Client
) -> None:
    upstream.serve("/x", Answer(delay=NEVER))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.get, "/x")
        upstream.log.wait("GET", "/x")
        upstream.stop()
        with pytest.raises(httpx.RemoteProtocolError):
            asked.result(10)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", upstream.port), 5)
    upstream.start()
    upstream.serve("/x", Answer(body=b"back"))
    assert client.get("/x").content == b"back"


def test_files_and_repeated_blocks(upstream: Upstream, client: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BODY)
    upstream.serve("/file", Answer(body=tmp_path / "file"))
    assert client.get("/file", headers={"range": "bytes=100-"}).content == BODY[100:]
    large = Repeated(b"0123456789abcdef" * 999, 3_000_001)
    upstream.serve("/large", Answer(body=large))
    content = client.get("/large").content
    assert (len(content), hashlib.sha256(content).hexdigest()) == (large.size, large.sha256())
    assert client.get("/large", headers={"range": "bytes=17000-17009"}).content == content[17000:17010]


def test_in_a_process_of_its_own() -> None:
    with upstream_process() as up, httpx.Client(base_url=up.url, timeout=10, trust_env=False) as client:
        up.serve("/x", document(b"x"))
        up.once("/x", Answer(status=500))
        up.mount("/echo/", Paths())
        assert [client.get("/x").status_code for _ in range(2)] == [500, 200]
        assert client.get("/echo/a").content == b"/echo/a"
        assert (up.count("GET", "/x"), up.requests()[0].status) == (2, 500)
        up.fail(Answer(status=502))
        assert client.get("/x").status_code == 502
        up.fail(None)
        up.stop()
        with pytest.raises(httpx.ConnectError):
            client.get("/x")
        up.start()
        assert client.get("/x").content == b"x"
        up.clear()
        assert up.count() == 0
        with pytest.raises(AssertionError, match="AttributeError"):
            up._call("nothing")
