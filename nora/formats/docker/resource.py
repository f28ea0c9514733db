"""What an endpoint of `/v2/` gets: a request that may be answered, with its path taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from blacksheep import Request

from nora.formats.docker.names import Image
from nora.http.context import PackageContext
from nora.model import Action

if TYPE_CHECKING:
    from nora.config import Config

API_VERSION = (b"docker-distribution-api-version", b"registry/2.0")
"""Every answer carries it: docker tells a v2 registry by it."""


class Resource(PackageContext):
    """A request for the thing that its path names."""

    __slots__ = ("image", "reference")

    def __init__(self, request: Request, action: Action | None, image: Image, reference: str) -> None:
        PackageContext.__init__(self, request, action, image.repository, image.package)
        self.image = image
        """The image of the path; `Images.none` where the path has none."""
        self.reference = reference
        """The tag, digest or upload id, not yet validated; empty where the path has none."""

    def of(self, image: Image) -> Resource:
        """The same request for another image."""
        other = Resource(self.request, self.action, image, self.reference)
        other.principal = self.principal
        return other

    def audit_image(self, action: Action, digest: str = "", tags: Sequence[str] = ()) -> None:
        """What the audit log tells of this request, as `audit`, with the names of the image."""
        name = self.image.full_name
        self.audit(action, f"{name}:{','.join(tags)}" if tags else name, digest)


def link_base(config: Config) -> str:
    """What links to this registry begin with: the public URL when one is configured, else nothing, so
    that they are relative to the host that the client has used."""
    return (config.server.public_url or "").rstrip("/")
