"""The breaker: when it opens, how it closes, and that nothing keeps it open."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nora.errors import UpstreamUnavailable
from nora.observability.shared_timestamps import Timestamp
from nora.proxy.breaker import Attempt, Breaker, State


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(failures: int = 3) -> tuple[Breaker, Clock, list[State]]:
    clock, seen = Clock(), list[State]()
    return Breaker("x.example.com", failures, 30, clock=clock, changed=seen.append), clock, seen


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with breaker.attempt() as attempt:
            attempt.failed()


def succeed(breaker: Breaker) -> None:
    with breaker.attempt() as attempt:
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
    with pytest.raises(UpstreamUnavailable, match=r"x\.example\.com") as refused, breaker.attempt():
        pass
    assert refused.value.retry_after == 30


def test_one_probe_finds_out_while_others_wait() -> None:
    breaker, clock, seen = make()
    fail(breaker, 3)
    clock.now += 30
    with breaker.attempt() as probe:
        assert probe.is_probe
        with pytest.raises(UpstreamUnavailable) as refused, breaker.attempt():
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
    with pytest.raises(UpstreamUnavailable), breaker.attempt():
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
        with pytest.raises(error), breaker.attempt():
            raise error
        assert breaker.state is State.HALF_OPEN
    succeed(breaker)
    assert breaker.state is State.CLOSED


def test_what_is_late_changes_nothing() -> None:
    breaker, clock, seen = make(1)
    with breaker.attempt() as slow, breaker.attempt() as slower:
        fail(breaker)
        slow.succeeded()
        assert breaker.state is State.OPEN
        clock.now += 30
        with breaker.attempt() as probe:
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
    with pytest.raises(UpstreamUnavailable), breaker.attempt():
        pass
    answered.note(clock.now)
    clock.now += 1
    fail(breaker)
    assert breaker.state is State.OPEN, "here it fails still"
    with pytest.raises(UpstreamUnavailable) as refused, breaker.attempt():
        pass
    assert refused.value.retry_after == 30
    clock.now += 1
    answered.note(clock.now)
    succeed(breaker)
    assert breaker.state is State.CLOSED


def test_one_that_is_switched_off_never_opens() -> None:
    breaker, _, seen = make(0)
    fail(breaker, 100)
    assert not seen


class Anything(RuleBasedStateMachine):
    """However attempts begin, end and are left: once the time is over, somebody is let through."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.clock, _ = make(2)
        self.open: list[tuple[object, Attempt]] = []

    @rule()
    def begin(self) -> None:
        manager = self.breaker.attempt()
        try:
            self.open.append((manager, manager.__enter__()))
        except UpstreamUnavailable:
            assert self.breaker.state is not State.CLOSED

    @rule(which=st.integers(0, 9), verdict=st.sampled_from(["succeeded", "failed", None]))
    def end(self, which: int, verdict: str | None) -> None:
        if self.open:
            manager, attempt = self.open.pop(which % len(self.open))
            if verdict is not None:
                getattr(attempt, verdict)()
            manager.__exit__(None, None, None)  # type: ignore[attr-defined]

    @rule(seconds=st.sampled_from([1, 29, 30]))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @invariant()
    def nothing_is_stuck(self) -> None:
        if not self.open and self.breaker.state is State.HALF_OPEN:
            with self.breaker.attempt():
                pass


TestAnything = Anything.TestCase
