"""The breaker: when it opens, how it closes, and that nothing keeps it open."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nora.errors import UpstreamUnavailable
from nora.observability.shared_timestamps import Timestamp
from nora.proxy.breaker import Attempt, Breaker, State

_numbers = itertools.count()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(failures: int = 3) -> tuple[Breaker, Clock, list[State]]:
    clock, seen = Clock(), list[State]()
    return Breaker("x.example.com", failures, 30, clock=clock, changed=seen.append), clock, seen


def fail(breaker: Breaker, times: int = 1) -> None:
    """So many different resources fail."""
    for _ in range(times):
        with breaker.attempt(f"/{next(_numbers)}") as attempt:
            attempt.failed()


def fail_at(breaker: Breaker, resource: str, times: int = 1) -> None:
    for _ in range(times):
        with breaker.attempt(resource) as attempt:
            attempt.failed()


def succeed(breaker: Breaker, resource: str = "/good") -> None:
    with breaker.attempt(resource) as attempt:
        attempt.succeeded()


def test_failures_in_a_row_open_it_and_say_how_long() -> None:
    breaker, clock, seen = make()
    fail(breaker, 2)
    succeed(breaker)
    fail(breaker, 2)
    assert breaker.state is State.CLOSED
    fail(breaker)
    assert seen == [State.OPEN]
    clock.now += 0.5
    with pytest.raises(UpstreamUnavailable, match=r"x\.example\.com") as refused, breaker.attempt("/other"):
        pass
    assert refused.value.retry_after == 30


def test_one_probe_finds_out_while_others_wait() -> None:
    breaker, clock, seen = make()
    fail(breaker, 3)
    clock.now += 30
    with breaker.attempt("/probe") as probe:
        assert probe.is_probe
        with pytest.raises(UpstreamUnavailable) as refused, breaker.attempt("/other"):
            pass
        assert refused.value.retry_after == 1
        probe.succeeded()
    assert seen == [State.OPEN, State.HALF_OPEN, State.CLOSED]
    fail(breaker, 2)
    assert breaker.state is State.CLOSED


def test_a_probe_that_fails_opens_it_again_for_as_long() -> None:
    breaker, clock, seen = make()
    fail(breaker, 3)
    clock.now += 30
    fail(breaker)
    assert seen == [State.OPEN, State.HALF_OPEN, State.OPEN]
    clock.now += 29
    with pytest.raises(UpstreamUnavailable), breaker.attempt("/other"):
        pass
    clock.now += 1
    succeed(breaker)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("error", [asyncio.CancelledError, RuntimeError, GeneratorExit])
def test_a_probe_that_nobody_finishes_frees_its_place(error: type[BaseException]) -> None:
    breaker, clock, _ = make()
    fail(breaker, 3)
    clock.now += 30
    for _ in range(3):
        with pytest.raises(error), breaker.attempt("/other"):
            raise error
        assert breaker.state is State.HALF_OPEN
    succeed(breaker)
    assert breaker.state is State.CLOSED


def test_what_is_late_changes_nothing() -> None:
    breaker, clock, seen = make(1)
    with breaker.attempt("/slow") as slow, breaker.attempt("/slower") as slower:
        fail(breaker)
        slow.succeeded()
        assert breaker.state is State.OPEN
        clock.now += 30
        with breaker.attempt("/probe") as probe:
            slow.failed()
            assert breaker.state is State.HALF_OPEN
            probe.succeeded()
        slower.failed()
    assert seen == [State.OPEN, State.HALF_OPEN, State.CLOSED]


def test_what_another_process_found_out_is_tried_at_once() -> None:
    clock, answered = Clock(), Timestamp()
    answered.note(999.0)
    breaker = Breaker("x.example.com", 1, 30, clock=clock, answered=answered)
    fail(breaker)
    clock.now += 10
    with pytest.raises(UpstreamUnavailable), breaker.attempt("/other"):
        pass
    answered.note(clock.now)
    clock.now += 1
    fail(breaker)
    assert breaker.state is State.OPEN, "here it fails still"
    with pytest.raises(UpstreamUnavailable) as refused, breaker.attempt("/other"):
        pass
    assert refused.value.retry_after == 30
    clock.now += 1
    answered.note(clock.now)
    succeed(breaker)
    assert breaker.state is State.CLOSED


def test_one_that_is_switched_off_never_opens() -> None:
    breaker, _, seen = make(0)
    fail(breaker, 100)
    for _ in range(10):
        with breaker.attempt("/a") as attempt:
            attempt.failed(is_unreachable=True)
    assert not seen


# -- one resource, and the host ---------------------------------------------------------------------------


def test_one_resource_that_fails_again_and_again_does_not_open_it() -> None:
    breaker, _, seen = make()
    fail_at(breaker, "/bad", 100)
    fail_at(breaker, "/worse", 100)
    assert not seen
    fail_at(breaker, "/third")
    assert seen == [State.OPEN]


def test_no_connection_opens_it_whatever_was_asked_for() -> None:
    breaker, clock, seen = make()
    for _ in range(3):
        with breaker.attempt("/a") as attempt:
            attempt.failed(is_unreachable=True)
    assert seen == [State.OPEN]
    clock.now += 30
    succeed(breaker, "/a")
    assert breaker.state is State.CLOSED, "the resource was not to blame"


def test_a_resource_that_is_known_to_fail_is_no_probe() -> None:
    breaker, clock, seen = make()
    for one in ("/a", "/b", "/c"):
        fail_at(breaker, one)
    clock.now += 31
    with pytest.raises(UpstreamUnavailable) as refused, breaker.attempt("/a"):
        pass
    assert refused.value.retry_after == 29
    succeed(breaker)
    assert seen == [State.OPEN, State.HALF_OPEN, State.CLOSED]
    fail_at(breaker, "/a")


def test_what_is_told_of_a_known_resource_holds_for_it() -> None:
    breaker, clock, _ = make(1)
    fail_at(breaker, "/a")
    with pytest.raises(UpstreamUnavailable) as refused, breaker.attempt("/a"):
        pass
    assert refused.value.retry_after == 60
    clock.now += 60
    succeed(breaker, "/a")
    assert breaker.state is State.CLOSED


def test_a_known_resource_that_fails_as_a_probe_keeps_back_itself_alone() -> None:
    breaker, clock, seen = make(1)
    fail_at(breaker, "/a")
    clock.now += 60
    with breaker.attempt("/a") as known:
        with breaker.attempt("/good") as probe, pytest.raises(UpstreamUnavailable), breaker.attempt("/b"):
            pass
        assert probe.is_probe
        known.failed()
    assert breaker.state is State.HALF_OPEN
    with pytest.raises(UpstreamUnavailable) as refused, breaker.attempt("/a"):
        pass
    assert refused.value.retry_after == 60
    succeed(breaker)
    assert seen == [State.OPEN, State.HALF_OPEN, State.CLOSED]


def test_what_failed_before_another_process_was_answered_may_be_asked_for() -> None:
    clock, answered = Clock(), Timestamp()
    breaker = Breaker("x.example.com", 1, 30, clock=clock, answered=answered)
    fail_at(breaker, "/a")
    clock.now += 1
    answered.note(clock.now)
    succeed(breaker, "/a")
    assert breaker.state is State.CLOSED


def test_what_is_remembered_of_an_outage_stays_small() -> None:
    breaker, clock, _ = make(3)
    fail(breaker, 3)
    for _ in range(1000):
        clock.now += 30
        fail(breaker)
    assert len(breaker._failing) <= 3


class Anything(RuleBasedStateMachine):
    """However attempts begin, end and are left: once the time is over, somebody is let through."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.clock, _ = make(2)
        self.open: list[tuple[object, Attempt]] = []

    @rule(resource=st.sampled_from(["/a", "/b", "/c"]))
    def begin(self, resource: str) -> None:
        manager = self.breaker.attempt(resource)
        try:
            self.open.append((manager, manager.__enter__()))
        except UpstreamUnavailable:
            assert self.breaker.state is not State.CLOSED

    @rule(which=st.integers(0, 9), verdict=st.sampled_from(["succeeded", "failed", "unreachable", None]))
    def end(self, which: int, verdict: str | None) -> None:
        if self.open:
            manager, attempt = self.open.pop(which % len(self.open))
            if verdict == "succeeded":
                attempt.succeeded()
            elif verdict is not None:
                attempt.failed(is_unreachable=verdict == "unreachable")
            manager.__exit__(None, None, None)  # type: ignore[attr-defined]

    @rule(seconds=st.sampled_from([1, 29, 30]))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @invariant()
    def nothing_is_stuck(self) -> None:
        if not self.open and self.breaker.state is State.HALF_OPEN:
            with self.breaker.attempt("/good"):
                pass

    @invariant()
    def no_resource_is_kept_back_for_ever(self) -> None:
        if not self.open:
            self.clock.now += 60
            with self.breaker.attempt("/a"):
                pass
            self.clock.now -= 60


TestAnything = Anything.TestCase
