"""`npm login` in a browser.

    POST /-/v1/login          {loginUrl, doneUrl}: npm opens the one, and asks the other again and again
    GET  /-/login?id=…        a page with a form
    POST /-/login?id=…        {username, password}: makes the token
    GET  /-/v1/done?session=… 202 until then, 200 {token}

The token is told by the session: its text is a keyed hash of the session's id, and the page knows the hash of
the text only. So nothing is kept between the requests but the row of the token, and any worker answers.
"""

from __future__ import annotations

import hmac
import secrets
import time
from html import escape
from typing import Final

from blacksheep import Content, Response

from nora.auth.tokens import DEFAULT_TTL_DAYS, secret_hash, token_of
from nora.errors import BadRequest, NotFound, StorageFailed, TooManyRequests, Unauthenticated
from nora.formats.base import Services
from nora.formats.npm.login import DESCRIPTION, LARGEST_BODY, Login
from nora.formats.npm.resource import Resource
from nora.http.body import read_body
from nora.http.context import parse_parameters
from nora.http.fields import json_answer
from nora.model import Principal
from nora.proxy.answers import NO_CACHE

SECRET: Final = "npm-login-key"  # noqa: S105 - the name of it
LIFETIME_SECONDS: Final = 600
"""From `npm login` to the last answer."""
POLL_SECONDS: Final = 2
_TWICE: Final = "somebody has logged in here already: begin anew with `npm login`"
_HTML: Final = b"text/html; charset=utf-8"


class WebLogin:
    """The endpoints."""

    def __init__(self, services: Services, login: Login) -> None:
        self._catalog = services.catalog
        self._authenticator = services.authenticator
        self._tokens = services.tokens
        self._login = login
        self._idle_seconds = services.config.server.idle_timeout
        self._key = b""

    async def begin(self, resource: Resource) -> Response:
        """Begin a login on a page: two addresses. Without authentication there is nobody to log in:
        npm asks for a password itself then."""
        if not self._authenticator.enabled:
            raise NotFound("there is no login in a browser while authentication is off")
        session = secrets.token_hex(16)
        ends_at = f"{int(time.time()) + LIFETIME_SECONDS:x}"
        login = await self._signed(secret_hash(await self._token(session)), ends_at)
        done = await self._signed(session, ends_at)
        base = resource.base
        return json_answer(
            {"loginUrl": f"{base}/-/login?id={login}", "doneUrl": f"{base}/-/v1/done?session={done}"}
        )

    async def done(self, resource: Resource) -> Response:
        """GET and HEAD of the token, once somebody has logged in."""
        text = await self._token(await self._read(resource.parameter("session")))
        if await self._tokens.verify(text) is None:
            answer = json_answer({}, 202)
            answer.add_header(b"retry-after", b"%d" % POLL_SECONDS)
            return answer
        return json_answer({"token": text})

    async def page(self, resource: Resource) -> Response:
        """GET and HEAD of the form to log in with."""
        await self._read(resource.parameter("id"))
        return _page(resource.base)

    async def submit(self, resource: Resource) -> Response:
        """Make the token that a login waits for, for who has the password."""
        hashed = await self._read(resource.parameter("id"))
        form = parse_parameters(await read_body(resource.request, LARGEST_BODY, self._idle_seconds))
        user, password = (next(iter(form.get(name, ())), "") for name in ("username", "password"))
        resource.audit("admin", f"npm login {user}")
        try:
            if await self._catalog.find_token(hashed) is not None:
                raise BadRequest(_TWICE)
            principal = await self._authenticator.verify(resource.request, user, password)
            if principal.method != "password":
                raise Unauthenticated("log in with your password")
            await self._make(principal, hashed)
        except (BadRequest, Unauthenticated, TooManyRequests) as error:
            return _page(resource.base, str(error), error.status)
        return _answer("You are logged in. Go back to npm; this page can be closed.")

    async def _make(self, principal: Principal, hashed: str) -> None:
        try:
            await self._login.make(principal, principal.role, DESCRIPTION, DEFAULT_TTL_DAYS, hashed)
        except StorageFailed:
            if await self._catalog.find_token(hashed) is None:
                raise
            raise BadRequest(_TWICE) from None  # at the same moment

    async def _token(self, session: str) -> str:
        return token_of(hmac.digest(await self._secret(), b"token " + session.encode(), "sha512"))

    async def _signed(self, text: str, ends_at: str) -> str:
        return f"{text}.{ends_at}.{await self._signature(text, ends_at)}"

    async def _read(self, value: str | None) -> str:
        """What was signed. Raises NotFound for what was not, or is over."""
        text, ends_at, signature = (*(value or "").split("."), "", "", "")[:3]
        expected = await self._signature(text, ends_at)
        if not hmac.compare_digest(signature.encode(), expected.encode()) or int(ends_at, 16) < time.time():
            raise NotFound("there is no such login, or it has taken too long: begin anew with `npm login`")
        return text

    async def _signature(self, text: str, ends_at: str) -> str:
        return hmac.digest(await self._secret(), f"{text} {ends_at}".encode(), "sha256").hex()

    async def _secret(self) -> bytes:
        if not self._key:
            self._key = await self._catalog.secret(SECRET)
        return self._key


def _page(base: str, problem: str = "", status: int = 200) -> Response:
    told = f'<p role="alert"><strong>{escape(problem)}</strong></p>\n' if problem else ""
    return _answer(
        f"""<p>Log in to {escape(base)}/ for the <code>npm login</code> that you have just started. If you
have started none, somebody wants to act in your name: close this page.</p>
{told}<form method="post">
<p><label>User <input name="username" autocomplete="username" required autofocus></label></p>
<p><label>Password
<input name="password" type="password" autocomplete="current-password" required></label></p>
<p><button>Log in</button></p>
</form>""",
        status,
    )


def _answer(body: str, status: int = 200) -> Response:
    text = f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>npm login</title></head>
<body>
<h1>npm login</h1>
{body}
</body>
</html>
"""
    return Response(status, [NO_CACHE], Content(_HTML, text.encode()))
