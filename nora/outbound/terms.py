"""What a request may take, and how far it may reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from nora.addresses import Reach
from nora.patterns import text_matcher

CONNECT_SECONDS = 10.0
PORTS = {"http": 80, "https": 443}
"""What can be spoken, and where it listens."""

Method = Literal["GET", "HEAD", "POST"]
Headers = Mapping[str, str]
"""Names are in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a request may take, and how far it may reach."""

    connect_seconds: float = CONNECT_SECONDS
    idle_seconds: float = 30.0
    """The longest silence: before the answer begins, and between two pieces of its body."""
    total_seconds: float = 60.0
    """For a whole document. A stream has no such limit: how long it takes depends on its size."""
    max_bytes: int
    """The largest body, after decompression."""
    given: frozenset[str] = frozenset()
    """Origins (see `origin`) that the operator wrote down; these may be anywhere."""
    private: tuple[str, ...] = ()
    """Hosts that may be anywhere as well, whoever names them; `*` stands for anything in a name."""
    inside: bool = False
    """Whether what is asked for was named by somebody who was reached in a private network, and may be in
    one as well."""

    def reach(self, url: str) -> Reach:
        """How far what a URL leads to may be. Raises ValueError."""
        if self.names(url):
            return Reach.ANYWHERE
        host = (urlsplit(url).hostname or "").rstrip(".")
        if any(text_matcher(pattern).fullmatch(host) for pattern in self.private):
            return Reach.ANYWHERE
        return Reach.PRIVATE if self.inside else Reach.PUBLIC

    def names(self, url: str) -> bool:
        """Whether the operator wrote down the origin of a URL. Raises ValueError."""
        return origin(url) in self.given


def origin(url: str) -> str:
    """Scheme, host and port of a URL, as `https://example.com:443`. Raises ValueError."""
    parts = urlsplit(url)
    port = parts.port or PORTS.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').rstrip('.')}:{port}"


def hostname_of(url: str) -> str:
    """As metrics name whom was asked: all ports of a host are one."""
    try:
        return urlsplit(url).hostname or "the upstream"
    except ValueError:
        return "the upstream"


def host_of(url: str) -> str:
    """As messages name whom was asked, with a port that is not the usual one: nothing of a URL that could
    hold a secret."""
    try:
        parts = urlsplit(url)
        name, port = parts.hostname or "", parts.port
    except ValueError:
        return "the upstream"
    if not name:
        return "the upstream"
    if port in (None, PORTS.get(parts.scheme)):
        return name
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
