"""Asking an upstream: what is found, absent or failed, what is tried again, and how much at once."""

from __future__ import annotations

import asyncio

import pytest

from nora.config import Breaker, Timeouts
from nora.errors import UpstreamFailed, UpstreamTimeout, UpstreamUnavailable
from nora.outbound import Headers, Reply
from tests.proxy.asking import LIMIT, World, failing, read
from tests.support.answers import NEVER, Answer, document, redirect
from tests.support.upstream import Upstream


def ask(world: World, up: Upstream, path: str = "/a", headers: Headers | None = None) -> Reply | None:
    return world.run(lambda: world.upstream(up.url).ask("GET", up.url + path, headers, max_bytes=LIMIT))


# -- found, absent, failed --------------------------------------------------------------------------------


def test_what_is_there_is_found(up: Upstream) -> None:
    up.serve("/a", document(b"hello", etag='"1"'))
    world = World()
    reply = ask(world, up)
    assert reply is not None
    assert (reply.status, reply.body, reply.headers["etag"], reply.url) == (
        200,
        b"hello",
        '"1"',
        f"{up.url}/a",
    )
    reply = ask(world, up, headers={"if-none-match": '"1"'})
    assert reply is not None
    assert (reply.status, reply.body) == (304, b"")
    assert world.outcomes() == {"ok": 1, "unchanged": 1}
    assert world.value("nora_upstream_bytes_total", host="127.0.0.1") == 5
    assert world.value("nora_upstream_request_duration_seconds_count", host="127.0.0.1") == 2


@pytest.mark.parametrize("status", [404, 410])
def test_what_an_upstream_says_is_absent_is_absent(up: Upstream, status: int) -> None:
    up.serve("/a", Answer(status=status, body=b"x" * 2 * LIMIT))
    world = World()

    async def both() -> None:
        one = world.upstream(up.url)
        assert await one.ask("GET", f"{up.url}/a", max_bytes=LIMIT) is None
        assert await one.ask("HEAD", f"{up.url}/a", max_bytes=0) is None
        assert await read(one, f"{up.url}/a") is None

    world.run(both)
    assert world.outcomes() == {"absent": 3}
    assert not world.slept


@pytest.mark.parametrize("status", [206, 304])
def test_an_answer_to_what_was_not_asked_is_a_failure(up: Upstream, status: int) -> None:
    up.serve("/a", Answer(status=status, body=b"" if status == 304 else b"ha"))
    world = World()
    assert world.run(lambda: failing(world.upstream(up.url).ask("GET", f"{up.url}/a", max_bytes=LIMIT)))


@pytest.mark.parametrize("status", [300, 400, 401, 403, 405, 409, 416, 418, 451])
def test_what_is_neither_is_a_failure_that_is_nobodys_fault(up: Upstream, status: int) -> None:
    up.serve("/a", Answer(status=status))
    world = World(breaker=Breaker(True, 1, 30))

    async def both() -> list[UpstreamFailed]:
        one = world.upstream(up.url)
        return [
            await failing(one.ask("GET", f"{up.url}/a", max_bytes=LIMIT)),
            await failing(read(one, f"{up.url}/a")),
        ]

    assert [error.status for error in world.run(both)] == [502, 502]
    assert up.log.count() == 2
    assert world.outcomes() == {"refused": 2}


def test_the_size_of_something_costs_no_body(up: Upstream) -> None:
    up.serve("/a", document(b"x" * 5000))
    world = World()
    reply = world.run(lambda: world.upstream(up.url).ask("HEAD", f"{up.url}/a", max_bytes=0))
    assert reply is not None
    assert reply.headers["content-length"] == "5000"
    assert up.log.requests[0].headers["accept-encoding"] == "identity"
    assert [one.method for one in up.log.requests] == ["HEAD"]


def test_nothing_larger_is_taken_in(up: Upstream) -> None:
    up.serve("/a", document(bytes(LIMIT + 1)))
    up.serve("/b", document(bytes(LIMIT + 1), framing="chunked"))
    world = World()

    async def all_of_it() -> None:
        one = world.upstream(up.url)
        for path in ("/a", "/b"):
            await failing(one.ask("GET", up.url + path, max_bytes=LIMIT))
            await failing(read(one, up.url + path))

    world.run(all_of_it)
    assert up.log.count() == 4


def test_connections_are_used_again(up: Upstream) -> None:
    up.serve("/a", document(b"hello", etag='"1"'))
    up.serve("/there", redirect("/a"))
    world = World()

    async def many() -> None:
        one = world.upstream(up.url)
        for path in ("/a", "/no", "/there"):
            await one.ask("GET", up.url + path, max_bytes=LIMIT)
            await one.ask("HEAD", up.url + path, max_bytes=0)
            await one.ask("GET", up.url + path, {"if-none-match": '"1"'}, max_bytes=LIMIT)
            await read(one, up.url + path)

    world.run(many)
    assert up.connections == 1


# -- streams ----------------------------------------------------------------------------------------------


def test_a_stream_goes_on_where_it_was(up: Upstream) -> None:
    body = bytes(range(256)) * 16
    up.serve("/a", document(body))
    world = World()

    async def part() -> tuple[int, object, bytes]:
        headers = {"range": "bytes=1000-"}
        async with world.upstream(up.url).stream(f"{up.url}/a", headers, max_bytes=LIMIT) as answer:
            assert answer is not None
            return answer.status, answer.range, b"".join([piece async for piece in answer])

    assert world.run(part) == (206, (1000, 4095, 4096), body[1000:])
    assert up.log.requests[0].headers["accept-encoding"] == "identity"


