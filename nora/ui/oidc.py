"""Login by an issuer: to it, and back from it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from blacksheep import Response

from nora.auth.browser import read_cookies, set_cookie
from nora.auth.login import COOKIE, LIFETIME_SECONDS, LONGEST_CODE, Login, LoginRefused, cookie_name
from nora.errors import NotFound
from nora.ui.visit import inside

if TYPE_CHECKING:
    from nora.auth.browser import BrowserSessions
    from nora.ui.visit import Visit

_log = logging.getLogger(__name__)

MOST_BEGUN: Final = 8
"""Logins that a browser may have begun: those before are forgotten."""
_NO_STORE = (b"cache-control", b"no-store")
_STATUS: Final = {"begun": 400, "failed": 502, "unreachable": 502}


class OidcPages:
    """The pages."""

    def __init__(self, sessions: BrowserSessions, login: Login | None) -> None:
        """`login`: None where there is none."""
        self._sessions = sessions
        self._login = login

    async def begin(self, visit: Visit) -> Response:
        """To the issuer."""
        login, goal = self._known(), inside(visit.text("next", 2048))
        try:
            begun = await login.begin(goal)
        except LoginRefused as error:
            return self._refused(visit, login, error, goal)
        response = Response(303, [_NO_STORE, (b"location", begun.url.encode())])
        others = [name for name in read_cookies(visit.request) if name.startswith(COOKIE)]
        for name in others[: max(0, len(others) - MOST_BEGUN + 1)]:
            _keep(response, login, name, "", 0)
        return _keep(response, login, begun.cookie, begun.value, LIFETIME_SECONDS)

    async def finish(self, visit: Visit) -> Response:
        """Back from the issuer: open a session, and go on to where the visitor wanted to be."""
        login = self._known()
        visit.audit("admin", "log in to the web pages by an issuer")
        names = ("state", "code", "iss", "error")
        answer = {name: visit.text(name, LONGEST_CODE + 1) for name in names if visit.parameter(name)}
        try:
            principal, goal, cookie = await login.finish(answer, read_cookies(visit.request))
        except LoginRefused as error:
            refused = self._refused(visit, login, error, "")
            return _keep(refused, login, cookie_name(answer.get("state", "")), "", 0)
        opened = self._sessions.open_login(
            principal, login.session_seconds, path=login.path, is_tls=login.is_tls
        )
        visit.scope["nora.principal"] = principal
        response = Response(303, [_NO_STORE, (b"location", (visit.root + goal).encode()), opened])
        return _keep(response, login, cookie, "", 0)

    def _known(self) -> Login:
        if self._login is None:
            raise NotFound("there is no login by an issuer here; see auth.oidc.login")
        return self._login

    def _refused(self, visit: Visit, login: Login, error: LoginRefused, goal: str) -> Response:
        """What happened, and what to do."""
        _log.warning("a login by %s came to nothing: %s", login.host, error)
        status = _STATUS.get(error.problem, 403)
        return visit.page(
            "refused.html", status=status, kind=error.problem, host=login.host, goal=goal, here="login"
        )


def _keep(response: Response, login: Login, name: str, value: str, seconds: int) -> Response:
    response.add_header(*set_cookie(name, value, seconds, path=login.path, is_tls=login.is_tls))
    return response
