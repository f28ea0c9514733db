"""Who is looking at a web page: a session in a cookie, opened with a password, an API token, or by an issuer.

    nora_session=<JWT>; HttpOnly; SameSite=Lax; Secure

The cookie has no path of its own, so that it has the one of the login page, whatever is in front of that: it
is sent to the pages and to no client's mount. It ends with what it was opened with, when somebody logs out,
and after some hours. A form that changes something has the session's form key in it beside (`nora.http.sites`
has looked at where the request comes from before).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any, Final, cast

from nora.auth.sessions import NOTHING
from nora.errors import Denied, Unauthenticated
from nora.model import ANONYMOUS, Principal

if TYPE_CHECKING:
    from blacksheep import Request

    from nora.auth.authenticator import Authenticator
    from nora.auth.sessions import Session
    from nora.auth.tokens import Tokens

COOKIE: Final = "nora_session"
LIFETIME_SECONDS: Final = 12 * 3600
LONGEST_COOKIES: Final = 16 * 1024
"""Bytes of all cookies of a request; nobody looks into more."""

LONGEST_COOKIE: Final = 3800
"""Characters of one that every browser keeps: 4096 with its name and what is said of it (RFC 6265, 6.1)."""

Header = tuple[bytes, bytes]


class BrowserSessions:
    """The sessions of people who look at pages."""

    def __init__(self, authenticator: Authenticator, tokens: Tokens) -> None:
        self._authenticator = authenticator
        self._tokens = tokens

    async def identify(self, request: Request) -> Principal:
        """Who is looking: by the cookie, else by what a program sends; ANONYMOUS also for what is over, since
        whoever had a session may log in again. Raises StorageFailed."""
        session = self._session(request)
        if session is None:
            return await self._authenticator.identify(request, allow_foreign=True)
        if await self._tokens.has_ended(session):
            return ANONYMOUS
        principal = await self._authenticator.renew(session.holder)
        if principal is None:
            return ANONYMOUS
        cast("dict[str, Any]", request.scope)["nora.principal"] = principal
        return principal

    async def open(self, request: Request, user: str, password: str, *, is_tls: bool) -> Header:
        """The header that opens a session. Raises Unauthenticated, TooManyRequests, StorageFailed."""
        principal = await self._authenticator.verify(request, user, password)
        if principal.method not in ("password", "token"):
            raise Unauthenticated("log in with a password or an API token")
        text = self._authenticator.sessions.mint_browser(principal, LIFETIME_SECONDS)
        return set_cookie(COOKIE, text, LIFETIME_SECONDS, is_tls=is_tls)

    def open_login(self, principal: Principal, seconds: int, *, path: str, is_tls: bool) -> Header:
        """The header that opens a session of somebody whom an issuer has let in. It says by what they are let
        in, and not what they may do, which is found out each time. Raises Denied."""
        text = self._authenticator.sessions.mint_browser(replace(principal, scopes=NOTHING), seconds)
        if len(text) > LONGEST_COOKIE:
            raise Denied("too many groups give rights here, more than a cookie can name: say it by fewer")
        return set_cookie(COOKIE, text, seconds, path=path, is_tls=is_tls)

    async def close(self, request: Request, *, is_tls: bool) -> Header:
        """End the session of a request, everywhere; the header that makes its browser forget it."""
        session = self._session(request)
        if session is not None:
            await self._tokens.end_session(session)
        return set_cookie(COOKIE, "", 0, is_tls=is_tls)

    def form_key(self, request: Request) -> str:
        """What the forms of a session carry: only its own pages know it. Empty without a session."""
        session = self._session(request)
        return "" if session is None else _form_key(session)

    def check_form(self, request: Request, key: str) -> None:
        """Raises Denied unless a form of a session has its key."""
        if not hmac.compare_digest(self.form_key(request).encode(), key.encode()):
            raise Denied("this form is of another session: load the page again")

    def _session(self, request: Request) -> Session | None:
        if not self._authenticator.enabled:
            return None
        text = read_cookies(request).get(COOKIE)
        try:
            return self._authenticator.sessions.read_browser(text) if text else None
        except Unauthenticated:
            return None


def read_cookies(request: Request) -> dict[str, str]:
    """The cookies of a request; what is none is left out."""
    values = [value for name, value in request.scope["headers"] if name == b"cookie"]
    text = b"; ".join(values).decode("latin-1")
    if not text or len(text) > LONGEST_COOKIES:
        return {}
    try:
        return {name: one.value for name, one in SimpleCookie(text).items()}
    except CookieError:
        return {}


def _form_key(session: Session) -> str:
    return hashlib.sha256(b"form " + session.id.encode()).hexdigest()[:32]


def set_cookie(name: str, value: str, seconds: int, *, is_tls: bool, path: str = "") -> Header:
    """A cookie that no script reads, for some seconds; without a path for what is beside the page."""
    where = f"; Path={path}" if path else ""
    secure = "; Secure" if is_tls else ""
    return b"set-cookie", f"{name}={value}; Max-Age={seconds}; HttpOnly; SameSite=Lax{where}{secure}".encode()
