"""Users: who has a password, in the htpasswd file, and who has tokens. One place for the JSON API and the web
pages; `nora user` does the same to the file.

What a user may do is in the configuration (`auth.admin_users`, `auth.roles`), which no request changes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nora.auth.htpasswd import Htpasswd, remove_account, set_account
from nora.auth.passwords import hash_password
from nora.auth.tokens import Tokens, parse_user
from nora.errors import BadRequest, Conflict, NotFound, quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from nora.model import Principal, Role

COST: Final = 12
"""Of bcrypt: a quarter of a second of one core."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who has a password, or tokens."""

    name: str
    has_password: bool
    role: Role | None
    """What the password opens; None without one: each token has its own."""
    tokens: int
    last_used_at: float | None
    """When one of the tokens was last used."""


class Users:
    """The users of a server."""

    def __init__(
        self, path: Path, accounts: Htpasswd, tokens: Tokens, role_of: Callable[[str], Role]
    ) -> None:
        """`path` is the file, `accounts` what is read of it."""
        self.path = path
        self._accounts = accounts
        self._tokens = tokens
        self._role_of = role_of
        self._hashing = asyncio.Lock()

    @property
    def obstacle(self) -> str:
        """Why the file cannot be written; empty when it can: it is replaced as a whole, beside a lock."""
        path = self.path.resolve()
        if not path.parent.is_dir():
            return f"there is no folder {path.parent}"
        if not os.access(path.parent, os.W_OK | os.X_OK):
            return f"the server may not write in {path.parent}"
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            return f"the server may not write {path}"
        return "" if not os.path.ismount(path) else f"{path} is mounted by itself, and cannot be replaced"

    async def list(self) -> Sequence[User]:
        """All of them by name. Raises StorageFailed."""
        accounts = self._accounts.accounts if self._accounts.is_there else {}
        owners = {one.user: one for one in await self._tokens.owners()}
        found = []
        for name in sorted({*accounts, *owners}):
            role = self._role_of(name) if name in accounts else None
            owner = owners.get(name)
            count, last = (0, None) if owner is None else (owner.tokens, owner.last_used_at)
            found.append(User(name, name in accounts, role, count, last))
        return found

    async def find(self, name: str) -> User:
        """One of them. Raises NotFound."""
        for user in await self.list():
            if user.name == name:
                return user
        raise NotFound(f"there is no user {quoted(name)}")

    async def add(self, name: str, password: str) -> None:
        """Raises BadRequest, Conflict when there is one already, StorageFailed."""
        await self._set(parse_user(name), password, exists=False)

    async def set_password(self, name: str, password: str) -> None:
        """Sessions that were opened with the old one end; tokens stay. Raises NotFound, BadRequest,
        StorageFailed."""
        try:
            await self._set(parse_user(name), password, exists=True)
        except Conflict as error:
            raise NotFound(str(error)) from None

    async def remove(self, name: str, by: Principal) -> int:
        """End a user and all tokens of that name; how many these were. Nobody removes the account that they
        are here with. Raises NotFound, Conflict, StorageFailed."""
        if by.name == name and by.method == "password":
            raise Conflict("this is your own account; `nora user remove` on the machine itself ends it")
        found = await asyncio.to_thread(remove_account, self.path, name)
        revoked = await self._tokens.revoke_all(name)
        if not found and not revoked:
            raise NotFound(f"there is no user {quoted(name)}")
        return revoked

    async def _set(self, name: str, password: str, *, exists: bool) -> None:
        async with self._hashing:  # one at a time: others want the processor, too
            try:
                hashed = await asyncio.to_thread(hash_password, password, COST)
            except ValueError as error:
                raise BadRequest(str(error)) from None
            await asyncio.to_thread(set_account, self.path, name, hashed, exists=exists)