def test_a_part_that_was_not_asked_for_is_a_failure(up: Upstream) -> None:
    up.serve("/a", Answer(status=206, body=b"x", headers={"content-range": "bytes 0-0/9"}))
    world = World()
    world.run(lambda: failing(read(world.upstream(up.url), f"{up.url}/a")))


def test_a_stream_that_is_cut_says_so_and_is_not_begun_again(up: Upstream) -> None:
    up.serve("/a", document(b"x" * 5000, cut=100))
    world = World()
    error = world.run(lambda: failing(read(world.upstream(up.url), f"{up.url}/a")))
    assert error.status == 502
    assert up.log.count() == 1


def test_a_stream_that_does_not_begin_is_tried_again(up: Upstream) -> None:
    up.serve("/a", document(b"hello"))
    up.once("/a", Answer(status=502), Answer(status=500))
    world = World()
    assert world.run(lambda: read(world.upstream(up.url), f"{up.url}/a")) == b"hello"
    assert world.slept == [0.2, 0.4]


def test_a_place_among_the_files_is_free_again(up: Upstream) -> None:
    up.serve("/a", document(b"x" * 5000))
    world = World()

    async def leave() -> None:
        one = world.upstream(up.url)
        host = world.hosts.of(up.url, world.breaker)
        host.files = asyncio.Semaphore(1)
        for _ in range(2):
            async with one.stream(f"{up.url}/a", max_bytes=LIMIT) as answer:
                assert answer is not None
                assert host.files.locked()
            assert not host.files.locked()
            await failing(read(one, f"{up.url}/a", limit=10))
            assert not host.files.locked()
            with pytest.raises(KeyError):
                async with one.stream(f"{up.url}/a", max_bytes=LIMIT):
                    raise KeyError
            assert not host.files.locked()

    world.run(leave)


# -- tries ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Answer(status=500),
        Answer(status=503),
        Answer(status=504),
        Answer(status=429, headers={"retry-after": "1"}),
        document(b"hello", cut=2),
        document(b"hello", cut=2, reset=True),
        Answer(raw=b""),
    ],
)
def test_what_is_transient_is_tried_again(up: Upstream, fault: Answer) -> None:
    up.serve("/a", document(b"hello"))
    up.once("/a", fault, fault)
    world = World()
    reply = ask(world, up)
    assert reply is not None
    assert reply.body == b"hello"
    assert up.log.count() == 3
    assert world.value("nora_upstream_retries_total", host="127.0.0.1") == 2


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Answer(status=500), 503), (Answer(status=503), 503), (document(b"hello", cut=2), 502)],
)
def test_in_the_end_it_is_a_failure_and_never_an_absence(up: Upstream, fault: Answer, status: int) -> None:
    up.fault = fault
    world = World()
    error = world.run(lambda: failing(world.upstream(up.url).ask("GET", f"{up.url}/a", max_bytes=LIMIT)))
    assert error.status == status
    assert not error.transient
    assert up.log.count() == 3


def test_nobody_there(up: Upstream) -> None:
    up.stop()
    world = World()
    error = world.run(lambda: failing(world.upstream(up.url).ask("GET", f"{up.url}/a", max_bytes=LIMIT)))
    assert isinstance(error, UpstreamUnavailable)
    assert world.outcomes() == {"unavailable": 3}


def test_silence_is_a_timeout_after_all_that_there_is_time_for(up: Upstream) -> None:
    up.serve("/a", Answer(delay=NEVER))
    world = World(timeouts=Timeouts(5, 0.2, 0.2), tries=1)
    for _ in range(2):
        error = world.run(lambda: failing(world.upstream(up.url).ask("GET", f"{up.url}/a", max_bytes=LIMIT)))
        assert isinstance(error, UpstreamTimeout)


def test_an_address_that_is_none(up: Upstream) -> None:
    world = World()

    async def all_of_them() -> None:
        one = world.upstream(up.url)
        for url in ("", "http://", "http://x:99999/", "ftp://x/", "https://[::1", "http://\x7f/"):
            await failing(one.ask("GET", url, max_bytes=LIMIT))
            await failing(read(one, url))

    world.run(all_of_them)


# -- how much at once -------------------------------------------------------------------------------------


def test_only_so_many_documents_are_asked_for_at_once(up: Upstream) -> None:
    up.serve("/a", document(b"hello", gate="go"))
    up.serve("/b", document(b"file"))
    world = World()

    async def many() -> None:
        one = world.upstream(up.url)
        world.hosts.of(up.url, world.breaker).documents = asyncio.Semaphore(2)
        tasks = [asyncio.ensure_future(one.ask("GET", f"{up.url}/a", max_bytes=LIMIT)) for _ in range(5)]
        await asyncio.to_thread(up.log.wait, "GET", "/a", 2)
        assert await read(one, f"{up.url}/b") == b"file", "files have places of their own"
        assert up.log.count("GET", "/a") == 2
        up.open("go")
        assert [reply.body for reply in await asyncio.gather(*tasks) if reply] == [b"hello"] * 5

    world.run(many)


def test_whoever_gets_no_place_in_time_is_told(up: Upstream) -> None:
    world = World(timeouts=Timeouts(5, 5, 0.2), breaker=Breaker(True, 1, 30))

    async def full() -> None:
        one = world.upstream(up.url)
        host = world.hosts.of(up.url, world.breaker)
        host.documents = host.files = asyncio.Semaphore(0)
        for work in (one.ask("GET", f"{up.url}/a", max_bytes=LIMIT), read(one, f"{up.url}/a")):
            assert isinstance(await failing(work), UpstreamUnavailable)
        host.documents = asyncio.Semaphore(1)
        world.timeouts = Timeouts(5, 5, 20)
        again = world.upstream(up.url)
        assert await again.ask("GET", f"{up.url}/a", max_bytes=LIMIT) is None, "nobody asked, nobody failed"

    world.run(full)
