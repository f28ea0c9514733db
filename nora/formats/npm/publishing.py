"""Trusted publishing as npm asks for it: the identity token of a CI job for a session of here.

    POST /-/npm/v1/oidc/token/exchange/package/<package>    Bearer <identity token> → {"token": …}

npm asks the root of the host, wherever its registry is, and publishes with what it has when the answer is an
error. The same is below the registry. What the session may do says the rule of the identity, as with every
exchange; the package that is named adds and takes nothing.
"""

from __future__ import annotations

from blacksheep import Response

from nora.auth.credentials import Bearer, find_header, parse_credentials
from nora.errors import BadRequest, NotFound, Unauthenticated
from nora.formats.base import Services
from nora.formats.npm.resource import Resource
from nora.http.fields import json_answer


class PublishingEndpoint:
    """The endpoint."""

    def __init__(self, services: Services) -> None:
        self._exchange = services.exchange

    async def post(self, resource: Resource) -> Response:
        """Change an identity token into an API token. Who asks, says so in the header."""
        if self._exchange is None:
            raise NotFound("no identity tokens are taken here: see auth.oidc")
        header = find_header(resource.scope["headers"])
        credentials = parse_credentials(header) if header is not None else None
        if credentials is None:
            raise BadRequest("expected the identity token of a job as a Bearer token")
        if not isinstance(credentials, Bearer):
            raise Unauthenticated("these credentials are no identity token")
        return json_answer({"token": await self._exchange.session(resource, credentials.token)}, 201)
