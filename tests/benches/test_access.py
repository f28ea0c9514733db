"""How the bench of access guesses passwords, and what it takes for a refusal."""

from __future__ import annotations

import asyncio
import math
import tomllib

import pytest

from benches.registries import access, gates, measure, storm
from tests.support.tables import each


def test_each_guess_is_another_user_with_another_password() -> None:
    requests = {storm.guess(number, "/v2/a") for number in range(5)}
    assert len(requests) == 5
    assert all(request.endswith(b"\r\n\r\n") and b"\r\n\r\n" not in request[:-4] for request in requests)
    assert b"Authorization: Basic dXNlcjA6d3JvbmcwCg" not in storm.guess(0, "/")  # no line end in it
    assert b"Authorization: Basic dXNlcjA6d3Jvbmcw\r\n" in storm.guess(0, "/")


@pytest.mark.parametrize("addresses", [1, 50])
def test_guesses_come_from_so_many_addresses_and_never_from_the_trusted_one(addresses: int) -> None:
    seen = {storm.source(number, addresses) for number in range(200)}
    assert len(seen) == addresses
    assert "127.0.0.1" not in seen


def test_a_storm_counts_answers_by_status() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        peers.append(writer.get_extra_info("peername")[0])
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def work() -> dict[str, int]:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await storm.storm(port, "/", rate=1000, addresses=2, seconds=0.004)

    peers: list[str] = []
    assert asyncio.run(work()) == {"401": 4}
    assert sorted(peers) == ["127.0.1.1", "127.0.1.1", "127.0.1.2", "127.0.1.2"]


@each(
    ("answers", "fine"),
    [
        ({"401": 2, "429": 3}, True),
        ({"401": 5}, True),
        ({"429": 5}, False),  # nobody looked at any
        ({"401": 2, "429": 2}, False),
        ({"401": 4, "200": 1}, False),
        ({"401": 4, storm.FAILED: 1}, False),
        ({}, False),
    ],
)
def test_only_refusals_of_all_guesses_count(answers: dict[str, int], fine: bool) -> None:
    assert access.refused(answers, 5) is fine


def test_rounds_are_compared_in_pairs() -> None:
    assert measure.paired([5, 10, 90], [10, 10, 100]) == 0.9


def test_the_configuration_has_one_public_repository() -> None:
    config = tomllib.loads(access.CONFIG.format(users="/users", limits="false"))
    assert config["repositories"] == {"public": {"format": "docker", "anonymous_read": True}}
    assert config["rate_limit"] == {"enabled": False}
    assert config["auth"] == {"enabled": True, "htpasswd_file": "/users"}


def test_promises_of_access() -> None:
    assert [one.bound for one in gates.ACCESS_RATES.values()] == [0.8, 0.7]
    assert gates.ACCESS_RATES["token"].check(0.8).passed
    assert not gates.ACCESS_RATES["password"].check(0.69).passed
    assert gates.ACCESS_STORMS[1].check(1.9).passed
    assert not gates.ACCESS_STORMS[50].check(math.nan).passed
