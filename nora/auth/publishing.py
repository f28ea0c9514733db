"""Trusted publishing, as uploaders of Python packages ask for it: an identity token for one of here.

    GET  /_/oidc/audience      {"audience": …}: what to ask the CI system a token for
    POST /_/oidc/mint-token    {"token": …} → {"success": true, "token": …}: the password of an upload

uv takes 404 to the first for "not offered here", and speaks https only; twine asks the public index only.
The same providers and rules decide as for an identity token that is sent as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import orjson
from blacksheep import Content, Request, Response

from nora.auth.oidc import MAX_TOKEN, OidcVerifier
from nora.errors import BadRequest, Denied, MethodNotAllowed, NoraError, NotFound, Unauthenticated
from nora.http.body import read_body
from nora.model import ROLES, Principal, Scope
from nora.observability.audit import note

MOUNT: Final = "/_/oidc/"
LIFETIME_SECONDS: Final = 900
"""Of what is minted: as long as the public index's, since one upload follows the other with it."""
LARGEST_BODY: Final = MAX_TOKEN + 1024

Mint = Callable[[Principal, tuple[Scope, ...], int], str]
"""Makes a session of a principal, with these scopes, for so many seconds."""


class TrustedPublishing:
    """Answers below `/_/oidc/`."""

    def __init__(self, verifier: OidcVerifier, mint: Mint) -> None:
        self._verifier = verifier
        self._mint = mint

    def routes(self) -> Iterator[tuple[str, str]]:
        """Method and path of what is answered."""
        yield "GET", f"{MOUNT}audience"
        yield "HEAD", f"{MOUNT}audience"
        yield "POST", f"{MOUNT}mint-token"

    async def __call__(self, request: Request) -> Response:
        """Raises NoraError."""
        scope = cast("dict[str, Any]", request.scope)
        path, method = scope["path"].removeprefix(MOUNT), scope["method"]
        if path not in ("audience", "mint-token"):
            raise NotFound("there is nothing here")
        allowed = ("GET", "HEAD") if path == "audience" else ("POST",)
        if method not in allowed:
            raise MethodNotAllowed(allowed)
        if path == "audience":
            return _json({"audience": self._verifier.audience})
        note(scope, "admin", "", "a credential for an identity token")
        principal = await self._verifier.verify(_token(await read_body(request, LARGEST_BODY)))
        scope["nora.principal"] = principal
        return _json({"success": True, "token": self._mint(principal, rights(principal), LIFETIME_SECONDS)})


def rights(principal: Principal) -> tuple[Scope, ...]:
    """What a session may do that is limited no further than its holder."""
    return principal.scopes or (Scope(actions=ROLES[principal.role] - {"admin"}),)


def _token(body: bytes) -> str:
    """Raises BadRequest."""
    try:
        token = orjson.loads(body)["token"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        token = None
    if not isinstance(token, str) or not token:
        raise BadRequest('expected {"token": "<the identity token>"}')
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
    return _json({"success": False, "message": "Token request failed", "errors": [entry]}, error.status)


def _json(body: object, status: int = 200) -> Response:
    return Response(
        status, [(b"cache-control", b"no-store")], Content(b"application/json", orjson.dumps(body))
    )
