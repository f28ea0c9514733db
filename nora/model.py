"""Small frozen values that cannot hold a bad value. Nothing here knows a protocol or does I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from nora._speedups import is_digest
from nora.errors import InvalidDigest, MethodNotAllowed


class Digest(str):
    """A content digest, `algorithm:encoded` in lower-case hexadecimal (OCI image-spec, descriptor.md).

    Registered algorithms only: sha256 and sha512. Raises InvalidDigest for anything else.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Digest:
        if not is_digest(text):
            raise InvalidDigest("expected sha256:<64 hex digits> or sha512:<128 hex digits>")
        return str.__new__(cls, text)

    @property
    def algorithm(self) -> str:
        """`sha256` or `sha512`."""
        return self[:6]

    @property
    def encoded(self) -> str:
        """The hexadecimal part."""
        return self[7:]


RepositoryKind = Literal["hosted", "proxy", "group"]

Action = Literal["read", "write", "untag", "delete", "admin"]
"""What a request wants to do. Setting or moving a tag, yanking and cancelling an upload are writes. Removing
a tag is `untag`, which a scope may allow without `delete`; removing a version, a manifest or a file is a
delete; tokens, users and upkeep are administration."""

ACTIONS: tuple[Action, ...] = get_args(Action)

EVENT_KINDS: Final = (
    "published",
    "tagged",
    "untagged",
    "deleted",
    "yanked",
    "unyanked",
    "deprecated",
    "undeprecated",
    "cached",
    "purged",
    "claimed",
    "released",
    "blocked",
    "unblocked",
)
"""What happens. `cached`: a version was fetched from an upstream for the first time; `purged`: what was
fetched has been removed. `claimed`, `released`: whose a name is. A format may have states of its own for
versions: a kind is then called after the state, or `un` and the state that was left."""

Role = Literal["read", "write", "admin"]

ROLES: dict[Role, frozenset[Action]] = {
    "read": frozenset({"read"}),
    "write": frozenset({"read", "write"}),
    "admin": frozenset(ACTIONS),
}
"""What each role may do."""

REMOVALS: frozenset[Action] = frozenset({"untag", "delete"})
"""What a scope may allow to the role `write` beyond the role."""

Method = Literal["anonymous", "password", "token", "session", "oidc", "login"]
"""How a principal proved who it is; `session` is a short-lived token of the token service, `oidc` a token of
a workload, `login` what an issuer said when somebody opened the web pages."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A part of the registry, and what may be done there.

    Patterns: `*` matches within a segment (up to the next `/`), `**` anything.
    """

    repository: str = "**"
    name: str = "**"
    actions: frozenset[Action] = frozenset({"read", "write"})
    """`delete` here lets a principal of the role `write` delete in this part, `untag` remove tags."""
    enforced: bool = True
    """False: what only this scope allows is allowed, and counted as what would have been denied."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking."""

    name: str
    method: Method
    role: Role
    scopes: tuple[Scope, ...] = ()
    """What the role is limited to; empty: not limited."""
    parent: str = ""
    """What it was made from: `token:<id>`, `user:<name>` or another ground (`nora.auth.grounds`); whoever
    revokes that revokes this."""
    ends_at: float | None = field(default=None, compare=False)
    """When the credential that was shown ends, in seconds since the epoch, if it says so itself: no session
    that it opens lives longer."""

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody said who is asking."""
        return self.method == "anonymous"


ANONYMOUS = Principal("anonymous", "anonymous", "read")


@dataclass(frozen=True, slots=True)
class Quota:
    """How much a hosted repository may hold; None: that is not limited."""

    bytes: int | None = None
    versions: int | None = None
    """And files that belong to no package."""


@dataclass(frozen=True, slots=True)
class RepositorySpec:
    """A repository as the configuration declares it. `members` and `target` name other repositories."""

    name: str
    format: str
    kind: RepositoryKind
    members: tuple[str, ...] = ()
    target: str | None = None
    sources: tuple[str, ...] = ()
    """Of a proxy: what its upstreams are told apart by, in the order in which they are asked."""
    quota: Quota | None = None

    def source_name(self, source: str) -> str:
        """The name of the repository that keeps what came from one of the sources. No declared name has a
        space."""
        return f"{self.name} {source}"


@dataclass(frozen=True, slots=True)
class Repository:
    """A place that packages live in. A group holds none of its own: it reads its members in order."""

    id: int
    name: str
    format: str
    kind: RepositoryKind
    members: tuple[Repository, ...] = ()
    """The members of a group, in the order in which they are read."""
    target: Repository | None = None
    """The hosted member of a group that takes its writes."""
    sources: tuple[Repository, ...] = ()
    """Of a proxy: a repository for each upstream, in the order in which they are asked. What came from one
    is in its rows alone, so that nothing of another is ever taken for it."""

    @property
    def readable(self) -> tuple[Repository, ...]:
        """Where a read looks, in order: the members of a group, else the repository itself."""
        return self.members if self.kind == "group" else (self,)

    @property
    def hosted(self) -> tuple[Repository, ...]:
        """The hosted repositories that are read, in order."""
        return tuple(one for one in self.readable if one.kind == "hosted")

    @property
    def hosted_ids(self) -> frozenset[int]:
        """The ids of those."""
        return frozenset(one.id for one in self.hosted)

    @property
    def proxied(self) -> tuple[Repository, ...]:
        """The upstreams that are read, in order."""
        return tuple(source for one in self.readable for source in one.sources)

    @property
    def row_ids(self) -> tuple[int, ...]:
        """The ids of all that is read, in order: hosted repositories and upstreams have rows."""
        return tuple(
            row.id for one in self.readable for row in (one.sources if one.kind == "proxy" else (one,))
        )

    @property
    def writable(self) -> Repository | None:
        """Where a write goes; None when the repository takes no writes."""
        return self.target if self.kind == "group" else self if self.kind == "hosted" else None

    def require_writable(self) -> Repository:
        """Where a write goes. Raises MethodNotAllowed when the repository takes no writes."""
        target = self.writable
        if target is None:
            why = "has what its upstreams have" if self.kind == "proxy" else "has no member that takes writes"
            raise MethodNotAllowed(
                ("GET", "HEAD"),
                f"the {self.kind} {self.name} takes no writes: it {why}; publish to a hosted repository, "
                "or to a group with one",
            )
        return target
