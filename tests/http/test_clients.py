"""Whose address counts: the peer's, unless it is a trusted proxy."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.http.clients import UNKNOWN, Clients, parse_networks
from tests.support.tables import each

PROXY = "10.0.0.1"
CLIENTS = Clients(parse_networks(["10.0.0.0/8", "::1"]))


def scope(
    peer: str | None, *headers: tuple[str, str], scheme: str = "http", port: int = 40000
) -> dict[str, Any]:
    return {
        "client": None if peer is None else (peer, port),
        "scheme": scheme,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }


@each(
    ("forwarded", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),  # what stands left of it was written by the client
        ("127.0.0.1, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 10.2.3.4", "203.0.113.7"),
        ("203.0.113.7,10.2.3.4 ,10.9.9.9", "203.0.113.7"),
        ("10.2.3.4", "10.2.3.4"),  # all of them trusted: the first
        ("203.0.113.7:8080", "203.0.113.7"),
        ("[2001:db8::1]:8080", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::1"),
        ('"203.0.113.7"', PROXY),  # quotes belong to Forwarded
        ("unknown", PROXY),
        ("203.0.113.7, garbage", PROXY),  # nobody knows who wrote what is left of it
        ("203.0.113.7, garbage, 10.2.3.4", "10.2.3.4"),
        ("203.0.113.7,", PROXY),
        ("", PROXY),
        ("1" * 5000, PROXY),
        (",".join(["10.1.1.1"] * 5000), "10.1.1.1"),
    ],
)
def test_forwarded_for_is_walked_from_the_right(forwarded: str, address: str) -> None:
    assert CLIENTS.address(scope(PROXY, ("X-Forwarded-For", forwarded))) == address


def test_nobody_else_than_a_trusted_proxy_is_believed() -> None:
    told = (
        ("X-Forwarded-For", "203.0.113.7"),
        ("Forwarded", "for=203.0.113.7"),
        ("X-Real-IP", "203.0.113.7"),
    )
    assert CLIENTS.address(scope("192.0.2.1", *told)) == "192.0.2.1"
    assert Clients().address(scope("127.0.0.1", *told)) == "127.0.0.1"


def test_several_headers_are_one_list() -> None:
    headers = (("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-For", "10.2.3.4"))
    assert CLIENTS.address(scope(PROXY, *headers)) == "203.0.113.7"


@each(
    ("forwarded", "address"),
    [
        ("for=203.0.113.7;proto=https;by=10.0.0.1", "203.0.113.7"),
        ('For="[2001:db8::17]:4711"', "2001:db8::17"),
        ("for=198.51.100.1, for=203.0.113.7, for=10.1.1.1", "203.0.113.7"),
        ('for="198.51.100.1, for=203.0.113.7', "203.0.113.7"),  # a client's quote swallows nothing
        ("for=_hidden", PROXY),
        ("for=unknown", PROXY),
        ("proto=https", PROXY),
    ],
)
def test_forwarded_is_walked_in_the_same_way(forwarded: str, address: str) -> None:
    assert CLIENTS.address(scope(PROXY, ("Forwarded", forwarded))) == address


def test_forwarded_counts_only_without_x_forwarded_for() -> None:
    headers = (("Forwarded", "for=198.51.100.1"), ("X-Forwarded-For", "203.0.113.7"))
    assert CLIENTS.address(scope(PROXY, *headers)) == "203.0.113.7"


def test_mapped_peers_are_ipv4() -> None:
    assert CLIENTS.address(scope("::ffff:192.0.2.1")) == "192.0.2.1"
    assert CLIENTS.address(scope("::ffff:10.0.0.1", ("X-Forwarded-For", "203.0.113.7"))) == "203.0.113.7"


def test_a_peer_without_an_address() -> None:
    assert CLIENTS.address(scope(None)) == UNKNOWN
    assert CLIENTS.address(scope("", ("X-Forwarded-For", "203.0.113.7"))) == UNKNOWN


HOPS = st.one_of(
    st.sampled_from(["10.1.2.3", "203.0.113.7", "[::1]:80", "2001:db8::5", "::ffff:10.0.0.9", "unknown", ""]),
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=80),
)
NAMES = st.sampled_from(["X-Forwarded-For", "Forwarded", "X-Forwarded-Proto", "X-Forwarded-Host", "Host"])
HEADERS = st.lists(st.tuples(NAMES, st.lists(HOPS, max_size=6).map(",".join)), max_size=5)


@given(st.sampled_from([PROXY, "192.0.2.1", "::1", "not an address"]), HEADERS)
def test_whatever_is_sent_the_answer_is_an_address(peer: str, headers: list[tuple[str, str]]) -> None:
    request = scope(peer, *headers)
    address = CLIENTS.address(request)
    assert address == UNKNOWN or str(ip_address(address)) == address
    if peer == "192.0.2.1":
        assert address == peer
    base = CLIENTS.base_url(request)
    assert base is None or (base.isascii() and base.isprintable() and not set(base) & set(' "\\<>,;@?#'))


@given(st.lists(HOPS, max_size=5), st.ip_addresses().map(str))
def test_what_a_client_writes_changes_nothing(written: list[str], client: str) -> None:
    """The proxy appends the peer that it saw; everything before it is the client's own."""
    honest = CLIENTS.address(scope(PROXY, ("X-Forwarded-For", client)))
    forged = CLIENTS.address(scope(PROXY, ("X-Forwarded-For", ",".join([*written, client]))))
    if not CLIENTS.is_trusted(client):
        assert forged == honest


def test_base_of_links() -> None:
    host = ("Host", "registry.example:4000")
    told = (host, ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "outside.example"))
    assert Clients(public_url="https://a.example/nora/").base_url(scope("192.0.2.1", *told)) == (
        "https://a.example/nora"
    )
    assert CLIENTS.base_url(scope(PROXY, *told)) == "https://outside.example"
    assert CLIENTS.base_url(scope(PROXY, host)) == "http://registry.example:4000"
    assert CLIENTS.base_url(scope(PROXY, host, ("Forwarded", "for=1.2.3.4;proto=https;host=b.example"))) == (
        "https://b.example"
    )
    assert CLIENTS.base_url(scope("192.0.2.1", *told)) is None
    on_loopback = Clients(host="127.0.0.1")
    assert on_loopback.base_url(scope("127.0.0.1", *told)) == "http://registry.example:4000"
    assert on_loopback.base_url(scope("127.0.0.1", ("Host", "[::1]:4000"))) == "http://[::1]:4000"


@each("host", ["", "a b", 'a"b', "a/b", "user@a", "a,b\x01", "a:port", "[nothing]", "a" * 300, "\xe9"])
def test_a_host_that_is_none_makes_no_base(host: str) -> None:
    assert CLIENTS.base_url(scope(PROXY, ("Host", host))) is None


def test_networks() -> None:
    assert [str(one) for one in parse_networks([" 10.1.2.3/8", "::1", "0.0.0.0/0"])] == [
        "10.0.0.0/8",
        "::1/128",
        "0.0.0.0/0",
    ]
    everybody = Clients(parse_networks(["0.0.0.0/0"]))
    assert everybody.address(scope("192.0.2.1", ("X-Forwarded-For", "1.2.3.4, 5.6.7.8"))) == "1.2.3.4"
    with pytest.raises(ValueError, match="10/8"):
        parse_networks(["10/8"])
