"""What NORA asks of others: what it trusts, how far it follows, and where it does not go."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from nora import __version__
from nora.errors import NoraError, UpstreamFailed, UpstreamLimited, UpstreamTimeout, UpstreamUnavailable
from nora.outbound import MAX_REDIRECTS, Outbound, Terms, origin
from tests.support.certificates import make
from tests.support.httpd import Answer, Asked, Served, serving, silent_port
from tests.support.tables import each

T = TypeVar("T")


@pytest.fixture(autouse=True)
def _no_proxy_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextlib.contextmanager
def table(answers: dict[str, Answer]) -> Iterator[Served]:
    with serving(lambda asked: answers.get(asked.path, Answer(404))) as server:
        yield server


def run(work: Callable[[Outbound], Awaitable[T]], ca_cert: Path | None = None) -> T:
    async def body() -> T:
        outbound = Outbound(ca_cert)
        try:
            return await work(outbound)
        finally:
            await outbound.close()

    return asyncio.run(body())


def terms(*given: str, **changes: Any) -> Terms:
    """Short limits; what is `given` may be on the loopback."""
    return Terms(
        **{
            "connect_seconds": 5.0,
            "idle_seconds": 5.0,
            "total_seconds": 20.0,
            "max_bytes": 1000,
            "given": frozenset(map(origin, given)),
            **changes,
        }
    )


def get(url: str, limits: Terms, headers: dict[str, str] | None = None, ca_cert: Path | None = None) -> Any:
    return run(lambda outbound: outbound.get(url, limits, headers), ca_cert)


# -- documents --------------------------------------------------------------------------------------------


def test_a_document_has_status_headers_body_and_origin() -> None:
    with table({"/a?b=1": Answer(200, b"hello", {"ETag": '"1"'})}) as server:
        reply = get(f"{server.url}/a?b=1", terms(server.url))
        assert (reply.status, reply.body, reply.headers["etag"]) == (200, b"hello", '"1"')
        assert reply.url == f"{server.url}/a?b=1"
        assert server.asked[0].headers["user-agent"] == f"nora/{__version__}"


def test_a_condition_is_passed_on_and_304_is_an_answer() -> None:
    with table({"/a": Answer(304, headers={"ETag": '"1"'})}) as server:
        reply = get(f"{server.url}/a", terms(server.url), {"if-none-match": '"1"'})
        assert (reply.status, reply.body) == (304, b"")
        assert server.asked[0].headers["if-none-match"] == '"1"'


def test_absent_is_an_answer_and_an_error_is_not() -> None:
    answers = {"/500": Answer(500), "/503": Answer(503, headers={"Retry-After": "17"}), "/429": Answer(429)}
    with table(answers) as server:
        assert get(f"{server.url}/no", terms(server.url)).status == 404
        with pytest.raises(UpstreamUnavailable) as failed:
            get(f"{server.url}/500", terms(server.url))
        assert (failed.value.status, failed.value.is_told) == (503, False)
        with pytest.raises(UpstreamUnavailable) as unavailable:
            get(f"{server.url}/503", terms(server.url))
        assert unavailable.value.retry_after == 17
        with pytest.raises(UpstreamLimited):
            get(f"{server.url}/429", terms(server.url))


def test_head_has_no_body() -> None:
    with table({"/a": Answer(200, b"hello")}) as server:
        reply = run(lambda outbound: outbound.head(f"{server.url}/a", terms(server.url)))
        assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"", "5")


def test_a_document_is_bounded_also_when_it_is_compressed() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    answers = {
        "/large": Answer(200, bytes(1001)),
        "/fits": Answer(200, bytes(1000)),
        "/bomb": Answer(200, bomb, {"Content-Encoding": "gzip"}),
        "/gzip": Answer(200, gzip.compress(b"x" * 1000), {"Content-Encoding": "gzip"}),
        "/cut": Answer(200, gzip.compress(b"x" * 1000)[:-9], {"Content-Encoding": "gzip"}),
        "/junk": Answer(200, b"junk", {"Content-Encoding": "gzip"}),
        "/other": Answer(200, b"junk", {"Content-Encoding": "br"}),
        "/more": Answer(200, gzip.compress(b"x") + bytes(5_000_000), {"Content-Encoding": "gzip"}),
    }
    with table(answers) as server:
        limits = terms(server.url)
        assert len(get(f"{server.url}/fits", limits).body) == 1000
        assert get(f"{server.url}/gzip", limits).body == b"x" * 1000
        for path in ("/large", "/bomb", "/cut", "/junk", "/other", "/more"):
            with pytest.raises(UpstreamFailed):
                get(server.url + path, limits)


def test_a_body_that_ends_early_is_no_document() -> None:
    with table({"/a": Answer(200, b"hello", length=10)}) as server, pytest.raises(UpstreamFailed):
        get(f"{server.url}/a", terms(server.url))


def test_what_is_not_http_is_a_failure() -> None:
    answer = Answer(raw=b"hello, this is not HTTP\r\n\r\n")
    with table({"/a": answer}) as server, pytest.raises(UpstreamFailed):
        get(f"{server.url}/a", terms(server.url))


@each(
    "url",
    [
        "",
        "ftp://x/",
        "http://",
        "https://[::1",
        "http://x:99999/",
        "http://x:y/",
        "/a",
        f"http://{'a' * 70}.x/",
    ],
)
def test_no_url_leads_to_another_exception(url: str) -> None:
    with pytest.raises(UpstreamFailed):
        get(url, terms())


# -- time -------------------------------------------------------------------------------------------------


def test_silence_and_slowness_end_in_a_timeout() -> None:
    ended = threading.Event()
    with serving(lambda asked: Answer(200, b"hello", before=lambda: ended.wait(60))) as server:
        try:
            with pytest.raises(UpstreamTimeout):
                get(server.url, terms(server.url, idle_seconds=0.1))
            with pytest.raises(UpstreamTimeout) as late:
                get(server.url, terms(server.url, total_seconds=0.1))
            assert late.value.status == 504
        finally:
            ended.set()


def test_nobody_there_is_unavailable() -> None:
    url = f"http://127.0.0.1:{silent_port()}"
    with pytest.raises(UpstreamUnavailable) as unavailable:
        get(url, terms(url))
    assert unavailable.value.status == 503
    assert unavailable.value.retry_after > 0


# -- streams ----------------------------------------------------------------------------------------------


def test_a_stream_comes_in_pieces_as_it_is_on_the_wire() -> None:
    content = bytes(range(256)) * 4096

    async def read(outbound: Outbound) -> tuple[int | None, bytes]:
        async with outbound.stream(server.url, terms(server.url, max_bytes=2**21)) as answer:
            return answer.length, b"".join([piece async for piece in answer])

    with serving(lambda asked: Answer(200, content)) as server:
        assert run(read) == (len(content), content)
        assert server.asked[0].headers["accept-encoding"] == "identity"


def test_a_stream_is_bounded_and_never_short() -> None:
    async def read(outbound: Outbound, path: str) -> None:
        async with outbound.stream(server.url + path, terms(server.url)) as answer:
            assert [piece async for piece in answer]

    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"7d0\r\n" + bytes(2000) + b"\r\n0\r\n\r\n"
    )
    answers = {
        "/large": Answer(200, bytes(1001)),
        "/short": Answer(200, bytes(10), length=20),
        "/undeclared": Answer(raw=chunked),
    }
    with table(answers) as server:
        for path in answers:
            with pytest.raises(UpstreamFailed):
                run(lambda outbound, path=path: read(outbound, path))  # type: ignore[misc]


def test_a_stream_that_is_left_is_closed() -> None:
    async def leave(outbound: Outbound) -> int:
        limits = terms(server.url, max_bytes=2**30)
        for _ in range(3):
            async with outbound.stream(server.url, limits) as answer:
                async for _ in answer:
                    break
        return (await outbound.head(server.url, limits)).status

    with serving(lambda asked: Answer(200, bytes(2**20))) as server:
        assert run(leave) == 200


# -- redirects --------------------------------------------------------------------------------------------


def test_redirects_are_followed_with_their_path_and_up_to_a_bound() -> None:
    def answer(asked: Asked) -> Answer:
        left = int(asked.path[1:])
        return Answer(302, headers={"Location": f"/{left - 1}"}) if left else Answer(200, b"there")

    with serving(answer) as server:
        reply = get(f"{server.url}/{MAX_REDIRECTS}", terms(server.url))
        assert (reply.body, reply.url) == (b"there", f"{server.url}/0")
        with pytest.raises(UpstreamFailed, match="redirects"):
            get(f"{server.url}/{MAX_REDIRECTS + 1}", terms(server.url))


def test_credentials_stay_with_their_origin() -> None:
    secrets = {"authorization": "Bearer secret", "cookie": "a=b", "x-other": "1"}
    with table({"/a": Answer(200, b"")}) as other:
        targets = {"/away": f"{other.url}/a", "/name": f"http://localhost:{other.port}/a", "/same": "/end"}
        answers = {path: Answer(307, headers={"Location": to}) for path, to in targets.items()}
        with table({**answers, "/end": Answer(200)}) as server:
            limits = terms(server.url, other.url, f"http://localhost:{other.port}")
            for path in targets:
                get(server.url + path, limits, secrets)
            assert all(asked.headers["authorization"] == "Bearer secret" for asked in server.asked)
        for asked in other.asked:
            assert not {"authorization", "cookie"} & asked.headers.keys()
            assert asked.headers["x-other"] == "1"
        assert len(other.asked) == 2


def test_credentials_in_a_redirect_are_not_used() -> None:
    with table({"/a": Answer(200)}) as other:
        to = other.url.replace("://", "://user:password@")
        with table({"/": Answer(302, headers={"Location": f"{to}/a"})}) as server:
            reply = get(server.url + "/", terms(server.url, other.url))
        assert "authorization" not in other.asked[0].headers
        assert "password" not in reply.url


def test_a_redirect_never_leaves_https(tmp_path: Path) -> None:
    certificates = make(tmp_path)
    with table({"/": Answer(200, b"plain")}) as plain:
        to_plain = Answer(302, headers={"Location": plain.url})
        with serving(lambda asked: to_plain, certificates) as server, pytest.raises(UpstreamFailed):
            get(server.url, terms(server.url, plain.url), ca_cert=certificates.authority)
        assert not plain.asked


@pytest.mark.parametrize("target", ["file:///etc/passwd", "gopher://x/", "http://[", "//", "http://\x7f/"])
def test_a_redirect_to_what_is_no_web_address_is_a_failure(target: str) -> None:
    with table({"/": Answer(302, headers={"Location": target})}) as server, pytest.raises(UpstreamFailed):
        get(server.url + "/", terms(server.url))


# -- private networks -------------------------------------------------------------------------------------


def test_a_redirect_to_a_private_address_is_refused_before_anything_is_sent() -> None:
    with table({"/secret": Answer(200, b"internal")}) as inside:
        for host in ("127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"):
            to = f"http://{host}:{inside.port}/secret"
            away = Answer(302, headers={"Location": to})
            with table({"/": away}) as server, pytest.raises(UpstreamFailed, match="private network"):
                get(server.url + "/", terms(server.url))
        assert not inside.asked


def test_what_is_given_is_an_origin_and_no_host() -> None:
    """Another port of a host that the operator named is another server."""
    with table({"/": Answer(200)}) as inside, pytest.raises(UpstreamFailed, match="private network"):
        get(inside.url, terms(f"http://127.0.0.1:{inside.port + 1}", f"https://127.0.0.1:{inside.port}"))


def test_a_connection_of_what_was_given_does_not_serve_what_was_not() -> None:
    async def twice(outbound: Outbound) -> None:
        await outbound.get(server.url, terms(server.url))
        with pytest.raises(UpstreamFailed, match="private network"):
            await outbound.get(server.url, terms())

    with table({"/": Answer(200)}) as server:
        run(twice)
        assert len(server.asked) == 1


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: a name that is public when it is checked, and private when it is resolved again."""
    resolved: list[str] = []
    connected: list[str] = []

    async def work(outbound: Outbound) -> None:
        from nora.outbound import network

        async def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
            resolved.append(host)
            address = "127.0.0.1" if len(resolved) > 1 else "93.184.216.34"
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port)),
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)),
            ]

        async def start_connection(found: list[Any], **_: object) -> None:
            connected.extend(address[0] for *_, address in found)
            raise OSError("no network in tests")

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=False)
        monkeypatch.setattr(network, "start_connection", start_connection)
        with pytest.raises(UpstreamUnavailable):
            await outbound.get("http://rebinding.example.com/", terms())

    run(work)
    assert (resolved, connected) == (["rebinding.example.com"], ["93.184.216.34"])


