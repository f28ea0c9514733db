"""Which addresses belong to the internet, and which to a private network or a machine itself."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# Written down here, because what `ipaddress` takes for global differs between versions of Python.
_SPECIAL_4 = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
)
_NOT_PUBLIC_4 = tuple(map(IPv4Network, _SPECIAL_4))
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an address is one of the internet (IANA's special-purpose registries; RFC 6890).

    An address of NAT64 (RFC 6052) is judged by the IPv4 address in it; one that is mapped, translated or
    tunnelled otherwise is not public. Raises ValueError for what is no address.
    """
    found = ip_address(address)
    if isinstance(found, IPv6Address) and found in _NAT64:
        found = IPv4Address(int(found) & 0xFFFFFFFF)
    if isinstance(found, IPv4Address):
        return not any(found in network for network in _NOT_PUBLIC_4)
    return found in _PUBLIC_6 and not any(found in network for network in _NOT_PUBLIC_6)


def names_private(host: str) -> bool:
    """Whether the host of a URL is, without being resolved, an address that is not public: in any notation
    that resolvers understand (`127.1`, `0x7f.1`), or `localhost`."""
    name = host.lower().rstrip(".").strip("[]")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        return not is_public(name)
    except ValueError:
        try:
            return not is_public(socket.inet_ntoa(socket.inet_aton(name)))
        except (OSError, ValueError):
            return False
