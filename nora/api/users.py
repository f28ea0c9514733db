"""Users, for administrators: who has a password, and who has tokens. As the pages, by `nora.auth.users`.

    GET    /api/v1/admin/users?after=&limit=    by name
    POST   /api/v1/admin/users                  {username, password}
    PATCH  /api/v1/admin/users/{user}           {password}
    DELETE /api/v1/admin/users/{user}           with all tokens of that name

A password comes in, and nothing of it goes out: neither into an answer nor into the audit log.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TypedDict

from nora.api.finder import after_of
from nora.auth.api import OFF, is_off
from nora.auth.tokens import parse_user
from nora.http.fields import PAGING, json_endpoint, read_fields, read_limit, text_of
from nora.http.router import Endpoint
from nora.model import Action, Role

if TYPE_CHECKING:
    from nora.api.call import Call
    from nora.auth.users import User, Users

MOST_LISTED: Final = 1000
_ALL, _ONE = "/api/v1/admin/users", "/api/v1/admin/users/{user...}"


class UserShown(TypedDict):
    """Somebody who has a password, or tokens."""

    name: str
    has_password: bool
    role: Role | None
    """What the password opens; null without one: each token has its own."""
    tokens: int
    last_used: int | None
    """When one of the tokens was last used, in seconds since the epoch."""


class UsersShown(TypedDict):
    """Users, by their names."""

    users: list[UserShown]
    after: str | None
    """Where to go on; null on the last page."""
    obstacle: str | None
    """Why no password can be changed by the server; null: it can."""


class NewUser(TypedDict):
    """Somebody who shall have a password. What they may do is in the configuration."""

    username: str
    password: str
    """Of 1 to 72 bytes."""


class NewPassword(TypedDict):
    """Another password of somebody."""

    password: str
    """Of 1 to 72 bytes."""


class UserNamed(TypedDict):
    """Whom it was about."""

    username: str


class RemovedUser(TypedDict):
    """Who is none any more."""

    username: str
    revoked: int
    """How many tokens ended as well."""


class UserApi:
    """The endpoints."""

    def __init__(self, users: Users, *, enabled: bool) -> None:
        """`enabled`: whether anybody is asked who they are."""
        self._users = users
        self._enabled = enabled

    def endpoints(self) -> Iterator[Endpoint[Call]]:
        """For administrators."""
        if not self._enabled:
            for methods, path in (("GET HEAD POST", _ALL), ("PATCH DELETE", _ONE)):
                yield Endpoint(methods, path, None, is_off, told=OFF)
            return
        admin: Action = "admin"
        yield json_endpoint("GET HEAD", _ALL, admin, UsersShown, self._list, query=PAGING)
        yield json_endpoint("POST", _ALL, admin, UserNamed, self._add, body=NewUser, errors=(409,))
        yield json_endpoint("PATCH", _ONE, admin, UserNamed, self._set_password, body=NewPassword)
        yield json_endpoint("DELETE", _ONE, admin, RemovedUser, self._remove, errors=(409,))

    async def _list(self, call: Call) -> UsersShown:
        """List the users."""
        after, limit = after_of(call), read_limit(call, MOST_LISTED)
        found = [one for one in await self._users.list() if one.name > after]
        return {
            "users": [_shown(one) for one in found[:limit]],
            "after": found[limit - 1].name if len(found) > limit else None,
            "obstacle": self._users.obstacle or None,
        }

    async def _add(self, call: Call) -> UserNamed:
        """Add a user with a password."""
        fields = await read_fields(call.request, NewUser)
        name, password = parse_user(text_of(fields, "username")), text_of(fields, "password")
        call.audit("admin", f"add user {name}")
        await self._users.add(name, password)
        return {"username": name}

    async def _set_password(self, call: Call) -> UserNamed:
        """Change the password of a user. Sessions that were opened with the old one end; tokens stay."""
        name = parse_user(call.value("user"))
        call.audit("admin", f"change the password of {name}")
        fields = await read_fields(call.request, NewPassword)
        await self._users.set_password(name, text_of(fields, "password"))
        return {"username": name}

    async def _remove(self, call: Call) -> RemovedUser:
        """Remove a user and revoke all tokens of that name."""
        name = parse_user(call.value("user"))
        call.audit("admin", f"remove user {name}")
        return {"username": name, "revoked": await self._users.remove(name, call.principal)}


def _shown(user: User) -> UserShown:
    return {
        "name": user.name,
        "has_password": user.has_password,
        "role": user.role,
        "tokens": user.tokens,
        "last_used": None if user.last_used_at is None else int(user.last_used_at),
    }
