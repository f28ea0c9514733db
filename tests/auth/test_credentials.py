"""Credentials of every client are read, and whatever else comes is refused in one way."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nora.auth.credentials import LONGEST_HEADER, Bare, Basic, Bearer, find_header, parse_credentials
from nora.errors import Unauthenticated
from tests.support.tables import each


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


@each(
    ("value", "expected"),
    [
        (basic("alice:secret"), Basic("alice", "secret")),
        (basic("alice:a:b::c"), Basic("alice", "a:b::c")),
        (basic("alice:"), Basic("alice", "")),
        (basic(":nra_abc"), Basic("", "nra_abc")),
        (basic("zoë:пароль €"), Basic("zoë", "пароль €")),
        (basic("a:b").replace(b"Basic ", b"bASIC   "), Basic("a", "b")),
        (basic(":"), None),
        (b"Bearer nra_abc", Bearer("nra_abc")),
        (b"bearer eyJh.eyJi.sig-_x", Bearer("eyJh.eyJi.sig-_x")),
        (b"nra_abc", Bare("nra_abc")),
        (b"  ", None),
    ],
)
def test_credentials_are_read(value: bytes, expected: object) -> None:
    assert parse_credentials(value) == expected


@each(
    "value",
    [
        b"Basic",
        b"Basic !!!",
        b"Basic YWxpY2U",  # no padding
        b"Basic YWxpY2U6c2VjcmV0\n",
        b"Basic " + base64.b64encode(b"no colon"),
        b"Basic " + base64.b64encode(b"a:\xff\xfe"),
        basic("a:b\0c"),
        basic("a\n:b"),
        b"Bearer",
        b"Bearer ",
        b"Bearer a b",
        b"Bearer caf\xc3\xa9",
        b"Digest username=x",
        b"Negotiate abc",
        b"\xff",
    ],
)
def test_what_cannot_be_read_is_refused(value: bytes) -> None:
    with pytest.raises(Unauthenticated):
        parse_credentials(value)


def test_the_header_of_each_ecosystem() -> None:
    assert find_header([(b"host", b"x"), (b"authorization", b"a")]) == b"a"
    assert find_header([(b"x-nuget-apikey", b"nra_abc")]) == b"nra_abc"
    assert find_header([(b"x-nuget-apikey", b"key"), (b"authorization", b"a")]) == b"a"
    assert find_header([(b"authorization", b"")]) is None
    assert find_header([]) is None


def test_two_headers_and_long_ones_are_refused() -> None:
    with pytest.raises(Unauthenticated, match="more than one"):
        find_header([(b"authorization", b"a"), (b"authorization", b"b")])
    assert find_header([(b"authorization", b"a" * LONGEST_HEADER)])
    with pytest.raises(Unauthenticated, match="too long"):
        find_header([(b"authorization", b"a" * (LONGEST_HEADER + 1))])


def test_credentials_do_not_show_themselves() -> None:
    for one in (Basic("alice", "hush"), Bearer("hush"), Bare("hush")):
        assert "hush" not in repr(one)


schemes = st.sampled_from([b"", b"Basic ", b"Bearer ", b"basic\t", b"Negotiate "])
encoded = st.binary(max_size=60).map(base64.b64encode)


@given(schemes, st.binary(max_size=80) | encoded)
@example(b"Basic ", b"=")
@example(b"Basic ", b"====")
def test_no_value_raises_anything_else(scheme: bytes, rest: bytes) -> None:
    with contextlib.suppress(Unauthenticated):
        parse_credentials(scheme + rest)


@given(
    st.lists(st.tuples(st.sampled_from([b"authorization", b"x-nuget-apikey", b"x"]), st.binary(max_size=20))),
)
def test_no_headers_raise_anything_else(headers: list[tuple[bytes, bytes]]) -> None:
    with contextlib.suppress(Unauthenticated):
        find_header(headers)


printable = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=40)


@given(printable.filter(lambda text: ":" not in text), printable)
def test_every_user_and_password_arrives(user: str, password: str) -> None:
    read = parse_credentials(basic(f"{user}:{password}"))
    assert read == (Basic(user, password) if user or password else None)
