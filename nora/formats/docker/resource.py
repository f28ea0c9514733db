"""What an endpoint of `/v2/` gets: a request that may be answered, with its path taken apart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from blacksheep import Request, Response

from nora.formats.docker.names import Image
from nora.model import Action, Principal
from nora.observability.audit import note

if TYPE_CHECKING:
    from nora.config import Config

API_VERSION = (b"docker-distribution-api-version", b"registry/2.0")
"""Every answer carries it: docker tells a v2 registry by it."""


class Resource(NamedTuple):
    """A request for the thing that its path names."""

    request: Request
    image: Image
    """The image of the path; `Images.none` where the path has none."""
    reference: str
    """The tag, digest or upload id, not yet validated; empty where the path has none."""
    query: dict[str, list[str]]
    principal: Principal
    """Who is asking, and may."""

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

    def audit(self, action: Action, digest: str = "", tags: Sequence[str] = ()) -> None:
        """What the audit log tells of this request; said before it is done, so that failures are told too."""
        name = f"{self.image.full_name}:{','.join(tags)}" if tags else self.image.full_name
        note(cast("dict[str, Any]", self.request.scope), action, self.image.repository.name, name, digest)


Endpoint = Callable[[Resource], Awaitable[Response]]


def link_base(config: Config) -> str:
    """What links to this registry begin with: the public URL when one is configured, else nothing, so
    that they are relative to the host that the client has used."""
    return (config.server.public_url or "").rstrip("/")
