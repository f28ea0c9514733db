"""What credentials rest on. A token ends with the account, the right or the token that it was made from.

    user:<role>:<name>    an account of the htpasswd file whose role is this one or a greater one
    token:<id>            an API token
    oidc:<provider>       a provider of workload identity that is switched on
    login:<hash>:<groups> what an issuer says of who logs in, and what that is good for

What an operator makes on the machine itself rests on no more than the account of its user, if that had one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from nora.auth.htpasswd import Htpasswd
from nora.auth.login_rights import KIND as LOGIN
from nora.auth.login_rights import LoginRights
from nora.config.login import LoginSettings
from nora.model import ROLES, Principal, Role

if TYPE_CHECKING:
    from nora.config import Config


class Grounds:
    """Tells whether grounds hold, but for tokens, which nora.auth.tokens knows."""

    def __init__(
        self,
        accounts: Htpasswd,
        role_of: Callable[[str], Role],
        providers: Iterable[str] = (),
        logins: LoginRights | None = None,
    ) -> None:
        """`role_of` says the role of a user of the file, `logins` what those may do who log in by an
        issuer."""
        self._accounts = accounts
        self._role_of = role_of
        self._providers = frozenset(providers)
        self.logins = logins or LoginRights(LoginSettings())

    @classmethod
    def build(cls, config: Config, accounts: Htpasswd | None = None) -> Grounds:
        """As the configuration has them."""
        file = accounts or Htpasswd(config.auth.htpasswd_file)
        providers = (one.name for one in config.oidc.active)
        return cls(file, config.auth.role_of, providers, LoginRights(config.login))

    def hold(self, ground: str) -> bool:
        """Whether an account or a provider is still what it was. Raises StorageFailed."""
        kind, _, rest = ground.partition(":")
        if kind == "user":
            role, _, name = rest.partition(":")
            return name in self._accounts.accounts and covers(self._role_of(name), role)
        if kind == LOGIN:
            return self.logins.of_ground(ground) is not None
        return kind == "oidc" and rest in self._providers

    def has_account(self, name: str) -> bool:
        """Whether the file has a user of this name. Raises StorageFailed."""
        return self._accounts.is_there and name in self._accounts.accounts

    def longest(self, grounds: Iterable[str]) -> int | None:
        """How many seconds a token with these grounds lives at most; None: as long as anybody likes."""
        return self.logins.token_seconds if any(one.startswith(f"{LOGIN}:") for one in grounds) else None

    def of_owner(self, user: str, role: Role) -> tuple[str, ...]:
        """For a token of a user with `role`: the user's account, if there is one, with as much of the role as
        it has now. Raises StorageFailed."""
        if not self.has_account(user):
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
