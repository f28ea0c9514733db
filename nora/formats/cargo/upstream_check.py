"""Whether an upstream is a sparse index of crates."""

from __future__ import annotations

from nora.config import Config
from nora.formats.cargo.upstream import ACCEPT, CONFIG, LARGEST_CONFIG, read_config
from nora.proxy.upstreams import Upstreams
from nora.resolve import Source


async def check_upstream(_: Config, upstreams: Upstreams, source: Source) -> str:
    """See nora.formats.base.Format. Every sparse index has a `config.json`."""
    upstream = upstreams.of(source)
    url = f"{upstream.url}/{CONFIG}"
    reply = await upstream.ask("GET", url, ACCEPT, max_bytes=LARGEST_CONFIG)
    if reply is None:
        return no_index(upstream.url)
    read_config(reply.body, url)
    return ""


def no_index(url: str) -> str:
    """What is said of an address at which nothing is."""
    return (
        f"there is no {CONFIG} at {url}/: look for the address of the sparse index, what comes after sparse+"
    )
