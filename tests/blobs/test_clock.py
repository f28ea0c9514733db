from __future__ import annotations

from nora.blobs.clock import PATIENCE, PatientClock

DAY = 86_400.0


class Clocks:
    """Turned by hand."""

    def __init__(self) -> None:
        self.steady, self.ahead = 1_000.0, 1_700_000_000.0

    def make(self) -> PatientClock:
        return PatientClock(lambda: self.steady + self.ahead, lambda: self.steady)


def test_a_steady_clock_is_believed() -> None:
    clocks = Clocks()
    clock = clocks.make()
    for _ in range(100):
        clocks.steady += DAY
        clocks.ahead += 30  # as it is set, now and then
        assert clock() == clocks.steady + clocks.ahead


def test_a_jump_forward_counts_later() -> None:
    clocks = Clocks()
    clock = clocks.make()
    before = clocks.ahead
    clocks.ahead += 8 * DAY
    assert clock() == clocks.steady + before
    clocks.steady += PATIENCE - 1
    assert clock() == clocks.steady + before
    clocks.steady += 1
    assert clock() == clocks.steady + clocks.ahead
    clocks.steady += 1
    assert clock() == clocks.steady + clocks.ahead


def test_a_jump_that_is_taken_back_never_counted() -> None:
    clocks = Clocks()
    clock = clocks.make()
    clocks.ahead += 8 * DAY
    clock()
    clocks.ahead -= 8 * DAY
    clocks.steady += PATIENCE
    assert clock() == clocks.steady + clocks.ahead
    clocks.ahead += 8 * DAY
    assert clock() == clocks.steady + clocks.ahead - 8 * DAY, "another jump is waited for anew"


def test_a_jump_back_counts_at_once() -> None:
    clocks = Clocks()
    clock = clocks.make()
    clocks.ahead -= 8 * DAY
    assert clock() == clocks.steady + clocks.ahead
