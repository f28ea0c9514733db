"""What an endpoint of `/v2/` gets: the request with its path taken apart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from blacksheep import Request, Response

if TYPE_CHECKING:
    from nora.config import Config

API_VERSION = (b"docker-distribution-api-version", b"registry/2.0")
"""Every answer carries it: docker tells a v2 registry by it."""


class Resource(NamedTuple):
    """A request for the thing that its path names."""

    request: Request
    name: str
    """The image name, not yet validated; empty where the path has none."""
    reference: str
    """The tag, digest or upload id, not yet validated; empty where the path has none."""
    query: dict[str, list[str]]

    def parameter(self, name: str) -> str | None:
        """The first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else None

    def header(self, name: bytes) -> str | None:
        """A request header, name in lower case."""
        value = self.request.get_first_header(name)
        return value.decode("latin-1") if value is not None else None

    def count_as(self, event: Literal["download", "upload"]) -> None:
        """What a successful answer counts as in the metrics: a package was pulled or published."""
        cast("dict[str, Any]", self.request.scope)["nora.event"] = event


Endpoint = Callable[[Resource], Awaitable[Response]]


def link_base(config: Config) -> str:
    """What links to this registry begin with: the public URL when one is configured, else nothing, so
    that they are relative to the host that the client has used."""
    return (config.server.public_url or "").rstrip("/")
