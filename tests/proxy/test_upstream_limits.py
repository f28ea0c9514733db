"""Asking an upstream: when it is left alone, what it is told about who asks, and where it may lead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn, cast

import pytest

from nora.config import Breaker
from nora.errors import UpstreamLimited, UpstreamUnavailable
from nora.outbound import Headers, Method, Outbound
from nora.outbound.faults import transient
from nora.proxy.upstream import LONGEST_HOLD, MAX_HOLDS
from tests.proxy.asking import LIMIT, World, failing, read
from tests.support.answers import Answer, document, redirect
from tests.support.upstream import Upstream

# -- limits of the upstream -------------------------------------------------------------------------------


def test_a_limit_is_passed_on_and_kept(up: Upstream) -> None:
    up.serve("/a", document(b"hello"))
    up.once("/a", Answer(status=429, headers={"retry-after": "40"}))
    world = World()

    async def again_and_again() -> None:
        one = world.upstream(up.url)
        get = f"{up.url}/a"
        error = await failing(one.ask("GET", get, max_bytes=LIMIT))
        assert isinstance(error, UpstreamLimited)
        assert (error.retry_after, error.status) == (40, 503)
        world.now += 10
        error = await failing(one.ask("GET", get, max_bytes=LIMIT))
        assert isinstance(error, UpstreamLimited)
        assert error.retry_after == 30
        assert up.log.count("GET") == 1
        assert await one.ask("HEAD", get, max_bytes=0) is not None, "may not be limited at all"
        assert await read(one, get) == b"hello"
        assert await world.upstream(up.url).ask("GET", get, max_bytes=LIMIT) is not None, "another account"
        world.now += 30
        assert await one.ask("GET", get, max_bytes=LIMIT) is not None

    world.run(again_and_again)
    assert world.outcomes()["limited"] == 1


def test_a_limit_of_a_day_is_looked_at_again_sooner(up: Upstream) -> None:
    up.fault = Answer(status=429, headers={"retry-after": "86400"})
    world = World()

    async def later() -> None:
        one = world.upstream(up.url)
        for count in (1, 2):
            error = await failing(one.ask("GET", f"{up.url}/a", max_bytes=LIMIT))
            assert isinstance(error, UpstreamLimited)
            assert error.retry_after == LONGEST_HOLD, "what clients are told is what holds"
            assert up.log.count() == count
            world.now += LONGEST_HOLD

    world.run(later)


def test_when_to_come_back_for_one_document_is_said_of_that_alone(up: Upstream) -> None:
    up.serve("/bad", Answer(status=503, headers={"retry-after": "40"}))
    up.serve("/good", document(b"hello"))
    world = World()

    async def story() -> None:
        one = world.upstream(up.url)
        for count in (40, 30):
            error = await failing(one.ask("GET", f"{up.url}/bad", max_bytes=LIMIT))
            assert isinstance(error, UpstreamUnavailable)
            assert error.retry_after == count
            assert await one.ask("GET", f"{up.url}/good", max_bytes=LIMIT) is not None
            world.now += 10
        assert up.log.count("GET", "/bad") == 1
        up.serve("/bad", Answer(status=429, headers={"retry-after": "40"}))
        world.now += 30
        for wanted in ("bad", "good"):
            error = await failing(one.ask("GET", f"{up.url}/{wanted}", max_bytes=LIMIT))
            assert isinstance(error, UpstreamLimited), "this is said of who asks, whatever is asked for"

    world.run(story)


class Limited:
    """An `Outbound` of which every host says to come back tomorrow."""

    def open(self, method: Method, url: str, *_: object) -> NoReturn:
        raise transient(UpstreamLimited("tomorrow", 86400), url)


def test_limits_of_any_number_of_hosts_take_little_room() -> None:
    """The pages of an upstream may name as many as they like."""
    world = World()

    async def ask_all() -> None:
        one = world.upstream("https://index.example.com")
        one._outbound = cast("Outbound", Limited())
        for number in range(3 * MAX_HOLDS):
            await failing(one.ask("GET", f"https://files-{number}.example.com/a", max_bytes=LIMIT))
        assert len(one._holds) <= MAX_HOLDS
        world.now += LONGEST_HOLD
        await failing(one.ask("GET", "https://last.example.com/a", max_bytes=LIMIT))
        assert [host for host, *_ in one._holds] == ["https://last.example.com:443"]

    world.run(ask_all)


def test_limits_do_not_open_the_breaker(up: Upstream) -> None:
    up.fault = Answer(status=429)
    world = World(breaker=Breaker(True, 1, 30))

    async def thrice() -> None:
        for _ in range(3):
            error = await failing(world.upstream(up.url).ask("GET", f"{up.url}/a", max_bytes=LIMIT))
            assert isinstance(error, UpstreamLimited)

    world.run(thrice)
    assert up.log.count() == 3


def test_what_is_left_of_a_quota_is_shown(up: Upstream) -> None:
    up.serve("/a", document(b"x").plus(ratelimit_limit="100;w=21600", ratelimit_remaining="76;w=21600"))
    world = World()
    world.run(lambda: world.upstream(up.url).ask("GET", f"{up.url}/a", max_bytes=LIMIT))
    assert world.value("nora_upstream_ratelimit_limit", host="127.0.0.1") == 100
    assert world.value("nora_upstream_ratelimit_remaining", host="127.0.0.1") == 76


# -- credentials and private networks ---------------------------------------------------------------------


def test_credentials_are_for_the_upstream_only(up: Upstream, other: Upstream) -> None:
    up.serve("/away", redirect(f"{other.url}/a"))
    for one in (up, other):
        one.serve("/a", document(b"hello"))
    world = World(private=("*",))

    async def all_of_them() -> None:
        one = world.upstream(f"{up.url}/base", "user:pässword")
        assert await one.ask("GET", f"{up.url}/a", max_bytes=LIMIT) is not None
        assert await one.ask("GET", f"{up.url}/away", max_bytes=LIMIT) is not None
        assert await one.ask("GET", f"{other.url}/a", max_bytes=LIMIT) is not None
        assert await one.ask("GET", f"http://localhost:{up.port}/a", max_bytes=LIMIT) is not None
        assert await read(one, f"{other.url}/a") == b"hello"

    world.run(all_of_them)
    seen = [(one.path, one.headers.get("authorization")) for one in up.log.requests]
    basic = "Basic dXNlcjpww6Rzc3dvcmQ="
    assert seen == [("/a", basic), ("/away", basic), ("/a", None)]
    assert all("authorization" not in one.headers for one in other.log.requests)


def test_only_the_upstream_may_be_in_a_private_network(up: Upstream, other: Upstream) -> None:
    up.serve("/away", redirect(f"{other.url}/a"))
    world = World()

    async def both() -> None:
        one = world.upstream(up.url)
        for url in (f"{other.url}/a", f"{up.url}/away", f"http://localhost:{up.port}/a"):
            for work in (one.ask("GET", url, max_bytes=LIMIT), read(one, url)):
                assert "private network" in str(await failing(work))

    world.run(both)
    assert not other.log.requests
    assert not world.slept


class Tokens:
    """A format's credentials: a token that the upstream has to ask for."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = [*tokens]
        self.token = ""
        self.challenges: list[tuple[Method, str, Sequence[str]]] = []

    async def headers(self, method: Method, url: str) -> Headers:
        return {"authorization": f"Bearer {self.token}"} if self.token else {}

    async def challenged(
        self, method: Method, url: str, challenges: Sequence[str], *, is_inside: bool = False
    ) -> bool:
        self.challenges.append((method, url, challenges))
        if not self.tokens:
            return False
        self.token = self.tokens.pop(0)
        return True


