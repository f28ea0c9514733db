"""What comes of the answers of sources: found, absent, failed, and who is asked at all."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from nora.errors import NotFound, UpstreamFailed, UpstreamRefused, UpstreamTimeout, UpstreamUnavailable
from tests.resolve.world import World

pytestmark = pytest.mark.anyio
Make = Callable[..., World]

TWO = """
[pypi]
upstreams = ["https://first.example.com/simple", "https://second.example.com/simple"]
"""
FAILURES = (
    UpstreamUnavailable("down"),
    UpstreamRefused("401"),
    UpstreamTimeout("silence"),
    UpstreamFailed("cut"),
)


async def test_the_first_that_has_it_keeps_it(make: Make) -> None:
    world = await make(TWO).begin()
    assert await world.first("pypi", "a", {"first": "1", "second": "2"}) == "1"
    assert world.asked == ["first"]
    for gone in (None, NotFound("gone")):
        try:
            assert await world.first("pypi", "a", {"first": gone, "second": "2"}) is None
        except NotFound:
            assert gone is not None
        assert world.asked == ["first"], "what it loses does not move on"


async def test_the_next_is_asked_for_what_the_first_does_not_have(make: Make) -> None:
    world = await make(TWO).begin()
    assert await world.first("pypi", "a", {"first": None, "second": "2"}) == "2"
    assert world.asked == ["first", "second"]
    assert await world.first("pypi", "b", {"first": None, "second": None}) is None


async def test_a_failure_never_hands_a_name_on(make: Make) -> None:
    world = await make(TWO).begin()
    for failure in FAILURES:
        with pytest.raises(type(failure)):
            await world.first("pypi", "a", {"first": failure, "second": "2"})
        assert world.asked == ["first"]


async def test_a_name_whose_source_lacks_the_thing_is_nobody_elses(make: Make) -> None:
    world = await make(TWO).begin()
    with pytest.raises(NotFound, match="no such tag"):
        await world.first("pypi", "a", {"first": NotFound("no such tag"), "second": "2"})
    assert world.asked == ["first"]


async def test_a_pinned_name_goes_on_while_an_earlier_source_is_down(make: Make) -> None:
    world = await make(TWO).begin()
    assert await world.first("pypi", "a", {"first": None, "second": "2"}) == "2"
    for failure in FAILURES:
        assert await world.first("pypi", "a", {"first": failure, "second": "2"}) == "2"
    with pytest.raises(UpstreamFailed):
        await world.first("pypi", "unknown", {"first": FAILURES[0], "second": "2"})


async def test_an_earlier_source_that_was_never_asked_is_not_passed_over(make: Make) -> None:
    """It was added later: nobody knows that it has nothing."""
    before = await make('[pypi]\nupstreams = ["https://second.example.com/simple"]\n').begin()
    assert await before.first("pypi", "a", {"second": "2"}) == "2"
    world = await make(TWO).begin()
    with pytest.raises(UpstreamUnavailable):
        await world.first("pypi", "a", {"first": FAILURES[0], "second": "2"})
    assert await world.first("pypi", "a", {"first": None, "second": "2"}) == "2"
    assert await world.first("pypi", "a", {"first": FAILURES[0], "second": "2"}) == "2"


async def test_an_earlier_source_takes_a_name_over_by_having_it(make: Make) -> None:
    world = await make(TWO).begin()
    assert await world.first("pypi", "a", {"first": None, "second": "2"}) == "2"
    assert await world.first("pypi", "a", {"first": "1", "second": "2"}) == "1"
    assert await world.first("pypi", "a", {"first": "1", "second": "2"}) == "1"
    assert world.asked == ["first"]


MERGED = """
[pypi]
upstreams = [
    "https://first.example.com/simple",
    { url = "https://second.example.com/simple", merge = ["org.example.**"] },
]
"""


async def test_sources_are_joined_where_the_operator_says_so(make: Make) -> None:
    world = await make(MERGED).begin()
    both = {"first": "1", "second": "2"}
    assert await world.every("pypi", "org.example.a", both) == ["1", "2"]
    assert await world.every("pypi", "org.example.a", both) == ["1", "2"], "pinned by now"
    assert await world.every("pypi", "com.example.a", both) == ["1"]
    assert await world.first("pypi", "org.example.a", both) == "1"
    missing = {"first": NotFound("no 2.0"), "second": "2"}
    assert await world.first("pypi", "org.example.a", missing) == "2"
    with pytest.raises(NotFound):
        await world.first("pypi", "com.example.a", missing)


async def test_a_part_that_cannot_be_asked_fails_the_whole(make: Make) -> None:
    world = await make(MERGED).begin()
    with pytest.raises(UpstreamUnavailable):
        await world.every("pypi", "org.example.a", {"first": "1", "second": FAILURES[0]})


async def test_nothing_is_learnt_from_who_is_not_asked(make: Make) -> None:
    """While one is offline, that it has nothing here does not mean that it has nothing."""
    world = await make(
        """
[repositories.one]
format = "pypi"
kind = "proxy"
mode = "offline"
upstreams = ["https://first.example.com/simple"]
[repositories.two]
format = "pypi"
kind = "proxy"
upstreams = ["https://second.example.com/simple"]
[repositories.both]
format = "pypi"
kind = "group"
members = ["pypi-hosted", "one", "two"]
"""
    ).begin()
    assert await world.first("both", "a", {"first": None, "second": "2"}) == "2"
    with pytest.raises(UpstreamUnavailable):
        await world.first("both", "a", {"first": FAILURES[0], "second": "2"})


async def test_why_somebody_was_not_asked_is_told_once(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nora.resolve")
    world = await make(TWO).begin()
    assert await world.first("pypi", "a", {"first": "1", "second": "2"}) == "1"
    for _ in range(2):
        assert await world.first("pypi", "a", {"first": None, "second": "2"}) is None
        with pytest.raises(UpstreamFailed):
            await world.first("pypi", "b", {"first": FAILURES[0], "second": "2"})
    told = [record.getMessage() for record in caplog.records]
    assert [("`merge`" in one, "`names`" in one) for one in told] == [(True, False), (False, True)]
    assert "https://second.example.com/simple" in told[0]
    assert "https://first.example.com/simple" in told[1]
