"""Requests that a browser sends because a page of somebody else told it to.

A browser adds what its reader has (the right to reach this machine, a password that was typed before) to the
requests of any page. What it lets no page write is `Host`, `Origin` and `Sec-Fetch-Site`: by these such
requests are known (Fetch, 3.1 and 3.2; Fetch Metadata, 2.4).

- A change that a page of another site asks for is refused. Programs send neither of the two fields.
- A name of somebody else may lead to this machine (DNS rebinding), and is then no other site to a browser. So
  a server that asks nobody who they are, because only its own machine reaches it, answers to its own names
  alone. Others may have any number of names that it cannot know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from nora.errors import BadRequest, Denied, Misdirected, quoted
from nora.http.clients import CLIENTS_KEY, Clients

if TYPE_CHECKING:
    from nora.config import Config

REMEMBERED: Final = 256
"""Values of `Host` that were looked at before: whoever chooses others can choose many."""
_host = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?").fullmatch
_WITHOUT_HOST: Final = frozenset({"1", "1.0"})
"""Versions of HTTP in which a request needs none. No browser speaks them."""
READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OF_THIS_SITE: Final = frozenset({b"same-origin", b"none"})
"""Values of `Sec-Fetch-Site`: a page of this server, or the reader's own doing."""


class Sites:
    """The names of one server, and what may be asked of it under others."""

    def __init__(
        self,
        *,
        public_url: str | None = None,
        allowed_hosts: Iterable[str] = (),
        own_names_only: bool = False,
    ) -> None:
        """`allowed_hosts` are names without ports. With `own_names_only` nothing is answered under any other
        name than these, that of `public_url` and those of the loopback."""
        public = urlsplit(public_url or "")
        self._authority = public.netloc.lower()
        self._names = frozenset(filter(None, [*map(_name_in, allowed_hosts), public.hostname]))
        self._own_names_only = own_names_only
        self.good_hosts: set[bytes | None] = set()
        """Values of `Host` that need not be looked at again."""

    @classmethod
    def build(cls, config: Config) -> Sites:
        """As the configuration has it."""
        server = config.server
        return cls(
            public_url=server.public_url,
            allowed_hosts=server.allowed_hosts,
            own_names_only=server.on_loopback and not config.auth.enabled,
        )

    def admit(self, host: bytes | None, scope: dict[str, Any]) -> None:
        """Before a request is handled; see `admit_host` and `admit_change`."""
        self.admit_host(host, scope["http_version"])
        if scope["method"] not in READS:
            self.admit_change(scope)

    def admit_host(self, host: bytes | None, version: str) -> None:
        """`host` is what a request has as `Host` or `:authority`, several as the list that they are. Raises
        BadRequest (RFC 9112, 3.2) or Misdirected."""
        if not host and version in _WITHOUT_HOST:
            return
        name = _name_in((host or b"").decode("latin-1"))
        if not host or not name:
            raise BadRequest(
                "a request has one Host, the name or address of a server, with or without its port"
            )
        if self._own_names_only and not self._is_own(name):
            raise Misdirected(
                "this server asks for no credentials, so it answers only under names of its own, and "
                f"{quoted(name)} is none of them: set server.public_url (NORA_PUBLIC_URL), or add the name "
                "to server.allowed_hosts (NORA_ALLOWED_HOSTS)"
            )
        if len(self.good_hosts) < REMEMBERED:
            self.good_hosts.add(host)

    def admit_change(self, scope: dict[str, Any]) -> None:
        """Before a request that may change something. Raises Denied."""
        site: bytes = b""
        origins: list[bytes] = []
        for name, value in scope["headers"]:
            if name == b"origin":
                origins.append(value)
            elif name == b"sec-fetch-site":
                site = value.strip().lower()
        if site in _OF_THIS_SITE or (not origins and site != b"cross-site"):
            return
        if site == b"cross-site" or not all(self._is_own_page(one, scope) for one in origins):
            page = quoted(b", ".join(origins).decode("latin-1")) or "another site"
            raise Denied(
                f"a page of {page} may change nothing here; if that is this server, set server.public_url "
                "(NORA_PUBLIC_URL) to its address"
            )

    def _is_own(self, name: str) -> bool:
        if name in self._names or name == "localhost" or name.endswith(".localhost"):  # RFC 6761, 6.3
            return True
        try:
            return ip_address(name).is_loopback
        except ValueError:
            return False

    def _is_own_page(self, origin: bytes, scope: dict[str, Any]) -> bool:
        """Whether a page of `origin` is one of this server. The scheme is not compared: a proxy in front may
        speak TLS, and it may know the server by another name than its clients."""
        authority = origin.decode("latin-1").strip().lower().partition("://")[2]
        if not authority:  # as `null`
            return False
        clients: Clients = scope[CLIENTS_KEY]
        told = (clients.base_url(scope) or "").partition("://")[2].lower()
        hosts = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        return authority in (self._authority, told, *hosts) or _name_in(authority) in self._names


def _name_in(authority: str) -> str:
    """The name or address of `name:port`, in lower case; empty for what has none."""
    match = _host(authority)
    return match[1].strip("[]").lower().removesuffix(".") if match else ""
