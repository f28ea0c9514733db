"""Users: who has a password, and who has tokens; for administrators. One's own password: for who has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nora.auth.tokens import LONGEST_USER, parse_user
from nora.errors import BadRequest, Conflict, Denied, NoraError, NotFound, TooManyRequests, Unauthenticated
from nora.ui.forms import read_own_form

if TYPE_CHECKING:
    from blacksheep import Response

    from nora.auth.authenticator import Authenticator
    from nora.auth.browser import BrowserSessions
    from nora.auth.users import User, Users
    from nora.ui.forms import Form
    from nora.ui.shelves import Shelves
    from nora.ui.visit import Visit

_REFUSALS = (BadRequest, Conflict, NotFound)


class UserPages:
    """The pages."""

    def __init__(
        self,
        users: Users,
        shelves: Shelves,
        sessions: BrowserSessions,
        authenticator: Authenticator,
        *,
        enabled: bool,
    ) -> None:
        """`enabled`: whether anybody is asked who they are."""
        self._users = users
        self._shelves = shelves
        self._sessions = sessions
        self._authenticator = authenticator
        self._enabled = enabled

    async def page(self, visit: Visit) -> Response:
        """All users, and a form for a new one."""
        self._shelves.require_administrator(visit.principal)
        return await self._page(visit, did=visit.text("did", 16), about=visit.text("name", LONGEST_USER))

    async def add(self, visit: Visit) -> Response:
        """A new one."""
        form = await self._form(visit)
        name, password = form.text("name").strip(), form.text("password")
        try:
            name = parse_user(name)
            visit.audit("admin", f"add user {name}")
            _check_twice(password, form.text("again"))
            await self._users.add(name, password)
        except _REFUSALS as error:
            return await self._page(visit, problem=error, entered=name)
        return visit.redirect("users", did="added", name=name)

    async def ask_password(self, visit: Visit) -> Response:
        """A form for another password of somebody."""
        self._shelves.require_administrator(visit.principal)
        return visit.page("user_password.html", shown=await self._named(visit), problem="")

    async def set_password(self, visit: Visit) -> Response:
        """Another password."""
        form = await self._form(visit)
        user = await self._named(visit)
        visit.audit("admin", f"change the password of {user.name}")
        try:
            _check_twice(form.text("password"), form.text("again"))
            await self._users.set_password(user.name, form.text("password"))
        except _REFUSALS as error:
            return visit.page("user_password.html", status=error.status, shown=user, problem=str(error))
        return visit.redirect("users", did="changed", name=user.name)

    async def ask_removal(self, visit: Visit) -> Response:
        """What a removal will do."""
        self._shelves.require_administrator(visit.principal)
        return visit.page("user_remove.html", shown=await self._named(visit), problem="")

    async def remove(self, visit: Visit) -> Response:
        """The end of one."""
        await self._form(visit)
        user = await self._named(visit)
        visit.audit("admin", f"remove user {user.name}")
        try:
            await self._users.remove(user.name, visit.principal)
        except _REFUSALS as error:
            return visit.page("user_remove.html", status=error.status, shown=user, problem=str(error))
        return visit.redirect("users", did="removed", name=user.name)

    async def account(self, visit: Visit) -> Response:
        """Who a visitor is here, and a form for another password."""
        return self._account(visit)

    async def change(self, visit: Visit) -> Response:
        """Another password of one's own: for who knows the one before. It ends the session, too."""
        if not self._enabled or visit.principal.is_anonymous:
            raise Unauthenticated("log in to see this page")
        form = await read_own_form(visit, self._sessions)
        name = visit.principal.name
        if visit.principal.method != "password":
            raise Denied("you are not here with a password")
        visit.audit("admin", "change one's own password")
        try:
            proven = await self._authenticator.verify(visit.request, name, form.text("current"))
            if proven.method != "password":
                raise BadRequest("this is a token, not your password")
            _check_twice(form.text("password"), form.text("again"))
            await self._users.set_password(name, form.text("password"))
        except (*_REFUSALS, Unauthenticated, TooManyRequests) as error:
            return self._account(visit, str(error), error.status)
        visit.frame |= {"user": "", "form_key": "", "pages": (), "nav": ()}
        response = visit.page("password_changed.html")
        response.add_header(*await self._sessions.close(visit.request, is_tls=visit.is_tls))
        return response

    # -- what they share -----------------------------------------------------------------------------

    async def _form(self, visit: Visit) -> Form:
        self._shelves.require_administrator(visit.principal)
        if not self._enabled:
            raise Denied("authentication is off; see NORA_AUTH_ENABLED")
        return await read_own_form(visit, self._sessions)

    async def _named(self, visit: Visit) -> User:
        return await self._users.find(visit.text("name", LONGEST_USER))

    async def _page(
        self,
        visit: Visit,
        *,
        problem: NoraError | None = None,
        entered: str = "",
        did: str = "",
        about: str = "",
    ) -> Response:
        return visit.page(
            "users.html",
            status=200 if problem is None else problem.status,
            is_on=self._enabled,
            users=await self._users.list(),
            obstacle=self._users.obstacle,
            file=str(self._users.path),
            problem="" if problem is None else str(problem),
            entered=entered,
            did=did,
            about=about,
            longest_user=LONGEST_USER,
        )

    def _account(self, visit: Visit, problem: str = "", status: int = 200) -> Response:
        if not self._enabled or visit.principal.is_anonymous:
            raise Unauthenticated("log in to see this page")
        return visit.page(
            "account.html",
            status=status,
            principal=visit.principal,
            obstacle=self._users.obstacle,
            problem=problem,
        )


def _check_twice(password: str, again: str) -> None:
    if password != again:
        raise BadRequest("the two passwords are not the same")
