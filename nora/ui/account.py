"""Logging in and out, and what a visitor likes: language and colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nora.errors import BadRequest, TooManyRequests, Unauthenticated
from nora.http.body import read_body
from nora.http.context import Parameters, parse_parameters
from nora.ui.languages import NAMES
from nora.ui.visit import LANGUAGE_COOKIE, THEME_COOKIE, THEMES, inside

if TYPE_CHECKING:
    from blacksheep import Response

    from nora.auth.browser import BrowserSessions
    from nora.ui.visit import Visit

LARGEST_FORM: Final = 16 * 1024
LIKED_SECONDS: Final = 365 * 24 * 3600


class AccountPages:
    """The pages."""

    def __init__(self, sessions: BrowserSessions, *, enabled: bool) -> None:
        """`enabled`: whether anybody is asked who they are."""
        self._sessions = sessions
        self._enabled = enabled

    async def login(self, visit: Visit) -> Response:
        """The form."""
        if not self._enabled:
            return visit.redirect("")
        return self._form(visit, inside(visit.text("next", 2048)))

    async def submit(self, visit: Visit) -> Response:
        """Open a session, and go on to where the visitor wanted to be."""
        form = await _read_form(visit)
        user, goal = _field(form, "username"), inside(_field(form, "next"))
        visit.audit("admin", "log in to the web pages")
        try:
            cookie = await self._sessions.open(
                visit.request, user, _field(form, "password"), is_tls=visit.is_tls
            )
        except (Unauthenticated, TooManyRequests) as error:
            return self._form(visit, goal, user=user, problem=str(error), status=error.status)
        return _with_cookie(_to(visit, goal), cookie)

    def _form(
        self, visit: Visit, goal: str, *, user: str = "", problem: str = "", status: int = 200
    ) -> Response:
        return visit.page("login.html", status=status, goal=goal, entered=user, problem=problem)

    async def logout(self, visit: Visit) -> Response:
        """End the session."""
        form = await _read_form(visit)
        self._sessions.check_form(visit.request, _field(form, "key"))
        visit.audit("admin", "log out of the web pages")
        return _with_cookie(
            visit.redirect("login"), await self._sessions.close(visit.request, is_tls=visit.is_tls)
        )

    async def prefer(self, visit: Visit) -> Response:
        """Remember a language or a theme, and go back."""
        form = await _read_form(visit)
        response = _to(visit, inside(_field(form, "back")))
        for cookie, name, known in ((LANGUAGE_COOKIE, "lang", NAMES), (THEME_COOKIE, "theme", THEMES)):
            value = _field(form, name)
            if value and value not in known:
                raise BadRequest(f"{name} is one of {', '.join(known)}")
            if value:
                text = f"{cookie}={value}; Max-Age={LIKED_SECONDS}; HttpOnly; SameSite=Lax"
                _with_cookie(response, (b"set-cookie", text.encode()))
        return response


async def _read_form(visit: Visit) -> Parameters:
    return parse_parameters(await read_body(visit.request, LARGEST_FORM))


def _field(form: Parameters, name: str) -> str:
    return next(iter(form.get(name, ())), "")[:4096]


def _to(visit: Visit, goal: str) -> Response:
    """To a page of ours, as `inside` has it."""
    response = visit.redirect("")
    if goal:
        response.headers.set(b"location", (visit.root + goal).encode())
    return response


def _with_cookie(response: Response, cookie: tuple[bytes, bytes]) -> Response:
    response.add_header(*cookie)
    return response
