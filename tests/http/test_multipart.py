"""Forms with files, however they are cut into pieces."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest
from blacksheep import Request
from hypothesis import given
from hypothesis import strategies as st

from nora.errors import BadRequest, TooLarge
from nora.http import multipart
from nora.http.multipart import boundary_of, parts
from tests.support.tables import each

BOUNDARY = b"b0undary"


def form(*fields: tuple[str, str | None, bytes], end: bytes = b"--\r\n", preamble: bytes = b"") -> bytes:
    body = preamble
    for name, filename, value in fields:
        head = f'Content-Disposition: form-data; name="{name}"'
        if filename is not None:
            head += f'; filename="{filename}"\r\nContent-Type: application/octet-stream'
        body += b"--" + BOUNDARY + b"\r\n" + head.encode() + b"\r\n\r\n" + value + b"\r\n"
    return body + b"--" + BOUNDARY + end


async def pieces(body: bytes, cuts: Sequence[int]) -> AsyncIterator[bytes]:
    start = 0
    for cut in [*sorted(cuts), len(body)]:
        if body[start:cut]:
            yield body[start:cut]
        start = max(start, cut)


def read(body: bytes, cuts: Sequence[int] = ()) -> list[tuple[str, str | None, bytes]]:
    async def work() -> list[tuple[str, str | None, bytes]]:
        found = []
        async for part in parts(pieces(body, cuts), BOUNDARY):
            value = b"".join([piece async for piece in part])
            found.append((part.name, part.filename, value))
        return found

    return asyncio.run(work())


scraps = [b"\r", b"\n", b"\r\n", b"--", b"\r\n--", b"\r\n--b0undar", BOUNDARY, b"x"]
values = st.one_of(
    st.binary(max_size=80),
    st.lists(st.sampled_from(scraps), max_size=8).map(b"".join),
).filter(lambda value: b"\r\n--" + BOUNDARY not in b"\r\n" + value)
names = st.text(st.characters(codec="utf-8", exclude_characters='"\\\r\n', exclude_categories=("Cs", "Cc")))


@given(
    fields=st.lists(st.tuples(names, st.none() | names, values), max_size=5),
    cuts=st.lists(st.integers(0, 600), max_size=20),
)
def test_what_goes_in_comes_out(fields: list[tuple[str, str | None, bytes]], cuts: list[int]) -> None:
    assert read(form(*fields), cuts) == fields


@given(body=st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: form(("a", None, b"1")) + tail))
def test_nothing_but_a_refusal(body: bytes) -> None:
    with contextlib.suppress(BadRequest):
        read(body)


def test_around_the_parts() -> None:
    fields = ("a", None, b"1"), ("content", "x.whl", b"\0\r\n")
    assert read(form(*fields, preamble=b"to be ignored\r\n", end=b"--")) == list(fields)
    assert read(form(*fields, end=b"--\r\nand so is this")) == list(fields)
    assert read(form()) == []


def test_names_with_quotes() -> None:
    body = (
        b'--b0undary\r\ncontent-disposition: form-data; filename="a\\"b"; name=plain\r\n\r\n1\r\n--b0undary--'
    )
    assert read(body) == [("plain", 'a"b', b"1")]


@each(
    "body",
    [
        b"",
        b"--b0undary",
        form(("a", None, b"1"), end=b""),
        form(("a", None, b"1"), end=b"\r\n"),
        form(("a", None, b"1"))[:-20],
        b"--b0undary\r\n\r\n1\r\n--b0undary--",
        b"--b0undary\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--b0undary--",
        b"--b0undaryX\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b0undary--",
        b"--b0undary\r\nX: " + bytes(20_000) + b"\r\n\r\n1\r\n--b0undary--",
    ],
)
def test_no_form(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read(body)


def test_too_many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "MOST_PARTS", 3)
    assert len(read(form(*[("a", None, b"")] * 2))) == 2
    with pytest.raises(BadRequest):
        read(form(*[("a", None, b"")] * 4))


def test_parts_that_are_not_read() -> None:
    async def work() -> list[str]:
        body = form(("a", None, b"1" * 1000), ("b", None, b"2"))
        return [part.name async for part in parts(pieces(body, range(0, 1500, 7)), BOUNDARY)]

    assert asyncio.run(work()) == ["a", "b"]


def test_text() -> None:
    async def work(value: bytes, limit: int) -> str:
        async for part in parts(pieces(form(("a", None, value)), ()), BOUNDARY):
            return await part.text(limit)
        raise AssertionError

    assert asyncio.run(work("ä".encode(), 2)) == "ä"
    with pytest.raises(TooLarge):
        asyncio.run(work(b"123", 2))
    with pytest.raises(BadRequest):
        asyncio.run(work(b"\xff", 2))


@each(
    ("declared", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('multipart/form-data; charset=utf-8; boundary="a b"', b"a b"),
        ("Multipart/Form-Data;BOUNDARY=abc", b"abc"),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/mixed; boundary=abc", None),
        ("text/plain", None),
    ],
)
def test_boundaries(declared: str, boundary: bytes | None) -> None:
    request = Request("POST", b"/", [(b"content-type", declared.encode())])
    if boundary is None:
        with pytest.raises(BadRequest):
            boundary_of(request)
    else:
        assert boundary_of(request) == boundary
