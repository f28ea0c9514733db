"""Whether an upstream lets NORA in. That it is a Maven repository cannot be told: it may be empty, and what
is at its root is up to it."""

from __future__ import annotations

from nora.config import Config
from nora.proxy.upstreams import Upstreams
from nora.resolve import Source


async def check_upstream(_: Config, upstreams: Upstreams, source: Source) -> str:
    """See nora.formats.base.Format."""
    upstream = upstreams.of(source)
    await upstream.ask("HEAD", f"{upstream.url}/", max_bytes=1 << 20)
    return ""
