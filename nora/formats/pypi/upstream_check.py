"""Whether an upstream is an index of Python packages."""

from __future__ import annotations

from typing import Final

from nora.config import Config
from nora.errors import UpstreamFailed
from nora.formats.pypi.pages import PageType
from nora.formats.pypi.upstream import ACCEPT
from nora.proxy.base import Upstream
from nora.proxy.upstreams import Upstreams
from nora.resolve import Source

SIMPLE: Final = "/simple"
_PAGES: Final = frozenset({*(one.value for one in PageType), "application/json"})
_KNOWN: Final = "pip"
_LARGEST: Final = 64 << 20
_UNBOUNDED: Final = 1 << 62


async def check_upstream(_: Config, upstreams: Upstreams, source: Source) -> str:
    """See nora.formats.base.Format. Its list of projects is asked for, by HEAD: it may be large."""
    upstream = upstreams.of(source)
    if not upstream.url.endswith("simple") and await _has_list(upstream, upstream.url + SIMPLE):
        return f"this is not the index: that is at {upstream.url}{SIMPLE}"
    try:
        is_index = await _has_list(upstream, upstream.url)
    except UpstreamFailed as error:
        if type(error) is not UpstreamFailed:  # a kind of it: it cannot be asked, or refuses
            raise
        is_index = False  # some have no HEAD
    return "" if is_index or await _has_project(upstream) else no_index(upstream.url)


def no_index(url: str) -> str:
    """What is said of an address at which nothing is."""
    return f"there is no index at {url}/: look at the path, which ends with {SIMPLE} at most of them"


async def _has_list(upstream: Upstream, url: str) -> bool:
    reply = await upstream.ask("HEAD", f"{url}/", {"accept": ACCEPT}, max_bytes=_UNBOUNDED)
    declared = "" if reply is None else reply.headers.get("content-type", "")
    return declared.partition(";")[0].strip().lower() in _PAGES


async def _has_project(upstream: Upstream) -> bool:
    reply = await upstream.ask("GET", f"{upstream.url}/{_KNOWN}/", {"accept": ACCEPT}, max_bytes=_LARGEST)
    return reply is not None