def guarded(up: Upstream, token: str) -> None:
    def guard(asked: object) -> Answer | None:
        headers: Headers = asked.headers  # type: ignore[attr-defined]
        if headers.get("authorization") == f"Bearer {token}":
            return None
        return Answer(status=401, headers={"www-authenticate": 'Bearer realm="x"'})

    up.guard = guard


def test_a_challenge_is_answered_once(up: Upstream) -> None:
    up.serve("/a", document(b"hello"))
    guarded(up, "right")
    world = World()
    tokens = Tokens("right")

    async def story() -> None:
        one = world.upstream(up.url, authorization=tokens)
        assert await read(one, f"{up.url}/a") == b"hello"
        assert await one.ask("HEAD", f"{up.url}/a", max_bytes=0) is not None

    world.run(story)
    assert tokens.challenges == [("GET", f"{up.url}/a", ('Bearer realm="x"',))]
    assert world.outcomes() == {"refused": 1, "ok": 2}


@pytest.mark.parametrize(("tokens", "asked"), [(("wrong", "right"), 2), ((), 1)])
def test_a_challenge_that_is_not_met_is_a_failure(up: Upstream, tokens: Sequence[str], asked: int) -> None:
    guarded(up, "right")
    world = World()
    authorization = Tokens(*tokens)
    error = world.run(
        lambda: failing(
            world.upstream(up.url, authorization=authorization).ask("GET", f"{up.url}/a", max_bytes=LIMIT)
        )
    )
    assert (error.status, up.log.count()) == (502, asked)


def test_a_token_service_that_fails_is_not_the_upstreams_fault(up: Upstream, other: Upstream) -> None:
    class Broken(Tokens):
        async def headers(self, method: Method, url: str) -> Headers:
            await world.upstream(other.url).ask("GET", f"{other.url}/token", max_bytes=LIMIT)
            return {}

    up.serve("/a", document(b"hello"))
    other.fault = Answer(status=500)
    world = World(breaker=Breaker(True, 1, 30), private=("*",))

    async def story() -> None:
        one = world.upstream(up.url, authorization=Broken())
        assert (await failing(one.ask("GET", f"{up.url}/a", max_bytes=LIMIT))).status == 503
        assert other.log.count() == 3, "tried again there, and not once more here"
        assert await world.upstream(up.url).ask("GET", f"{up.url}/a", max_bytes=LIMIT) is not None

    world.run(story)
