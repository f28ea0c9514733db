"""Asking an upstream: when a host is left alone, and that what is no fault of its does not count."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from nora.config import Breaker, Timeouts
from nora.errors import UpstreamFailed, UpstreamTimeout, UpstreamUnavailable
from nora.observability.logs import REQUEST_ID
from tests.proxy.asking import LIMIT, World, failing, read
from tests.support.answers import NEVER, Answer, document, redirect
from tests.support.upstream import Upstream


def test_a_host_that_fails_is_left_alone_and_found_again(up: Upstream, other: Upstream) -> None:
    up.fault = Answer(status=500)
    for one in (up, other):
        one.serve("/a", document(b"hello"))
    world = World()

    async def story() -> None:
        one = world.upstream(up.url)
        for bad in ("b", "c"):
            assert (await failing(one.ask("GET", f"{up.url}/{bad}", max_bytes=LIMIT))).status == 503
        asked = up.log.count()
        refused = await failing(read(world.upstream(f"{up.url}/b"), f"{up.url}/b/a"))
        assert isinstance(refused, UpstreamUnavailable)
        assert refused.retry_after == 30
        assert up.log.count() == asked, "it is the host's, whoever asks"
        assert await world.upstream(other.url).ask("GET", f"{other.url}/a", max_bytes=LIMIT) is not None
        world.now += 30
        await failing(one.ask("GET", f"{up.url}/d", max_bytes=LIMIT))
        assert up.log.count() == asked + 1, "a probe is one request"
        up.fault = None
        world.now += 30
        assert await one.ask("GET", f"{up.url}/a", max_bytes=LIMIT) is not None

    world.run(story)
    assert world.value("nora_circuit_breaker_rejections_total", host="127.0.0.1") == 1
    assert world.value("nora_circuit_breaker_state", host="127.0.0.1") == 0


def test_a_probe_that_is_cancelled_keeps_nobody_out(up: Upstream) -> None:
    up.fault = Answer(status=500)
    up.serve("/a", document(b"hello"))
    world = World(tries=1)

    async def story() -> None:
        one = world.upstream(up.url)
        for bad in ("b", "c"):
            await failing(one.ask("GET", f"{up.url}/{bad}", max_bytes=LIMIT))
        world.now += 30
        up.fault = Answer(delay=NEVER)
        probe = asyncio.ensure_future(one.ask("GET", f"{up.url}/a", max_bytes=LIMIT))
        await asyncio.to_thread(up.log.wait, "GET", "/a", 1)
        assert isinstance(await failing(one.ask("GET", f"{up.url}/a", max_bytes=LIMIT)), UpstreamUnavailable)
        probe.cancel()
        with suppress(asyncio.CancelledError):
            await probe
        up.fault = None
        assert await one.ask("GET", f"{up.url}/a", max_bytes=LIMIT) is not None

    world.run(story)
    assert world.outcomes() == {"failed": 2, "cancelled": 1, "ok": 1}


def test_one_resource_that_fails_again_and_again_disables_no_host(up: Upstream) -> None:
    up.serve("/good", document(b"hello"))
    up.serve("/bad", Answer(status=500))
    world = World(tries=1)

    async def story() -> None:
        one = world.upstream(up.url)
        for _ in range(10):
            assert (await failing(one.ask("GET", f"{up.url}/bad", max_bytes=LIMIT))).status == 503
            await failing(read(one, f"{up.url}/bad"))
        assert await read(one, f"{up.url}/good") == b"hello"

    world.run(story)
    assert up.log.count("GET", "/bad") == 20


def test_a_host_without_a_connection_is_left_alone_whatever_was_asked_for() -> None:
    world = World(tries=1)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"

    async def story() -> None:
        one = world.upstream(url)
        for _ in range(2):
            await failing(one.ask("GET", f"{url}/a", max_bytes=LIMIT))
        for wanted in ("a", "b"):
            refused = await failing(one.ask("GET", f"{url}/{wanted}", max_bytes=LIMIT))
            assert "again and again" in str(refused)

    world.run(story)


def test_the_deadline_of_a_client_is_no_silence_of_the_host(up: Upstream) -> None:
    up.serve("/slow", Answer(delay=NEVER))
    up.serve("/good", document(b"hello"))
    world = World(timeouts=Timeouts(5, 5, 60, answer=1), breaker=Breaker(True, 1, 30), tries=1)

    async def asked_late() -> None:
        """By a client that has little time left."""
        REQUEST_ID.set("late")
        error = await failing(world.upstream(up.url).ask("GET", f"{up.url}/slow", max_bytes=LIMIT))
        assert isinstance(error, UpstreamTimeout)

    async def story() -> None:
        await asyncio.gather(asked_late())  # in a task, with a context of its own
        assert await read(world.upstream(up.url), f"{up.url}/good") == b"hello"

    world.run(story)


def test_clients_that_go_away_are_no_failures(up: Upstream) -> None:
    up.serve("/slow", Answer(delay=NEVER))
    up.serve("/good", document(b"hello"))
    world = World(breaker=Breaker(True, 1, 30), tries=1)

    async def story() -> None:
        one = world.upstream(up.url)
        for count in range(1, 4):
            asking = asyncio.ensure_future(one.ask("GET", f"{up.url}/slow", max_bytes=LIMIT))
            await asyncio.to_thread(up.log.wait, "GET", "/slow", count)
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking
        assert await read(one, f"{up.url}/good") == b"hello"

    world.run(story)


def test_silence_opens_it_too(up: Upstream) -> None:
    up.serve("/a", Answer(delay=NEVER))
    world = World(timeouts=Timeouts(5, 5, 1), breaker=Breaker(True, 1, 30), tries=1)

    async def twice() -> tuple[UpstreamFailed, UpstreamFailed]:
        one = world.upstream(up.url)
        return (
            await failing(read(one, f"{up.url}/a")),
            await failing(read(one, f"{up.url}/a")),
        )

    first, second = world.run(twice)
    assert isinstance(first, UpstreamTimeout)
    assert isinstance(second, UpstreamUnavailable)
    assert up.log.count() == 1


def test_where_a_redirect_leads_is_not_its_fault(up: Upstream, other: Upstream) -> None:
    other.fault = Answer(status=500)
    up.serve("/away", redirect(f"{other.url}/a"))
    up.serve("/a", document(b"hello"))
    world = World(breaker=Breaker(True, 1, 30), private=("*",))

    async def story() -> None:
        one = world.upstream(up.url)
        for _ in range(3):
            assert (await failing(one.ask("GET", f"{up.url}/away", max_bytes=LIMIT))).status == 503
        assert await one.ask("GET", f"{up.url}/a", max_bytes=LIMIT) is not None

    world.run(story)
