"""The token service: credentials for a session (distribution's token specification, and its OAuth2 form).

A GET carries credentials as any request does, a POST in a form. Without credentials there is a session for
what anybody may read, so that one registry can be public for reading and closed for writing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qs

import orjson
from blacksheep import Content, Request, Response

from nora.auth.credentials import Basic, find_header, parse_credentials
from nora.auth.sessions import LIFETIME_SECONDS, MAX_LENGTH
from nora.auth.tokens import is_token
from nora.errors import BadRequest, MethodNotAllowed, Unauthenticated
from nora.formats.base import Handler, Services
from nora.formats.docker.challenge import BASIC
from nora.formats.docker.errors import code_of
from nora.formats.docker.names import Images
from nora.formats.docker.resource import API_VERSION
from nora.formats.docker.scopes import Asked, Granted, grant, parse_scopes
from nora.http.body import read_body
from nora.model import ANONYMOUS, Principal

_MAX_FORM = 2 * MAX_LENGTH
_MAX_FIELDS = 100
_NO_STORE = (b"cache-control", b"no-store")  # RFC 6749, 5.1

Parameters = Mapping[str, Sequence[str]]


class TokenService:
    """The endpoints of `/v2/token`."""

    def __init__(self, services: Services, images: Images) -> None:
        self._authenticator = services.authenticator
        self._access = services.access
        self._sessions = services.authenticator.sessions
        self._images = images
        self.methods: dict[str, Handler] = {"GET": self.get, "HEAD": self.get, "POST": self.post}
        self._idle_seconds = services.config.server.idle_timeout

    async def answer(self, request: Request) -> Response:
        """Whatever is sent to `/v2/token`."""
        endpoint = self.methods.get(request.method)
        if endpoint is None:
            raise MethodNotAllowed(tuple(self.methods))
        return await endpoint(request)

    async def get(self, request: Request) -> Response:
        """Credentials from the request's own headers; `scope` may be repeated."""
        parameters = parse_parameters(_scope(request)["query_string"])
        asked = parse_scopes(parameters.get("scope", ()))
        holder = await self._identify(request, asked)
        granted = grant(asked, holder, self._access, self._images)
        if holder.is_anonymous and not granted.access:
            raise Unauthenticated("authentication is required", (BASIC,))
        offline = _first(parameters, "offline_token").lower() in {"true", "1"}
        return self._session(holder, granted, self._refresh_token(holder) if offline else None)

    async def post(self, request: Request) -> Response:
        """Credentials, or a refresh token, in the form."""
        try:
            return await self._post(request)
        except BadRequest as error:
            return _oauth_error(400, "invalid_request", str(error), code_of(error))
        except Unauthenticated as error:
            return _oauth_error(401, "invalid_grant", str(error), code_of(error))

    async def _post(self, request: Request) -> Response:
        form = parse_parameters(await read_body(request, _MAX_FORM, self._idle_seconds))
        asked = parse_scopes(form.get("scope", ()))
        match _first(form, "grant_type"):
            case "password":
                username, password = _first(form, "username"), _first(form, "password")
                holder = _no_session(await self._authenticator.verify(request, username, password))
                offline = _first(form, "access_type") == "offline"
                refresh = self._refresh_token(holder) if offline else None
            case "refresh_token":
                refresh = _first(form, "refresh_token")
                holder = await self._holder(request, refresh)
            case _:
                message = "grant_type is password or refresh_token"
                return _oauth_error(400, "unsupported_grant_type", message, "UNSUPPORTED")
        return self._session(holder, grant(asked, holder, self._access, self._images), refresh)

    async def _identify(self, request: Request, asked: Sequence[Asked]) -> Principal:
        """The holder of a session.

        Where everybody may do what is asked, a password is not looked at: it would open nothing more, and
        may be that of another registry, which docker sends to mirrors. Without a scope it is a login.
        """
        public = bool(asked) and grant(asked, ANONYMOUS, self._access, self._images).whole
        if public and not _brings_token(request):
            return ANONYMOUS
        try:
            return _no_session(await self._authenticator.identify(request, allow_foreign=public))
        except Unauthenticated as error:
            raise Unauthenticated(str(error), (BASIC,)) from None

    async def _holder(self, request: Request, refresh: str) -> Principal:
        found = self._sessions.read_refresh(refresh)
        holder = None if found is None else await self._authenticator.renew(found)
        if holder is None:
            raise Unauthenticated("the refresh token is not valid")
        _scope(request)["nora.principal"] = holder
        return holder

    def _refresh_token(self, holder: Principal) -> str | None:
        """None for those whom nobody could revoke; the token of a workload, too, ends by itself."""
        lasting = holder.parent and holder.method != "oidc"
        return self._sessions.mint_refresh(holder) if lasting else None

    def _session(self, holder: Principal, granted: Granted, refresh: str | None) -> Response:
        token = self._sessions.mint(holder, granted.access)
        issued_at = datetime.fromtimestamp(int(time.time()), UTC).isoformat().replace("+00:00", "Z")
        body: dict[str, Any] = {
            "token": token,
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": LIFETIME_SECONDS,
            "issued_at": issued_at,
            "scope": granted.text,
        }
        if refresh is not None:
            body["refresh_token"] = refresh
        return Response(200, [API_VERSION, _NO_STORE], Content(b"application/json", orjson.dumps(body)))


def _scope(request: Request) -> dict[str, Any]:
    return cast("dict[str, Any]", request.scope)


def _brings_token(request: Request) -> bool:
    try:
        header = find_header(_scope(request)["headers"])
        credentials = parse_credentials(header) if header else None
    except Unauthenticated:
        return False
    if isinstance(credentials, Basic):
        return is_token(credentials.password)
    return credentials is not None


def parse_parameters(data: bytes) -> Parameters:
    """A query string or a form (application/x-www-form-urlencoded). Raises BadRequest for too much of it."""
    try:
        return parse_qs(data.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise BadRequest(f"at most {_MAX_FIELDS} parameters") from None


def _first(parameters: Parameters, name: str) -> str:
    return next(iter(parameters.get(name, ())), "")


def _no_session(holder: Principal) -> Principal:
    """A session that could renew itself would outlive the decision that it was made from."""
    if holder.method == "session":
        raise Unauthenticated("a session does not open another one")
    return holder


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
