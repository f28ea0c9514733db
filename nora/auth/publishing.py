"""Trusted publishing: an identity token for one of here. As uploaders of Python packages ask for it:

    GET  /_/oidc/audience      {"audience": …}: what to ask the CI system a token for
    POST /_/oidc/mint-token    {"token": …} → {"success": true, "token": …}: the password of an upload

uv takes 404 to the first for "not offered here", and speaks https only; twine asks the public index only.
The same providers and rules decide as for an identity token that is sent as it is. A token is exchanged once:
who finds one in the log of a job gets nothing for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import orjson
from blacksheep import Request, Response

from nora.auth.authenticator import Authenticator
from nora.auth.endpoints import ServerEndpoint
from nora.auth.oidc import OidcVerifier
from nora.auth.scopes import write_scope
from nora.auth.signed_tokens import MAX_TOKEN
from nora.errors import BadRequest, Denied, NoraError, NotFound, Unauthenticated
from nora.http.body import read_body
from nora.http.context import RequestContext
from nora.http.fields import answering, json_answer
from nora.http.router import Endpoint
from nora.model import ROLES, Principal, Scope
from nora.observability.audit import note

MOUNT: Final = "/_/oidc/"
LIFETIME_SECONDS: Final = 900
"""Of what is minted: as long as the public index's, since one upload follows the other with it."""
LARGEST_BODY: Final = MAX_TOKEN + 1024


class Exchange:
    """What is given for an identity token, whichever way a client asks for it."""

    def __init__(self, verifier: OidcVerifier, authenticator: Authenticator) -> None:
        self._verifier = verifier
        self._authenticator = authenticator

    @property
    def audience(self) -> str:
        """What to ask the CI system a token for."""
        return self._verifier.audience

    async def session(self, context: RequestContext, token: str) -> str:
        """A session with the rights of who shows the token, who is then asking. Raises Unauthenticated,
        Denied and UpstreamUnavailable, as OidcVerifier.verify."""
        note(context.scope, "session")
        principal = await self._verifier.verify(token, exchange=True)
        context.scope["nora.principal"], scopes = principal, rights(principal)
        note(context.scope, "session", name=" ".join(map(write_scope, scopes)))
        return self._authenticator.sessions.mint(principal, scopes, LIFETIME_SECONDS)

    async def end(self, context: RequestContext) -> None:
        """End the session that is shown before its time. Raises Unauthenticated where none is."""
        context.audit("admin", "revoke session")
        await self._authenticator.end_session(context.request)


class TrustedPublishing:
    """The endpoints."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def endpoints(self) -> Iterator[ServerEndpoint]:
        """Who asks, says so in the body."""
        yield Endpoint("GET HEAD", f"{MOUNT}audience", None, answering(self._audience))
        yield Endpoint("POST", f"{MOUNT}mint-token", None, answering(self._mint_token))

    async def _audience(self, context: RequestContext) -> object:
        """GET and HEAD of the audience that identity tokens have to be for."""
        return {"audience": self._exchange.audience}

    async def _mint_token(self, context: RequestContext) -> object:
        """Change an identity token into an API token."""
        note(context.scope, "session")
        token = await read_identity(context, "token")
        return {"success": True, "token": await self._exchange.session(context, token)}


def rights(principal: Principal) -> tuple[Scope, ...]:
    """What a session may do that is limited no further than its holder."""
    return principal.scopes or (Scope(actions=ROLES[principal.role] - {"admin"}),)


async def read_identity(context: RequestContext, field: str) -> str:
    """The identity token that a body has in a field. Raises BadRequest, TooLarge."""
    body = await read_body(context.request, LARGEST_BODY)
    try:
        token = orjson.loads(body)[field]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        token = None
    if not isinstance(token, str) or not token:
        raise BadRequest(f'expected {{"{field}": "<the identity token>"}}')
    return token


_CODES: Final[dict[type[NoraError], str]] = {
    BadRequest: "invalid-payload",
    Unauthenticated: "invalid-token",
    Denied: "invalid-publisher",
    NotFound: "not-found",
}


def render_error(error: NoraError, request: Request) -> Response:
    """As its clients read it: a message, and a list of codes with descriptions."""
    code = next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), "unavailable")
    entry = {"code": code, "description": str(error)}
    return json_answer({"success": False, "message": "Token request failed", "errors": [entry]}, error.status)
