"""Which addresses belong to the internet, which to a private network, and which to a machine itself."""

from __future__ import annotations

import socket
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# Written down here, because what `ipaddress` takes for global differs between versions of Python.
_PRIVATE_4 = (
    *("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15"),
    *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
)
_OWN_4 = (
    *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/3"),
    *("100.100.100.200/32", "168.63.129.16/32"),
)
_PRIVATE_6 = ("fc00::/7", "2001:db8::/32", "3fff::/20")
_OWN_6 = ("2001::/23", "2002::/16", "fd00:ec2::254/128", "fd20:ce::254/128")
_PRIVATE_NETWORKS_4 = tuple(map(IPv4Network, _PRIVATE_4))
_OWN_NETWORKS_4 = tuple(map(IPv4Network, _OWN_4))
_PUBLIC_6 = IPv6Network("2000::/3")
_PRIVATE_NETWORKS_6 = tuple(map(IPv6Network, _PRIVATE_6))
_OWN_NETWORKS_6 = tuple(map(IPv6Network, _OWN_6))
_NAT64 = IPv6Network("64:ff9b::/96")


class Reach(IntEnum):
    """How far an address is from the internet, and how far a connection may lead: each includes the ones
    before."""

    PUBLIC = 0
    """The internet."""
    PRIVATE = 1
    """Private networks, and what is for documentation and benchmarks: resolvers that lead through a proxy
    give names such addresses."""
    ANYWHERE = 2
    """Loopback, link-local, metadata services of clouds, and what is none of the above."""


def reach_of(address: str) -> Reach:
    """Where an address is (IANA's special-purpose registries; RFC 6890).

    An address of NAT64 (RFC 6052) is judged by the IPv4 address in it; one that is mapped, translated or
    tunnelled otherwise is nowhere to go. Raises ValueError for what is no address.
    """
    found = ip_address(address)
    if isinstance(found, IPv6Address) and found in _NAT64:
        found = IPv4Address(int(found) & 0xFFFFFFFF)
    if isinstance(found, IPv4Address):
        if any(found in network for network in _OWN_NETWORKS_4):
            return Reach.ANYWHERE
        return Reach.PRIVATE if any(found in network for network in _PRIVATE_NETWORKS_4) else Reach.PUBLIC
    if any(found in network for network in _OWN_NETWORKS_6):
        return Reach.ANYWHERE
    if any(found in network for network in _PRIVATE_NETWORKS_6):
        return Reach.PRIVATE
    return Reach.PUBLIC if found in _PUBLIC_6 else Reach.ANYWHERE


def reach_of_name(host: str) -> Reach:
    """Where the host of a URL is as far as that can be told without resolving it: an address in any notation
    that resolvers understand (`127.1`, `0x7f.1`), or `localhost`. Any other name is taken for public."""
    name = host.lower().rstrip(".").strip("[]")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, 6.3
        return Reach.ANYWHERE
    try:
        return reach_of(name)
    except ValueError:
        try:
            return reach_of(socket.inet_ntoa(socket.inet_aton(name)))
        except (OSError, ValueError):
            return Reach.PUBLIC
