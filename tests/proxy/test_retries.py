"""What is tried again, when, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.errors import UpstreamFailed, UpstreamLimited, UpstreamTimeout, UpstreamUnavailable
from nora.proxy.retries import Retries


def passing(error: UpstreamFailed) -> UpstreamFailed:
    error.transient = True
    return error


@dataclass
class Time:
    """Time that passes by sleeping only."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def retries(self, **changes: object) -> Retries:
        options = {"clock": lambda: self.now, "sleep": self.sleep, "random": lambda: 1.0, **changes}
        return Retries(**options)  # type: ignore[arg-type]


def run(
    retries: Retries,
    make: Callable[[], UpstreamFailed],
    fails: int,
    seconds: float = 60,
    may: Callable[[], bool] = lambda: True,
) -> tuple[int, UpstreamFailed | None]:
    """How often the work was tried, and what was raised in the end."""
    tried = 0

    async def work() -> None:
        nonlocal tried
        tried += 1
        if tried <= fails:
            raise make()

    try:
        asyncio.run(retries.run(work, seconds, may))
    except UpstreamFailed as error:
        return tried, error
    return tried, None


@pytest.mark.parametrize("kind", [UpstreamFailed, UpstreamTimeout, UpstreamUnavailable])
def test_what_is_transient_is_tried_again(kind: type[UpstreamFailed]) -> None:
    time = Time()
    assert run(time.retries(), lambda: passing(kind("x")), 2) == (3, None)
    assert time.slept == [0.2, 0.4]


def test_what_is_not_is_not() -> None:
    tried, error = run(Time().retries(), lambda: UpstreamFailed("x"), 1)
    assert (tried, type(error)) == (1, UpstreamFailed)


def test_the_last_error_is_raised_and_not_tried_by_somebody_else() -> None:
    tried, error = run(Time().retries(tries=2), lambda: passing(UpstreamTimeout("x")), 9)
    assert tried == 2
    assert isinstance(error, UpstreamTimeout)
    assert not error.transient


def test_pauses_are_spread_and_bounded() -> None:
    time = Time()
    run(time.retries(tries=8, random=lambda: 0.5), lambda: passing(UpstreamFailed("x")), 9)
    assert time.slept == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]


def test_a_short_wait_that_is_told_is_waited() -> None:
    time = Time()
    assert run(time.retries(random=lambda: 0.0), lambda: passing(UpstreamLimited("x", 2)), 1) == (2, None)
    assert time.slept == [2]


@pytest.mark.parametrize(
    "error", [UpstreamLimited("x", 4), UpstreamUnavailable("x", 4), UpstreamLimited("x")]
)
def test_a_long_wait_is_passed_on(error: UpstreamUnavailable) -> None:
    time = Time()
    assert run(time.retries(), lambda: passing(error), 1) == (1, error)
    assert not time.slept


def test_there_is_no_try_for_which_there_is_no_time() -> None:
    time = Time()
    assert run(time.retries(tries=10), lambda: passing(UpstreamFailed("x")), 99, seconds=1)[0] == 3
    assert sum(time.slept) < 1


def test_whoever_may_not_does_not() -> None:
    assert run(Time().retries(), lambda: passing(UpstreamFailed("x")), 1, may=lambda: False)[0] == 1


@given(
    st.lists(st.one_of(st.none(), st.integers(1, 10)), min_size=10, max_size=10),
    st.floats(0, 1),
    st.floats(0.1, 30),
)
def test_nothing_waits_longer_than_there_is_time(
    waits: list[int | None], spread: float, seconds: float
) -> None:
    time, told = Time(), iter(waits)
    retries = time.retries(tries=10, random=lambda: spread)
    run(retries, lambda: passing(UpstreamUnavailable("x", next(told))), 99, seconds)
    assert time.now < seconds
    assert all(one <= retries.max_wait + retries.longest for one in time.slept)
