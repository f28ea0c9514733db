"""Where connections may lead: nowhere but to the internet, unless the operator named the address."""

from __future__ import annotations

from typing import Any

from nora.addresses import is_public
from nora.errors import UpstreamFailed


def public(host: str, found: list[Any]) -> list[Any]:
    """Which addresses that `getaddrinfo` found for a host are public. Raises UpstreamFailed for none."""
    allowed = [one for one in found if is_public(str(one[4][0]))]
    if not allowed:
        raise private_network(host)
    return allowed


def private_network(host: str) -> UpstreamFailed:
    """The error of what leads there."""
    return UpstreamFailed(f"{host} is in a private network, and not an address that the configuration names")