# -- trust and proxies ------------------------------------------------------------------------------------


def test_an_authority_of_ones_own_is_trusted_when_it_is_named(tmp_path: Path) -> None:
    certificates = make(tmp_path)
    with serving(lambda asked: Answer(200, b"secure"), certificates) as server:
        limits = terms(server.url)
        assert get(server.url, limits, ca_cert=certificates.authority).body == b"secure"
        with pytest.raises(UpstreamFailed, match="NORA_TLS_CA_CERT"):
            get(server.url, limits)


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        serving(lambda asked: Answer(200, b"by proxy")) as proxy,
        table({"/": Answer(200, b"direct")}) as server,
    ):
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("://", "://user:secret@"))
        assert get("http://upstream.example.com/a", terms()).body == b"by proxy"
        assert proxy.asked[0].path == "http://upstream.example.com/a"
        assert proxy.asked[0].headers["proxy-authorization"].startswith("Basic ")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,example.org")
        assert get(server.url, terms(server.url)).body == b"direct"
        monkeypatch.setenv("NO_PROXY", "")
        for host in ("127.0.0.1", "localhost", "0x7f.1", "[::1]", "10.0.0.1", "[::ffff:10.0.0.1]"):
            with pytest.raises(UpstreamFailed, match="private network"):
                get(f"http://{host}/", terms())
        assert len(proxy.asked) == 1


