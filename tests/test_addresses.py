"""Which addresses are of the internet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.addresses import Reach, reach_of, reach_of_name
from tests.support.tables import each


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "64:ff9b::808:808", "223.255.255.255"]
)
def test_public(address: str) -> None:
    assert reach_of(address) is Reach.PUBLIC


@each(
    "address",
    [
        *("10.1.2.3", "100.64.0.1", "172.16.0.1", "192.168.0.1", "198.18.0.1", "203.0.113.80"),
        *("fc00::1", "fd00::1", "2001:db8::1", "64:ff9b::a00:1"),
    ],
)
def test_private(address: str) -> None:
    assert reach_of(address) is Reach.PRIVATE


@each(
    "address",
    [
        *("0.0.0.0", "127.0.0.1", "127.255.255.255", "169.254.169.254", "192.0.0.170", "192.0.0.192"),
        *("100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"),  # metadata of clouds
        *("224.0.0.1", "240.0.0.1", "255.255.255.255", "ff02::1", "100::1", "fec0::1", "5f00::1"),
        *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "fe80::1", "fe80::1%eth0"),
        *("64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001::1"),
    ],
)
def test_neither(address: str) -> None:
    assert reach_of(address) is Reach.ANYWHERE


@each(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "[::1]",
    ],
)
def test_a_machine_itself_in_any_notation(host: str) -> None:
    assert reach_of_name(host) is Reach.ANYWHERE


@pytest.mark.parametrize("host", ["10.1", "0xa.1", "167772161", "[fd00::1]"])
def test_private_in_any_notation(host: str) -> None:
    assert reach_of_name(host) is Reach.PRIVATE


@pytest.mark.parametrize("host", ["example.com", "8.8.8.8", "[2606:4700::1]", "", "localhost.example.com"])
def test_not_private_by_name(host: str) -> None:
    assert reach_of_name(host) is Reach.PUBLIC


@given(st.text() | st.ip_addresses().map(str))
def test_no_host_is_too_much(host: str) -> None:
    assert reach_of_name(host) in Reach
