"""What a client asks first: whether this is a registry, and what it can (distribution-spec end-1)."""

from __future__ import annotations

from blacksheep import Content, Response

from nora.formats.docker.authorizer import Authorizer
from nora.formats.docker.resource import API_VERSION, Resource


class Discovery:
    """The endpoints that name no image."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def ping(self, resource: Resource) -> Response:
        """GET and HEAD of nothing: that this is a registry, and how to log in."""
        challenge = await self._authorizer.authorize_ping(resource.request)
        headers = [API_VERSION] if challenge is None else [API_VERSION, challenge]
        return Response(200, headers, Content(b"application/json", b"{}"))

    async def extensions(self, resource: Resource) -> Response:
        """The extensions of this registry: none."""
        await self._authorizer.authorize_ping(resource.request)
        return Response(200, [API_VERSION], Content(b"application/json", b'{"extensions":[]}'))
