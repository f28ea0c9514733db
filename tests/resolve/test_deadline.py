"""Until when a request has its answer."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from math import inf

import pytest

from nora.observability.logs import REQUEST_ID
from nora.resolve import deadline
from nora.resolve.deadline import half, seconds_left, work_for_all


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(deadline, "monotonic", lambda: now[0])
    return now


def in_request(work: object, request_id: str = "one") -> None:
    def body() -> None:
        REQUEST_ID.set(request_id)
        work()  # type: ignore[operator]

    copy_context().run(body)


def test_it_begins_with_the_first_wait_and_holds_for_all(clock: list[float]) -> None:
    def body() -> None:
        assert seconds_left(12) == 12
        clock[0] += 5
        assert seconds_left(12) == 7
        clock[0] += 100
        assert seconds_left(12) == 0
        REQUEST_ID.set("two")
        assert seconds_left(12) == 12

    in_request(body)


def test_who_works_for_no_request_or_for_all_has_none(clock: list[float]) -> None:
    assert seconds_left(12) == inf

    async def background() -> float:
        work_for_all()
        return seconds_left(12)

    async def body() -> None:
        REQUEST_ID.set("one")
        assert seconds_left(12) == 12
        assert await asyncio.ensure_future(background()) == inf
        assert seconds_left(12) == 12

    asyncio.run(body())


def test_half_leaves_time_for_others(clock: list[float]) -> None:
    def body() -> None:
        with half(12):
            clock[0] += 1
            assert seconds_left(12) == 5
        assert seconds_left(12) == 11

    in_request(body)
