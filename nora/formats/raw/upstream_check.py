"""Whether an upstream is a file server: any server that answers is one."""

from __future__ import annotations

from nora.config import Config
from nora.errors import UpstreamRefused
from nora.proxy.upstreams import Upstreams
from nora.resolve import Source


async def check_upstream(_: Config, upstreams: Upstreams, source: Source) -> str:
    """See nora.formats.base.Format. Many servers list no directory, and refuse who asks for one."""
    upstream, setting = upstreams.of(source), source.setting
    try:
        await upstream.ask("HEAD", f"{upstream.url}/", max_bytes=1)
    except UpstreamRefused:
        if setting.auth is not None or setting.token is not None or setting.headers:
            raise
    return ""
