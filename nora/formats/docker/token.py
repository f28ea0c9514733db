"""The token service: credentials for a session (distribution's token specification, and its OAuth2 form).

A GET carries credentials as any request does, a POST in a form. Without credentials there is a session for
what anybody may read, so that one registry can be public for reading and closed for writing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from blacksheep import Content, Response

from nora.auth.credentials import Basic, find_header, parse_credentials
from nora.auth.sessions import MAX_LENGTH
from nora.auth.tokens import is_token
from nora.errors import BadRequest, Unauthenticated
from nora.formats.base import Services
from nora.formats.docker.errors import code_of
from nora.formats.docker.names import Images
from nora.formats.docker.resource import API_VERSION, Resource
from nora.formats.docker.scopes import Asked, Granted, grant, parse_scopes
from nora.http.body import read_body
from nora.http.context import Parameters, parse_parameters
from nora.http.errors import BASIC
from nora.model import ANONYMOUS, Principal
from nora.observability.audit import note

_MAX_FORM: Final = 2 * MAX_LENGTH
_NO_STORE = (b"cache-control", b"no-store")  # RFC 6749, 5.1


class TokenService:
    """The endpoints of `/v2/token`."""

    def __init__(self, services: Services, images: Images) -> None:
        self._authenticator = services.authenticator
        self._access = services.access
        self._sessions = services.authenticator.sessions
        self._images = images
        self._idle_seconds = services.config.server.idle_timeout

    async def get(self, resource: Resource) -> Response:
        """Open a session. The credentials are those of the request's headers; `scope` may be repeated."""
        parameters = resource.query
        asked = parse_scopes(parameters.get("scope", ()))
        holder = await self._identify(resource, asked)
        granted = grant(asked, holder, self._access, self._images)
        if holder.is_anonymous and not granted.access:
            raise Unauthenticated("authentication is required", (BASIC,))
        offline = _first(parameters, "offline_token").lower() in {"true", "1"}
        return self._session(resource, holder, granted, self._refresh_token(holder) if offline else None)

    async def post(self, resource: Resource) -> Response:
        """Open a session. The credentials, or a refresh token, are in the form."""
        try:
            return await self._post(resource)
        except BadRequest as error:
            return _oauth_error(400, "invalid_request", str(error), code_of(error))
        except Unauthenticated as error:
            return _oauth_error(401, "invalid_grant", str(error), code_of(error))

    async def _post(self, resource: Resource) -> Response:
        form = parse_parameters(await read_body(resource.request, _MAX_FORM, self._idle_seconds))
        asked = parse_scopes(form.get("scope", ()))
        match _first(form, "grant_type"):
            case "password":
                username, password = _first(form, "username"), _first(form, "password")
                holder = await self._authenticator.verify(resource.request, username, password)
                offline = _first(form, "access_type") == "offline"
                refresh = self._refresh_token(holder) if offline else None
            case "refresh_token":
                refresh = _first(form, "refresh_token")
                holder = await self._holder(resource, refresh)
            case _:
                message = "grant_type is password or refresh_token"
                return _oauth_error(400, "unsupported_grant_type", message, "UNSUPPORTED")
        return self._session(resource, holder, grant(asked, holder, self._access, self._images), refresh)

    async def _identify(self, resource: Resource, asked: Sequence[Asked]) -> Principal:
        """The holder of a session.

        Where everybody may do what is asked, a password is not looked at: it would open nothing more, and
        may be that of another registry, which docker sends to mirrors. Without a scope it is a login.
        """
        public = bool(asked) and grant(asked, ANONYMOUS, self._access, self._images).whole
        if public and not _brings_token(resource):
            return ANONYMOUS
        try:
            return await self._authenticator.identify(resource.request, allow_foreign=public)
        except Unauthenticated as error:
            raise Unauthenticated(str(error), (BASIC,)) from None

    async def _holder(self, resource: Resource, refresh: str) -> Principal:
        found = self._sessions.read_refresh(refresh)
        holder = None if found is None else await self._authenticator.renew(found)
        if holder is None:
            raise Unauthenticated("the login is not valid any more: log in again")
        resource.scope["nora.principal"] = holder
        return holder

    def _refresh_token(self, holder: Principal) -> str | None:
        """None for whom nobody could revoke; a session and the token of a workload end by themselves."""
        lasting = holder.parent and holder.method not in ("oidc", "session")
        return self._sessions.mint_refresh(holder) if lasting else None

    def _session(
        self, resource: Resource, holder: Principal, granted: Granted, refresh: str | None
    ) -> Response:
        if not holder.is_anonymous:
            lasting = ", with a refresh token" if refresh else ""
            note(resource.scope, "session", name=f"{granted.text or 'a login'}{lasting}")
        token = self._sessions.mint(holder, granted.access)
        issued_at = datetime.fromtimestamp(int(time.time()), UTC).isoformat().replace("+00:00", "Z")
        body: dict[str, Any] = {
            "token": token,
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self._sessions.lifetime(holder),
            "issued_at": issued_at,
            "scope": granted.text,
        }
        if refresh is not None:
            body["refresh_token"] = refresh
        return Response(200, [API_VERSION, _NO_STORE], Content(b"application/json", orjson.dumps(body)))


def _brings_token(resource: Resource) -> bool:
    try:
        header = find_header(resource.scope["headers"])
        credentials = parse_credentials(header) if header else None
    except Unauthenticated:
        return False
    if isinstance(credentials, Basic):
        return is_token(credentials.password)
    return credentials is not None


def _first(parameters: Parameters, name: str) -> str:
    return next(iter(parameters.get(name, ())), "")


def _oauth_error(status: int, error: str, message: str, code: str) -> Response:
    """For clients of OAuth2, and for docker, which reads `errors`."""
    body = {
        "error": error,
        "error_description": message,
        "errors": [{"code": code, "message": message}],
    }
    headers = [API_VERSION, _NO_STORE]
    if status == 401:  # RFC 9110, 15.5.2
        headers.append((b"www-authenticate", BASIC.encode()))
    return Response(status, headers, Content(b"application/json", orjson.dumps(body)))
