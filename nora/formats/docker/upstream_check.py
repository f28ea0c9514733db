"""Whether an upstream is a registry of images."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from nora.config import Config
from nora.config import Upstream as Setting
from nora.errors import UpstreamRefused
from nora.formats.docker.upstream_auth import registry_authorization
from nora.outbound import Outbound
from nora.proxy.base import Authorization
from nora.proxy.upstreams import Upstreams
from nora.resolve import Source

_LARGEST: Final = 64 << 10


async def check_upstream(config: Config, upstreams: Upstreams, source: Source) -> str:
    """See nora.formats.base.Format. `/v2/` is asked for: it says that a registry is there, and that it takes
    the credentials (distribution-spec, Determining Support)."""

    def authorize(setting: Setting, outbound: Outbound) -> Authorization:
        return registry_authorization(config, source.repository.format, setting, outbound)

    upstream = upstreams.of(source, authorize)
    try:
        reply = await upstream.ask("GET", f"{upstream.url}/v2/", max_bytes=_LARGEST)
    except UpstreamRefused:
        if source.setting.auth is None and source.setting.token is None:
            return ""  # it is there, and some images may be had all the same
        raise
    if reply is not None and "html" not in reply.headers.get("content-type", ""):
        return ""
    if urlsplit(upstream.url).path.endswith("/v2"):
        return "leave out the /v2 at the end of the address"
    return f"there is no registry at {upstream.url}/v2/: an address has no path at most of them"
