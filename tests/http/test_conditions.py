"""What conditions of requests say of something with an ETag and a time."""

from __future__ import annotations

import pytest

from nora.errors import PreconditionFailed
from nora.http.conditions import conditions_of, http_date
from tests.support.tables import each

ETAG = b'"a"'
MODIFIED = 1_800_000_000.7
BEFORE, AT, AFTER = (http_date(MODIFIED + seconds) for seconds in (-1, 0, 1))


@each(
    ("fields", "unchanged"),
    [
        ({}, False),
        ({b"if-none-match": b'"a"'}, True),
        ({b"if-none-match": b'W/"a"'}, True),
        ({b"if-none-match": b'"b", W/"a", "c"'}, True),
        ({b"if-none-match": b"*"}, True),
        ({b"if-none-match": b'"b"', b"if-modified-since": AFTER}, False),  # the tag decides (13.1.3)
        ({b"if-modified-since": BEFORE}, False),
        ({b"if-modified-since": AT}, True),
        ({b"if-modified-since": AFTER}, True),
        ({b"if-modified-since": b"yesterday"}, False),
        ({b"if-match": b'"b", "a"', b"if-unmodified-since": BEFORE}, False),
        ({b"if-match": b"*"}, False),
        ({b"if-match": b'"a"', b"if-none-match": b'"a"'}, True),
        ({b"if-unmodified-since": AT}, False),
        ({b"if-match": b'W/"a"'}, None),
        ({b"if-match": b'"b"'}, None),
        ({b"if-unmodified-since": BEFORE}, None),
    ],
)
def test_a_client_is_told_what_it_asks_for(fields: dict[bytes, bytes], unchanged: bool | None) -> None:
    conditions = conditions_of(fields.items())
    if unchanged is None:
        with pytest.raises(PreconditionFailed):
            conditions.is_unchanged(ETAG, MODIFIED)
    else:
        assert conditions.is_unchanged(ETAG, MODIFIED) is unchanged


def test_times_say_nothing_of_what_has_none() -> None:
    for name in (b"if-modified-since", b"if-unmodified-since"):
        assert not conditions_of([(name, BEFORE)]).is_unchanged(ETAG)


def test_a_part_is_for_who_has_the_rest_of_the_same() -> None:
    for value, allowed in ((ETAG, True), (b'"b"', False), (b'W/"a"', False), (AT, True), (AFTER, False)):
        conditions = conditions_of([(b"range", b"bytes=1-"), (b"if-range", value)])
        assert conditions.range == b"bytes=1-"
        assert conditions.allow_range(ETAG, MODIFIED) is allowed, value
    assert conditions_of([(b"range", b"bytes=1-")]).allow_range(ETAG)


def test_what_a_change_may_depend_on() -> None:
    for etag, said, holds in (
        (b"", {}, True),
        (b'"a"', {}, True),
        (b"", {b"if-none-match": b"*"}, True),
        (b'"a"', {b"if-none-match": b"*"}, False),
        (b'"a"', {b"if-none-match": b'"b"'}, True),
        (b'"a"', {b"if-none-match": b'"b", W/"a"'}, False),
        (b"", {b"if-match": b"*"}, False),
        (b"", {b"if-match": b'""'}, False),
        (b'"a"', {b"if-match": b"*"}, True),
        (b'"a"', {b"if-match": b'"b", "a"'}, True),
        (b'"a"', {b"if-match": b'W/"a"'}, False),
        (b'"a"', {b"if-unmodified-since": BEFORE}, False),
        (b'"a"', {b"if-unmodified-since": AT}, True),
        (b'"a"', {b"if-match": b'"a"', b"if-none-match": b'"a"'}, False),
    ):
        conditions = conditions_of(said.items())
        if holds:
            conditions.require_for_change(etag, MODIFIED)
        else:
            with pytest.raises(PreconditionFailed):
                conditions.require_for_change(etag, MODIFIED)
