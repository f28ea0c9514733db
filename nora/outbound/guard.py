"""Where connections may lead: no further than who named the address may send them."""

from __future__ import annotations

from typing import Any

from nora.addresses import Reach, reach_of
from nora.errors import UpstreamFailed


def within(host: str, found: list[Any], reach: Reach) -> list[Any]:
    """Which addresses that `getaddrinfo` found for a host may be connected to. Raises UpstreamFailed for
    none."""
    allowed = [one for one in found if reach_of(str(one[4][0])) <= reach]
    if found and not allowed:
        address = str(found[0][4][0])
        raise out_of_reach(host, address, reach_of(address))
    return allowed


def out_of_reach(host: str, address: str, there: Reach) -> UpstreamFailed:
    """The error of what leads to where only the operator may send NORA: `there`, at `address`."""
    if there is Reach.PRIVATE:
        where = "in a private network, to which an upstream in the internet may not lead"
    else:
        where = "of the machine itself or its private network, to which no upstream may lead"
    at = host if host == address else f"{host} ({address})"
    return UpstreamFailed(
        f'{at} is {where}; allow_private = ["{host}"] of the upstream or of [proxy] '
        "(NORA_PROXY_ALLOW_PRIVATE) lets it"
    )
