"""Who is at the other end: the address of a client, and the address that it used for this server.

Both may come from headers, and whoever connects may write those. So they count only when a trusted proxy
(`auth.trusted_proxies`) is the peer of the connection, and of the list of hops only what trusted proxies
wrote: it is walked from the right, where each proxy appends the peer that it saw, to the first hop that is no
trusted proxy. Everything further left is what that hop claims.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from nora.config.kinds import LOOPBACK_HOSTS

if TYPE_CHECKING:
    from nora.config import Config

Network = IPv4Network | IPv6Network

SCOPE_KEY = "nora.client"
"""Where the application leaves the address of the client in the scope of a request."""
CLIENTS_KEY = "nora.clients"
"""Where it leaves who can tell more of it: the Clients of the server."""
UNKNOWN = "unknown"
"""The address of a peer that has none, which a socket of the file system has not."""
_MOST_HOPS = 32
_LONGEST_ADDRESS = 64
_host = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?").fullmatch


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks of addresses and CIDRs; an address with bits behind its prefix stands for its network.

    Raises ValueError.
    """
    return tuple(ip_network(text.strip(), strict=False) for text in texts)


class Clients:
    """Where the requests of one server come from."""

    def __init__(
        self, trusted: Iterable[Network] = (), *, public_url: str | None = None, host: str = ""
    ) -> None:
        """`host` is what the server listens on."""
        self._trusted = tuple(trusted)
        self._public_url = public_url
        self._on_loopback = host in LOOPBACK_HOSTS
        self._known = lru_cache(4096)(self._look_up)

    @classmethod
    def build(cls, config: Config) -> Clients:
        """As the configuration has it."""
        trusted = parse_networks(config.auth.trusted_proxies)
        return cls(trusted, public_url=config.server.public_url, host=config.server.host)

    def address(self, scope: dict[str, Any]) -> str:
        """The client of a request: an IP address in its shortest form, or `unknown`. Never fails."""
        peer = scope.get("client")
        known = self._parse(str(peer[0])) if peer else None
        if known is None:
            return UNKNOWN
        address, trusted = known
        if trusted:
            for hop in _hops(scope["headers"]):
                known = self._parse(hop)
                if known is None:  # what stands further left was written by nobody knows whom
                    break
                address, trusted = known
                if not trusted:
                    break
        return address

    def is_trusted(self, address: str) -> bool:
        """Whether an address is that of a trusted proxy."""
        known = self._parse(address)
        return known is not None and known[1]

    def base_url(self, scope: dict[str, Any]) -> str | None:
        """What absolute links to this server begin with, without a trailing slash.

        The public URL; else what the client used, as far as that is to be believed: behind a trusted proxy,
        or when the server listens on the loopback only. None where neither holds.
        """
        if self._public_url:
            return self._public_url.rstrip("/")
        peer = scope.get("client")
        behind_proxy = peer is not None and self.is_trusted(str(peer[0]))
        if not behind_proxy and not self._on_loopback:
            return None
        scheme, host = scope["scheme"], ""
        for name, value in scope["headers"]:
            if name == b"host":
                host = _text(value)
                break
        if behind_proxy:
            scheme, host = _forwarded_base(dict(reversed(scope["headers"])), scheme, host)
        return f"{scheme}://{host}" if scheme in ("http", "https") and _host(host) else None

    def _parse(self, text: str) -> tuple[str, bool] | None:
        """An address, normalised, and whether it is that of a trusted proxy; None when it is none."""
        return self._known(text) if len(text) <= _LONGEST_ADDRESS else None

    def _look_up(self, text: str) -> tuple[str, bool] | None:
        try:
            address = ip_address(text.partition("%")[0])
        except ValueError:
            return None
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return str(address), any(address in network for network in self._trusted)


def _hops(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
    """The hops that the headers tell, from the right. `Forwarded` (RFC 7239) counts where there is no
    X-Forwarded-For: a proxy writes one of them, and passes on what a client wrote into the other."""
    found: dict[bytes, list[bytes]] = {b"x-forwarded-for": [], b"forwarded": []}
    for name, value in headers:
        if name in found:
            found[name].append(value)
    plain = found[b"x-forwarded-for"]
    text = b",".join(plain or found[b"forwarded"]).decode("latin-1")
    for hop in reversed(text.rsplit(",", _MOST_HOPS)[-_MOST_HOPS:]) if text else ():
        yield _bare(hop if plain else _pairs(hop).get("for", ""))


def _pairs(element: str) -> dict[str, str]:
    """The pairs of an element of `Forwarded`. Addresses and hosts have no comma and no semicolon, so quotes
    are not looked at for those: an unbalanced one of a client would swallow what the proxy appends."""
    pairs = (pair.partition("=") for pair in element.split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _bare(hop: str) -> str:
    """An address without brackets and port."""
    hop = hop.strip()
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _forwarded_base(headers: dict[bytes, bytes], scheme: str, host: str) -> tuple[str, str]:
    """Scheme and host as the nearest proxy tells them."""
    told = _pairs(_last(headers.get(b"forwarded")))
    scheme = _last(headers.get(b"x-forwarded-proto")) or told.get("proto") or scheme
    host = _last(headers.get(b"x-forwarded-host")) or told.get("host") or host
    return scheme.lower(), host


def _last(value: bytes | None) -> str:
    return _text(value).rpartition(",")[2].strip()


def _text(value: bytes | None) -> str:
    return (value or b"").decode("latin-1")
