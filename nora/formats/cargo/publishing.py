"""Trusted publishing as jobs ask crates-io for it: the identity token of a CI job for a session of here.

    POST   /api/v1/trusted_publishing/tokens    {"jwt": <identity token>} → {"token": …}; PUT is the same
    DELETE /api/v1/trusted_publishing/tokens    Bearer <token>: it ends before its time

What the session may do says the rule of the identity, as with every exchange.
"""

from __future__ import annotations

from blacksheep import Response

from nora.auth.publishing import Exchange, read_identity
from nora.errors import NotFound
from nora.formats.base import Services
from nora.formats.cargo.resource import Resource
from nora.http.fields import NO_STORE, json_answer


class PublishingEndpoint:
    """The endpoints."""

    def __init__(self, services: Services) -> None:
        self._exchange = services.exchange

    async def post(self, resource: Resource) -> Response:
        """Change an identity token into an API token. Who asks, says so in the body."""
        exchange = self._found()
        return json_answer({"token": await exchange.session(resource, await read_identity(resource, "jwt"))})

    async def delete(self, resource: Resource) -> Response:
        """Revoke such a token: what a job does when it is done, so that nothing is found in its log."""
        await self._found().end(resource)
        return Response(204, [NO_STORE])

    def _found(self) -> Exchange:
        if self._exchange is None:
            raise NotFound("no identity tokens are taken here: see auth.oidc")
        return self._exchange
