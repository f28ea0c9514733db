"""Tables of the edges of ranges, on both implementations."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.support.tables import each

LAST = 2**63 - 1


@each(
    ("header", "size", "expected"),
    [
        ("bytes=0-0", 1, (0, 0)),
        ("bytes=0-499", 1000, (0, 499)),
        ("bytes=500-", 1000, (500, 999)),
        ("bytes=999-", 1000, (999, 999)),
        ("bytes=0-5000", 1000, (0, 999)),
        ("bytes=-1", 1000, (999, 999)),
        ("bytes=-1000", 1000, (0, 999)),
        ("bytes=-5000", 1000, (0, 999)),
        ("bytes=000-0009", 1000, (0, 9)),
        ("Bytes=1-2", 1000, (1, 2)),
        ("BYTES=1-2", 1000, (1, 2)),
        (f"bytes=5-{10**30}", 1000, (5, 999)),
        (f"bytes=5-{'9' * 5000}", 1000, (5, 999)),
        (f"bytes={'0' * 5000}5-6", 1000, (5, 6)),
        (f"bytes=-{'9' * 5000}", 1000, (0, 999)),
        (f"bytes={LAST - 1}-{LAST}", LAST, (LAST - 1, LAST - 1)),
        ("bytes=0-", True, (0, 0)),
        # ignored: another unit, malformed, or several ranges
        ("", 1000, None),
        ("bytes", 1000, None),
        ("bytes=", 1000, None),
        ("bytes=-", 1000, None),
        ("bytes=a-b", 1000, None),
        ("bytes=1", 1000, None),
        ("bytes=1-2,4-5", 1000, None),
        ("bytes=1-2,", 1000, None),
        ("bytes= 1-2", 1000, None),
        ("bytes=1 -2", 1000, None),
        ("bytes=1-2 ", 1000, None),
        ("bytes=--1", 1000, None),
        ("bytes=1--2", 1000, None),
        ("bytes=+1-2", 1000, None),
        ("bytes 0-1", 1000, None),
        ("byte\u017f=0-1", 1000, None),
        ("bytes=\u0661-2", 1000, None),
        ("items=0-1", 1000, None),
        ("bytes=0-1\n", 1000, None),
        ("bytes=0-1\x00", 1000, None),
        ("\ud800", 1000, None),
        ("items=0-1", 0, None),
    ],
)
def test_range(ranges: ModuleType, header: str, size: int, expected: tuple[int, int] | None) -> None:
    assert ranges.parse_range(header, size) == expected


@each(
    ("header", "size"),
    [
        ("bytes=1000-", 1000),
        ("bytes=1000-1001", 1000),
        ("bytes=-0", 1000),
        ("bytes=-000", 1000),
        ("bytes=500-0", 1000),
        ("bytes=2-1", 1000),
        ("bytes=0-0", 0),
        ("bytes=0-", 0),
        ("bytes=-1", 0),
        ("bytes=-0", 0),
        (f"bytes={10**30}-", LAST),
        (f"bytes={LAST}-", LAST),
        (f"bytes={2**64}-", 1000),
        (f"bytes={'9' * 5000}-", 1000),
        (f"bytes={10**30}-{10**31}", 1000),
    ],
)
def test_range_not_satisfiable(ranges: ModuleType, header: str, size: int) -> None:
    with pytest.raises(ValueError, match="range") as caught:
        ranges.parse_range(header, size)
    assert len(str(caught.value)) < 100


@each("size", [-1, 2**63, 10**30])
def test_size_out_of_range(ranges: ModuleType, size: int) -> None:
    with pytest.raises(ValueError, match="size is not between"):
        ranges.parse_range("bytes=0-1", size)


@each(("header", "size"), [(b"bytes=0-1", 1), (None, 1), ("bytes=0-1", 1.0), ("", "1"), ("", None)])
def test_range_of_wrong_types(ranges: ModuleType, header: object, size: object) -> None:
    with pytest.raises(TypeError, match="must be"):
        ranges.parse_range(header, size)


@each(
    ("header", "expected"),
    [
        ("0-0", (0, 0)),
        ("0-1048575", (0, 1048575)),
        ("5-9", (5, 9)),
        ("0005-0009", (5, 9)),
        ("bytes 0-9/10", (0, 9)),
        ("Bytes 0-9/*", (0, 9)),
        ("0-9/*", (0, 9)),
        ("0-9/10", (0, 9)),
        ("9999999999999999999-9999999999999999999", (10**19 - 1, 10**19 - 1)),
    ],
)
def test_content_range(ranges: ModuleType, header: str, expected: tuple[int, int]) -> None:
    assert ranges.parse_content_range(header) == expected


@each(
    "header",
    [
        "",
        "-",
        "0-",
        "-1",
        "1",
        "a-b",
        "1-0",
        "0-1,2-3",
        "0 - 1",
        " 0-1",
        "0-1 ",
        "0-1\n",
        "bytes=0-1",
        "bytes  0-1",
        "bytes",
        "0-9/",
        "0-9/9",
        "0-9/**",
        "0-9/10/11",
        "bytes */10",
        "+0-1",
        "0-1\x00",
        "\u0660-\u0661",
        "byte\u017f 0-1",
        "\ud800",
        "0-" + "1" * 20,
        "0" * 20 + "-1",
        "0-1/" + "1" * 20,
    ],
)
def test_no_content_range(ranges: ModuleType, header: str) -> None:
    with pytest.raises(ValueError, match="content range"):
        ranges.parse_content_range(header)


@each("value", [None, 7, b"0-1", bytearray(b"0-1"), ["0-1"]])
def test_content_range_of_wrong_types(ranges: ModuleType, value: object) -> None:
    with pytest.raises(TypeError, match=f"must be str, not {type(value).__name__}"):
        ranges.parse_content_range(value)
