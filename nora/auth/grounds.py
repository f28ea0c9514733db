"""What credentials rest on. A token ends with the account, the right or the token that it was made from.

    user:<role>:<name>    an account of the htpasswd file whose role is this one or a greater one
    token:<id>            an API token
    oidc:<provider>       a provider of workload identity that is switched on

What an operator makes on the machine itself rests on no more than the account of its user, if that had one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from nora.auth.htpasswd import Htpasswd
from nora.model import ROLES, Principal, Role

if TYPE_CHECKING:
    from nora.config import Config


class Grounds:
    """Tells whether grounds hold, but for tokens, which nora.auth.tokens knows."""

    def __init__(
        self, accounts: Htpasswd, role_of: Callable[[str], Role], providers: Iterable[str] = ()
    ) -> None:
        """`role_of` says the role of a user of the file."""
        self._accounts = accounts
        self._role_of = role_of
        self._providers = frozenset(providers)

    @classmethod
    def build(cls, config: Config, accounts: Htpasswd | None = None) -> Grounds:
        """As the configuration has them."""
        file = accounts or Htpasswd(config.auth.htpasswd_file)
        return cls(file, config.auth.role_of, (one.name for one in config.oidc.active))

    def hold(self, ground: str) -> bool:
        """Whether an account or a provider is still what it was. Raises StorageFailed."""
        kind, _, rest = ground.partition(":")
        if kind == "user":
            role, _, name = rest.partition(":")
            return name in self._accounts.accounts and covers(self._role_of(name), role)
        return kind == "oidc" and rest in self._providers

    def of_owner(self, user: str, role: Role) -> tuple[str, ...]:
        """For a token of a user with `role`: the user's account, if there is one, with as much of the role as
        it has now. Raises StorageFailed."""
        if not self._accounts.is_there or user not in self._accounts.accounts:
            return ()
        own = self._role_of(user)
        return (f"user:{role if covers(own, role) else own}:{user}",)


def of_maker(maker: Principal, role: Role) -> tuple[str, ...]:
    """The ground of a token that somebody makes over HTTP, who must have `role` for it."""
    if maker.method == "password":
        return (f"user:{role}:{maker.name}",)
    return (maker.parent,) if maker.parent else ()


def covers(role: str, wanted: str) -> bool:
    """Whether a role may do all that another one may."""
    return ROLES[wanted] <= ROLES[role]  # type: ignore[index]
