"""What the groups of a user who logs in by an issuer are good for: pure decisions over `[auth.oidc.login]`.

Whoever has logged in rests on a ground, `login:<hash>:<group>,<group>…`: the groups that counted, and a hash
of the issuer and of what they gave. When the configuration gives them something else, it no longer holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from nora.config.login import EVERYBODY, Grant, LoginSettings
from nora.model import REMOVALS, ROLES, Role, Scope

KIND: Final = "login"
"""Of the grounds."""
MOST_GROUPS: Final = 10_000
"""That are looked at, of those that an issuer tells."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a user may do."""

    role: Role
    scopes: tuple[Scope, ...]
    ground: str


class LoginRights:
    """What `[auth.oidc.login]` gives."""

    def __init__(self, settings: LoginSettings) -> None:
        self._settings = settings
        self._known = {one.group for one in settings.roles} | {*settings.allowed_groups}

    @property
    def token_seconds(self) -> int:
        """How long tokens of such users live at most."""
        return self._settings.token_ttl

    def of_groups(self, groups: Collection[str]) -> Rights | None:
        """The rights of the members of all these; None: they may not log in."""
        counted = sorted(self._known.intersection(groups) | {EVERYBODY})
        allowed = self._settings.allowed_groups
        grants = [one for one in self._settings.roles if one.group in counted]
        if not grants or (allowed and not set(allowed).intersection(counted)):
            return None
        role, scopes = _sum(grants)
        hashed = self._hash(role, scopes)
        return Rights(role, scopes, f"{KIND}:{hashed}:{','.join(quote(one, safe='') for one in counted)}")

    def of_ground(self, ground: str) -> Rights | None:
        """The rights that a ground stands for; None when it no longer holds."""
        kind, _, rest = ground.partition(":")
        if kind != KIND or self._settings.issuer is None:
            return None
        groups = [unquote(one) for one in rest.partition(":")[2].split(",")]
        found = self.of_groups(groups)
        return found if found is not None and found.ground == ground else None

    def _hash(self, role: Role, scopes: tuple[Scope, ...]) -> str:
        said = self._settings
        whole = (said.issuer, said.client_id, said.name_claim, said.namespace, role)
        parts = sorted((one.repository, one.name, sorted(one.actions)) for one in scopes)
        return hashlib.sha256(repr((whole, parts)).encode()).hexdigest()[:16]


def _sum(grants: list[Grant]) -> tuple[Role, tuple[Scope, ...]]:
    """The greatest role, and what limits it to what the grants allow together."""
    role = max((one.role for one in grants), key=lambda one: len(ROLES[one]))
    if any(one.role == role and not one.scopes for one in grants):
        return role, ()
    return role, tuple(dict.fromkeys(scope for one in grants for scope in _scopes(one)))


def _scopes(grant: Grant) -> Iterator[Scope]:
    """What a grant allows, as scopes of any role."""
    possible = ROLES[grant.role] | (REMOVALS if grant.role == "write" else frozenset())
    if not grant.scopes:
        yield Scope(actions=ROLES[grant.role])
    for scope in grant.scopes:
        if scope.actions & possible:
            yield Scope(scope.repository, scope.name, scope.actions & possible)
