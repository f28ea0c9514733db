"""Scopes of tokens, `repository:name:actions`: read strictly, since one that fits nothing opens nothing and
says so to nobody until a job fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Final, NamedTuple, cast

from nora.auth.tokens import SCOPED_ACTIONS
from nora.catalog.records import Token
from nora.errors import BadRequest, quoted
from nora.model import ROLES, Action, Role, Scope
from nora.patterns import path_matcher

_OTHER_WORDS: Final[dict[str, Action]] = {
    "pull": "read",
    "get": "read",
    "download": "read",
    "push": "write",
    "upload": "write",
    "publish": "write",
    "remove": "delete",
}


class Reached(NamedTuple):
    """How requests come to a repository."""

    name: str
    """The repository that they are decided about: that itself, or the group that it is behind."""
    fold: Callable[[str], str]
    """How names are spelled there (see `nora.formats.base.Format.fold`)."""
    has_paths: bool = False
    """Whether names have slashes there."""


def parse_scope(text: str) -> Scope:
    """`repository:name:actions`, as in `internal:team/*:read,write`; an empty repository or name is any.

    Raises BadRequest.
    """
    repository, _, rest = text.partition(":")
    name, colon, actions = rest.rpartition(":")
    wanted = frozenset(actions.split(","))
    if not colon or not wanted <= SCOPED_ACTIONS or not text.isprintable() or " " in text:
        *others, last = sorted(SCOPED_ACTIONS)
        raise BadRequest(
            f"a scope is repository:name:actions, as in internal:team/*:read,write, with actions of "
            f"{', '.join(others)} and {last}, not {quoted(text)!r}"
        )
    return Scope(repository or "**", name or "**", cast("frozenset[Action]", wanted))


def write_scope(scope: Scope) -> str:
    """A scope as `parse_scope` reads it."""
    return f"{scope.repository}:{scope.name}:{','.join(sorted(scope.actions))}"


def describe_token(token: Token) -> str:
    """A token for people and for the audit log: whose it is, what it may do, how long; not its secret."""
    ends = "until it is revoked"
    if token.expires_at is not None:
        ends = f"until {datetime.fromtimestamp(token.expires_at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    where = " ".join(map(write_scope, token.scopes)) or "everywhere"
    return f"token {token.id} of {token.user}, role {token.role}, {where}, {ends}"


class ScopeRules:
    """What the scopes of tokens may say here."""

    def __init__(self, repositories: Mapping[str, Reached]) -> None:
        """`repositories` are all there are, by name."""
        self._repositories = repositories
        self._names = list(dict.fromkeys(one.name for one in repositories.values()))

    def parse(self, text: str, role: Role) -> Scope:
        """A scope that may fit something, for a token of this role. Raises BadRequest with the right form."""
        try:
            scope = parse_scope(text)
        except BadRequest as error:
            raise BadRequest(f"{error}{self._meant(text)}") from None
        self.check((scope,), role)
        return scope

    def check(self, scopes: Iterable[Scope], role: Role) -> None:
        """Raises BadRequest when one of the scopes can fit nothing, or says more than the role may do."""
        for scope in scopes:
            self._check_place(scope)
            beyond = scope.actions - ROLES[role]
            if beyond and "write" not in ROLES[role]:
                raise BadRequest(
                    f"{write_scope(scope)} needs the role write, the token has the role {role}: say "
                    "--role write, or leave out what is no read"
                )

    def _check_place(self, scope: Scope) -> None:
        wanted = scope.repository
        if "*" in wanted:
            if not any(path_matcher(wanted).fullmatch(name) for name in self._names):
                raise BadRequest(f"the scope {write_scope(scope)} fits no repository; there are {self._all}")
            return
        found = self._repositories.get(wanted)
        if found is None:
            near = get_close_matches(wanted, self._names, n=1)
            hint = f"did you mean {write_scope(replace(scope, repository=near[0]))}?" if near else ""
            raise BadRequest(f"there is no repository {quoted(wanted)!r}; {hint or f'there are {self._all}'}")
        if found.name != wanted:
            right = write_scope(replace(scope, repository=found.name))
            raise BadRequest(f"no request names {wanted}, all go to {found.name}: say {right}")
        spelled = found.fold(scope.name)
        if spelled != scope.name:
            right = write_scope(replace(scope, name=spelled))
            raise BadRequest(f"{quoted(scope.name)} is spelled {quoted(spelled)} there: say {quoted(right)}")

    @property
    def _all(self) -> str:
        return ", ".join(sorted(self._names))

    def _meant(self, text: str) -> str:
        """`; did you mean internal:x:read?`, or nothing."""
        place, _, actions = "".join(text.split()).rpartition(":")
        repository, colon, name = place.partition(":")
        if not colon:  # one of the two is missing
            known = repository in self._repositories
            repository, name = (repository, "**") if known else (self._likely(repository), repository)
        words = {_action(word) for word in actions.split(",") if word}
        if not place or not words or not words <= SCOPED_ACTIONS:
            return ""
        meant = Scope(repository or "**", name or "**", cast("frozenset[Action]", frozenset(words)))
        return f"; did you mean {quoted(write_scope(meant))}?"

    def _likely(self, name: str) -> str:
        """A repository that may have such a name."""
        return next(
            (one.name for one in self._repositories.values() if one.has_paths and "/" in name), self._names[0]
        )


def _action(word: str) -> str:
    word = word.lower()
    near = get_close_matches(word, SCOPED_ACTIONS, n=1)
    return _OTHER_WORDS.get(word) or next(iter(near), word)