def test_a_tunnel_through_the_proxy_is_asked_for_https(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda asked: Answer(403)) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"127.0.0.1:{proxy.port}")
        with pytest.raises(UpstreamUnavailable, match="proxy"):
            get("https://upstream.example.com/a", terms())
        assert (proxy.asked[0].method, proxy.asked[0].path) == ("CONNECT", "upstream.example.com:443")


def test_a_kind_of_proxy_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://user:secret@127.0.0.1:1")
    with pytest.raises(UpstreamUnavailable, match="socks5") as told:
        get("http://upstream.example.com/a", terms())
    assert "secret" not in str(told.value)


def test_nothing_of_httpx_is_imported_before_it_is_needed() -> None:
    program = (
        "import nora.outbound, sys; nora.outbound.Outbound(); print({'httpx', 'httpcore'} & {*sys.modules})"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "set()"


def test_every_failure_is_one_of_noras() -> None:
    assert issubclass(UpstreamFailed, NoraError)
    assert {UpstreamFailed.status, UpstreamUnavailable.status, UpstreamTimeout.status} == {502, 503, 504}


def test_a_body_is_expanded_in_steps_that_let_others_go_on() -> None:
    content = bytes(range(256)) * 20_000
    steps = 0

    async def beside(outbound: Outbound) -> bytes:
        async def count() -> None:
            nonlocal steps
            while True:
                steps += 1
                await asyncio.sleep(0)

        other = asyncio.ensure_future(count())
        try:
            return (await outbound.get(server.url, terms(server.url, max_bytes=2**24))).body
        finally:
            other.cancel()

    packed = gzip.compress(content)
    assert len(packed) < 2**16, "one piece"
    with serving(lambda asked: Answer(200, packed, {"Content-Encoding": "gzip"})) as server:
        assert run(beside) == content
    assert steps > len(content) / 2**17
