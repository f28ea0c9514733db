"""The states of hosts: one for each, not too many of them."""

from __future__ import annotations

import pytest

from nora.config import Breaker
from nora.errors import UpstreamFailed, UpstreamUnavailable
from nora.proxy import hosts
from nora.proxy.hosts import Host, Hosts
from nora.proxy.retries import Retries
from tests.proxy.asking import World

OPTIONS = Breaker(True, 1, 30)


def make(world: World, *urls: str) -> list[Host]:
    async def body() -> list[Host]:
        return [world.hosts.of(url, OPTIONS) for url in urls]

    return world.run(body)


def test_a_host_is_an_origin() -> None:
    found = make(
        World(), "https://x.example.com/a", "https://X.example.com:443/b?c", "https://x.example.com:8443/"
    )
    assert found[0] is found[1]
    assert found[2] is not found[0]
    assert found[0].origin == "https://x.example.com:443"


def test_an_address_without_a_port_that_can_be_is_a_failure() -> None:
    with pytest.raises(UpstreamFailed):
        make(World(), "https://x.example.com:99999/")


def test_there_are_not_more_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "MAX_HOSTS", 3)
    world = World()

    async def body() -> None:
        first = world.hosts.of("https://0.example.com", OPTIONS)
        with first.breaker.attempt("/a") as attempt:
            attempt.failed()
        second = world.hosts.of("https://1.example.com", OPTIONS)
        for number in range(2, 10):
            world.hosts.of(f"https://{number}.example.com", OPTIONS)
        assert world.hosts.of("https://0.example.com", OPTIONS) is first, "it is left alone still"
        assert world.hosts.of("https://1.example.com", OPTIONS) is not second

    world.run(body)


def test_a_host_that_has_recovered_is_asked_by_all_workers() -> None:
    world = World()

    async def body() -> None:
        other = Hosts(world.metrics, Retries(clock=world.clock), world.memory.answers)
        first, second = (one.of("https://x.example.com/", OPTIONS).breaker for one in (world.hosts, other))
        stranger = other.of("https://y.example.com/", OPTIONS).breaker
        for breaker in (second, stranger):
            with breaker.attempt("/a") as attempt:
                attempt.failed()
        world.now += 5
        with first.attempt("/a") as attempt:  # this one has not noticed that anything was wrong
            attempt.succeeded()
        with second.attempt("/a") as attempt:
            assert attempt.is_probe
        with pytest.raises(UpstreamUnavailable), stranger.attempt("/a"):
            pass

    world.run(body)


def test_metrics_name_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "MAX_NAMES", 2)
    world = World()

    async def body() -> None:
        for number in range(5):
            host = world.hosts.of(f"https://{number}.example.com", OPTIONS)
            host.metrics.observe("ok", 0.1)

    world.run(body)
    assert [
        world.outcomes(name) for name in ("0.example.com", "1.example.com", "2.example.com", "other")
    ] == [
        {"ok": 1},
        {"ok": 1},
        {},
        {"ok": 3},
    ]


def test_one_whose_breaker_is_off_is_always_asked() -> None:
    world = World()

    async def body() -> None:
        host = world.hosts.of("https://x.example.com", Breaker(False, 1, 30))
        for _ in range(5):
            with host.breaker.attempt("/a") as attempt:
                attempt.failed()

    world.run(body)
