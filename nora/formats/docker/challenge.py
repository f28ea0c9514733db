"""How a client is asked to say who it is (RFC 9110, 11.6.1; distribution's token specification)."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlsplit

from blacksheep import Request

from nora.config import Config
from nora.config.kinds import LOOPBACK_HOSTS
from nora.http.clients import Clients
from nora.http.errors import BASIC

TOKEN_PATH = "/v2/token"  # noqa: S105 - a path


class Challenges:
    """The challenges of this registry.

    A Bearer challenge names the token service by a whole URL, and clients send their password there. So it
    is made of the public URL, or of what is to be believed of the request (nora.http.clients), and does not
    lead to plain HTTP of another machine: a proxy with TLS may not have said so. Else `Basic` is asked for.
    """

    def __init__(self, config: Config) -> None:
        self._public = config.server.public_url
        self._clients = Clients.build(config)

    def render(self, request: Request, scope: str = "", error: str = "") -> str:
        """A challenge. `scope` is what the request needs, `error` a code of RFC 6750, 3.1."""
        base = self._base(request)
        if base is None:
            return BASIC
        parts = [f'Bearer realm="{base}{TOKEN_PATH}"', f'service="{urlsplit(base).netloc}"']
        if scope:
            parts.append(f'scope="{scope}"')
        if error:
            parts.append(f'error="{error}"')
        return ",".join(parts)

    def _base(self, request: Request) -> str | None:
        base = self._clients.base_url(cast("dict[str, Any]", request.scope))
        if base is None or self._public:
            return base
        try:
            url = urlsplit(base)
        except ValueError:  # brackets around what is no IPv6 address
            return None
        return base if url.scheme == "https" or url.hostname in LOOPBACK_HOSTS else None
