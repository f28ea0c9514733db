"""What a request may take, and how far it may reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from nora.patterns import text_matcher

CONNECT_SECONDS = 10.0
PORTS = {"http": 80, "https": 443}
"""What can be spoken, and where it listens."""

Method = Literal["GET", "HEAD"]
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
    """Origins (see `origin`) that the operator wrote down; these may be in a private network."""
    private: tuple[str, ...] = ()
    """Hosts that may be in one as well, wherever they are named; `*` stands for anything in a name."""

    def guards(self, url: str) -> bool:
        """Whether what a URL leads to must be in the public network. Raises ValueError."""
        if origin(url) in self.given:
            return False
        host = (urlsplit(url).hostname or "").rstrip(".")
        return not any(text_matcher(pattern).fullmatch(host) for pattern in self.private)


def origin(url: str) -> str:
    """Scheme, host and port of a URL, as `https://example.com:443`. Raises ValueError."""
    parts = urlsplit(url)
    port = parts.port or PORTS.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').rstrip('.')}:{port}"


def host_of(url: str) -> str:
    """As messages name whom was asked: nothing of a URL that could hold a secret."""
    try:
        return urlsplit(url).hostname or "the upstream"
    except ValueError:
        return "the upstream"
