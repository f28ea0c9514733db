"""Logging in and out, and what a visitor likes: language and colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nora.errors import BadRequest, TooManyRequests, Unauthenticated
from nora.ui.forms import read_form, read_own_form
from nora.ui.languages import NAMES
from nora.ui.visit import LANGUAGE_COOKIE, THEME_COOKIE, THEMES, inside

if TYPE_CHECKING:
    from blacksheep import Response

    from nora.auth.browser import BrowserSessions
    from nora.auth.login import Login
    from nora.ui.visit import Visit

LIKED_SECONDS: Final = 365 * 24 * 3600


class AccountPages:
    """The pages."""

    def __init__(self, sessions: BrowserSessions, login: Login | None, *, enabled: bool) -> None:
        """`login`: that by an issuer, if there is one. `enabled`: whether anybody is asked who they are."""
        self._sessions = sessions
        self._login = login
        self._enabled = enabled

    async def login(self, visit: Visit) -> Response:
        """The form to log in with."""
        if not self._enabled:
            return visit.redirect("")
        is_left = visit.text("left") == "issuer" and self._login is not None
        end = await self._login.end_address() if is_left and self._login is not None else None
        return self._form(visit, inside(visit.text("next", 2048)), end=end)

    async def submit(self, visit: Visit) -> Response:
        """Open a session, and go on to where the visitor wanted to be."""
        form = await read_form(visit)
        user, goal = form.text("username"), inside(form.text("next"))
        visit.audit("admin", "log in to the web pages")
        try:
            cookie = await self._sessions.open(
                visit.request, user, form.text("password"), is_tls=visit.is_tls
            )
        except (Unauthenticated, TooManyRequests) as error:
            return self._form(visit, goal, user=user, problem=str(error), status=error.status)
        return _with_cookie(_to(visit, goal), cookie)

    def _form(
        self,
        visit: Visit,
        goal: str,
        *,
        user: str = "",
        problem: str = "",
        status: int = 200,
        end: str | None = None,
    ) -> Response:
        """`end`: where the issuer lets somebody log out who has left here."""
        values = {"goal": goal, "entered": user, "problem": problem, "issuer": self._login, "end": end}
        return visit.page("login.html", status=status, **values)

    async def logout(self, visit: Visit) -> Response:
        """End the session; who came by the issuer is told that theirs goes on there."""
        await read_own_form(visit, self._sessions)
        visit.audit("admin", "log out of the web pages")
        principal = await self._sessions.identify(visit.request)
        left = "issuer" if principal.method == "login" else ""
        closed = await self._sessions.close(visit.request, is_tls=visit.is_tls)
        return _with_cookie(visit.redirect("login", left=left), closed)

    async def prefer(self, visit: Visit) -> Response:
        """Remember a language or a theme, and go back."""
        form = await read_form(visit)
        response = _to(visit, inside(form.text("back")))
        for cookie, name, known in ((LANGUAGE_COOKIE, "lang", NAMES), (THEME_COOKIE, "theme", THEMES)):
            value = form.text(name)
            if value and value not in known:
                raise BadRequest(f"{name} is one of {', '.join(known)}")
            if value:
                text = f"{cookie}={value}; Max-Age={LIKED_SECONDS}; HttpOnly; SameSite=Lax"
                _with_cookie(response, (b"set-cookie", text.encode()))
        return response


def _to(visit: Visit, goal: str) -> Response:
    """To a page of ours, as `inside` has it."""
    response = visit.redirect("")
    if goal:
        response.headers.set(b"location", (visit.root + goal).encode())
    return response


def _with_cookie(response: Response, cookie: tuple[bytes, bytes]) -> Response:
    response.add_header(*cookie)
    return response
