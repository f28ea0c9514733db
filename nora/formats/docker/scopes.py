"""What a client asks of the token service, `repository:team/app:pull,push`, and what of it a principal gets.

The grammar is that of distribution's token specification (Token Scope Documentation): a list separated by
spaces, each `type[(class)]:name:action,…`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nora.auth.access import Access
from nora.errors import BadRequest, InvalidName
from nora.formats.docker.names import Images
from nora.model import ACTIONS, REMOVALS, Action, Principal, Scope

MAX_SCOPES = 64
MAX_CHARACTERS = 4096
"""Of all scopes together: they are part of the token, which is part of every request."""

CATALOG = "registry:catalog:*"
"""To list the names of images (distribution, `_catalog`)."""

_VERBS: dict[Action, str] = {"read": "pull", "write": "push", "delete": "delete"}
"""What clients call what may be done. They know of no action that is for tags alone: who asks to delete asks
for that as well."""
_ACTIONS: dict[str, frozenset[Action]] = {
    **{verb: frozenset({action}) for action, verb in _VERBS.items()},
    "delete": REMOVALS,
    "*": REMOVALS.union(_VERBS),
}
_READ: frozenset[Action] = frozenset({"read"})
_NEEDED: dict[Action, frozenset[Action]] = {"read": _READ, "write": frozenset({"read", "write"})}


@dataclass(frozen=True, slots=True)
class Asked:
    """One resource of a token request."""

    type: str
    name: str
    actions: frozenset[Action]


@dataclass(frozen=True, slots=True)
class Granted:
    """What a session gets of what was asked: as scopes, and as the client reads it."""

    access: tuple[Scope, ...]
    text: str
    whole: bool
    """Whether this is all of it."""


def parse_scopes(texts: Iterable[str]) -> list[Asked]:
    """What the `scope` parameters ask for; types and actions that mean nothing here are left out.

    Raises BadRequest for more or longer scopes than any client sends.
    """
    words = [word for text in texts for word in text.split()]
    if len(words) > MAX_SCOPES or sum(map(len, words)) > MAX_CHARACTERS:
        raise BadRequest(f"at most {MAX_SCOPES} scopes, of {MAX_CHARACTERS} characters together")
    return [asked for word in words if (asked := _parse(word)) is not None]


def _parse(word: str) -> Asked | None:
    kind, _, rest = word.partition(":")
    name, _, verbs = rest.rpartition(":")
    actions = frozenset[Action]().union(*(_ACTIONS.get(verb, ()) for verb in verbs.split(",")))
    return Asked(kind.partition("(")[0], name, actions) if actions else None


def render_scope(name: str, actions: Iterable[Action]) -> str:
    """`repository:name:pull,push`."""
    held = frozenset(actions) & _VERBS.keys()
    return f"repository:{name}:{','.join(_VERBS[action] for action in ACTIONS if action in held)}"


def needed_scope(name: str, action: Action) -> str:
    """What a client has to ask for to do `action`: who writes or deletes reads as well."""
    return render_scope(name, _NEEDED.get(action, _VERBS))


def grant(asked: Iterable[Asked], principal: Principal, access: Access, images: Images) -> Granted:
    """The part of what was asked that `principal` may do now. A part is no error."""
    scopes: list[Scope] = []
    texts: list[str] = []
    whole = True
    for one in asked:
        if (one.type, one.name) == ("registry", "catalog"):
            listed = _listing(principal, access, images)
            scopes += listed
            texts += [CATALOG] if listed else []
            whole = whole and bool(listed)
            continue
        found = _granted(one, principal, access, images) if one.type == "repository" else None
        if found is not None:
            scopes.append(found)
            texts.append(render_scope(one.name, found.actions))
        whole = whole and found is not None and found.actions == one.actions
    return Granted(tuple(scopes), " ".join(texts), whole)


def _granted(asked: Asked, principal: Principal, access: Access, images: Images) -> Scope | None:
    try:
        image = images.resolve(asked.name)
    except InvalidName:
        return None
    repository, package = image.repository, image.package
    if not package:
        return None
    held = frozenset(one for one in asked.actions if access.decide(principal, one, repository, package))
    return Scope(repository.name, package, held) if held else None


def _listing(principal: Principal, access: Access, images: Images) -> list[Scope]:
    """A listing shows what the principal may read: the session may read that, and no more. Nobody unknown
    gets a part of it."""
    if principal.is_anonymous and not all(map(access.readable_by_all, images.repositories)):
        return []
    if principal.scopes:
        return [Scope(one.repository, one.name, _READ) for one in principal.scopes if "read" in one.actions]
    return [
        Scope(repository.name, actions=_READ)
        for repository in images.repositories
        if access.decide(principal, "read", repository, None)
    ]
