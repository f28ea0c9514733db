"""Whether an upstream speaks the protocol of module proxies."""

from __future__ import annotations

from typing import Final

from nora.config import Config
from nora.formats.go.documents import is_list
from nora.formats.go.upstream import LARGEST_LIST
from nora.proxy.upstreams import Upstreams
from nora.resolve import Source

ANY_MODULE: Final = "golang.org/x/text/@v/list"


async def check_upstream(_: Config, upstreams: Upstreams, source: Source) -> str:
    """See nora.formats.base.Format. One that has no public modules may answer that it has none."""
    upstream = upstreams.of(source)
    reply = await upstream.ask("GET", f"{upstream.url}/{ANY_MODULE}", max_bytes=LARGEST_LIST)
    if reply is None or is_list(reply.body):
        return ""
    return f"{upstream.url}/{ANY_MODULE} is no list of versions: look for the address to be set as GOPROXY"
