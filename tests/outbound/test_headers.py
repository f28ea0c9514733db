"""What upstreams write into header fields, and what it is taken for."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.outbound.headers import (
    LONGEST_WAIT,
    parse_content_range,
    parse_date,
    parse_quota,
    parse_retry_after,
)
from tests.support.tables import each

NOW = 784111777.0
THEN = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994")


@pytest.mark.parametrize("text", THEN)
def test_all_three_forms_of_a_date_are_read(text: str) -> None:
    assert parse_date(text) == NOW
    assert parse_retry_after(text, NOW - 90.5) == 91


@pytest.mark.parametrize("text", THEN)
def test_a_date_in_the_past_is_at_once(text: str) -> None:
    assert parse_retry_after(text, NOW + 1000) == 1


@each(
    ("text", "seconds"),
    [
        ("17", 17),
        (" 17 ", 17),
        ("0", 1),
        ("86401", LONGEST_WAIT),
        ("9" * 5000, LONGEST_WAIT),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_seconds_to_wait(text: str | None, seconds: int | None) -> None:
    assert parse_retry_after(text, NOW) == seconds


@given(st.integers(0, 10**12), st.booleans(), st.integers(0, 4 * 10**9))
def test_whoever_says_when_is_understood(seconds: int, is_date: bool, now: int) -> None:
    then = min(now + seconds, 253402300799)
    text = format_datetime(datetime.fromtimestamp(then, UTC), usegmt=True) if is_date else str(seconds)
    expected = then - now if is_date else seconds
    assert parse_retry_after(text, now) == max(1, min(expected, LONGEST_WAIT))


@given(st.one_of(st.text(), st.text("0123456789:,-; GMTSunNov+")), st.floats(0, 4e9))
def test_nothing_that_is_said_raises(text: str, now: float) -> None:
    found = parse_retry_after(text, now)
    assert found is None or 1 <= found <= LONGEST_WAIT
    parse_date(text)
    parse_quota(text)
    parse_content_range(text)


@each(
    ("text", "found"),
    [
        ("bytes 0-9/10", (0, 9, 10)),
        ("Bytes 5-5/*", (5, 5, None)),
        ("bytes 5-4/10", None),
        ("bytes 0-10/10", None),
        ("bytes */10", None),
        ("0-9/10", None),
        (None, None),
    ],
)
def test_ranges(text: str | None, found: tuple[int, int, int | None] | None) -> None:
    assert parse_content_range(text) == found


@each(
    ("text", "number"),
    [("100;w=21600", 100), ("76", 76), ("", None), (None, None), ("-1", None), ("x;w", None)],
)
def test_quotas(text: str | None, number: int | None) -> None:
    assert parse_quota(text) == number
