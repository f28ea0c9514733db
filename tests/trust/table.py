"""What the matrix of names and failures has to know of a format: a `Table`, each in a file of `tables`.

Everybody - the first source, the second, the one that has `names`, and we - has 1.0 of a name, each of other
bytes; what is later is at the second source only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import httpx

from tests.support.answers import Answer, Asked
from tests.support.upstream import Upstream

if TYPE_CHECKING:
    from tests.support.server import Server
    from tests.trust.sites import Outcome, Site

Role = Literal["first", "second", "partner", "ours"]
OURS: Role = "ours"
"""What was uploaded."""
EVERYBODY: frozenset[Role] = frozenset(("first", "second", "partner", OURS))
FAILED = "failed"
"""502, 503 or 504, whose body names the first source; or a body that breaks off."""
NOBODY = "nobody"
"""Nothing of anybody: 403, 404, an empty list."""
Kind = Literal["unknown", "pinned first", "pinned second", "reserved", "named", "claimed"]
KINDS: tuple[Kind, ...] = ("unknown", "pinned first", "pinned second", "reserved", "named", "claimed")
OPEN, SETTLED = KINDS[:3], KINDS[3:]
"""Names whose source depends on what the first one says, and names of which it is not asked at all."""
Path: TypeAlias = "str | Callable[[Case], str]"
"""Below the base of a format; `{name}` is filled in."""
Expected = tuple[Collection[str], Collection[str]]
"""Whose answers are right, and who may be asked."""


class Store(Protocol):
    """The contents of an upstream."""

    def mount(self, up: Upstream) -> None: ...

    def __call__(self, asked: Asked) -> Answer | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class What:
    """One of the things that clients ask for under a name."""

    path: Path
    fits: Callable[[Any, httpx.Response], bool]
    """Whether an answer is made of what somebody shows."""
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    is_none: Callable[[httpx.Response], bool] = lambda answer: False
    """Whether an answer of 200 says that there is nothing."""
    owners: Collection[Role] = EVERYBODY
    """Who has it."""
    kept: Collection[str] = (FAILED,)
    """What is right when a source fails that the name is known to be from."""
    warm: Sequence[Path] = ()
    """What are asked for before it, so that it is known where the name is from; empty: what the
    format says."""
    fails_at: str = ""
    """A part of the upstream's paths. There it fails, for the rest it is well."""
    kinds: Sequence[Kind] = KINDS
    rule: Callable[[Row], Expected | None] = lambda row: None
    """Where it is not as with everything else."""

    def alone(self, part: str, *kinds: Kind) -> What:
        """The same, when the upstream fails at nothing else."""
        return replace(self, fails_at=part, kinds=kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A format. What is set by default holds for those whose names are one segment of a path."""

    format: str
    store: Callable[[], Store]
    """Makes the contents of a site."""
    roots: Collection[str]
    """The first segments of its paths on a site."""
    name_of: Callable[[Sequence[str]], str]
    """The name that the segments of such a path are about; empty for none."""
    upstream: str
    """Behind the address of a site: what stands in `upstreams`."""
    base: str
    """Of its paths here; `{mount}` is empty, or `/r/<a group>`."""
    group: str = "/r/{format}-both"
    """What `{mount}` is for a group."""
    spelling: str = "{kind}-{number}"
    pattern: str = "{kind}-*"
    """Of the names of a kind, in the configuration."""
    settings: str = ""
    """More of its section."""
    stock: Callable[[Site, str, Role], Any]
    """Puts a name on a site that has a role; what is shown there."""
    publish: Callable[[Case], Any]
    """Puts a name here; what is shown of it."""
    warm: Sequence[Path]
    """What tells where a name is from."""
    whats: Mapping[str, What]
    """By title. The first one is tried in every way, also where there is time for few."""

    @property
    def first(self) -> str:
        """The title of the first thing."""
        return next(iter(self.whats))

    def named(self, kind: str) -> str:
        """The pattern of the names of a kind."""
        return self.pattern.format(kind=kind)


@dataclass(frozen=True, slots=True)
class Layout:
    """A repository of the server with two sources."""

    title: str
    is_swapped: bool
    """Whether it is a group, whose first source is the site on the right."""


LAYOUTS = (
    Layout("upstreams of one repository", is_swapped=False),
    Layout("members of a group", is_swapped=True),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One request about a name of its own."""

    table: Table
    layout: Layout
    kind: Kind
    outcome: Outcome
    title: str
    name: str

    def __str__(self) -> str:
        return (
            f"{self.table.format}, {self.layout.title}: {self.title} of a name that is {self.kind}, "
            f"first source {self.outcome}"
        )

    @property
    def what(self) -> What:
        return self.table.whats[self.title]

    @property
    def base(self) -> str:
        group = self.table.group.format(format=self.table.format)
        return self.table.base.format(mount=group if self.layout.is_swapped else "")


@dataclass(frozen=True, slots=True)
class Place:
    """The server, and its sites in the roles that they have in a layout."""

    server: Server
    http: httpx.Client
    first: Site
    second: Site
    partner: Site
    """It has `names`."""

    def of(self, layout: Layout) -> Place:
        """As a layout sees it."""
        return replace(self, first=self.second, second=self.first) if layout.is_swapped else self

    @property
    def roles(self) -> dict[Role, Site]:
        return {"first": self.first, "second": self.second, "partner": self.partner}


@dataclass(frozen=True, slots=True)
class Case:
    """A row at work."""

    row: Row
    place: Place
    shown: dict[Role, Any] = field(default_factory=dict)
    """What there is under the name."""

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def http(self) -> httpx.Client:
        return self.place.http

    def at(self, path: Path) -> str:
        """A path of the format."""
        below = path if isinstance(path, str) else path(self)
        return self.row.base + below.replace("{name}", self.name)


def sources(kind: Kind, outcome: Outcome) -> tuple[str, set[str]]:
    """The rules (a name has one source): whose the answer is, and who may hear of the name, by role."""
    failed = outcome not in ("found", "absent")
    match kind:
        case "unknown" if failed:
            return FAILED, {"first"}
        case "unknown" if outcome == "found":
            return "first", {"first"}
        case "pinned first" if failed:
            return "kept", {"first"}
        case "pinned first":
            return "first" if outcome == "found" else NOBODY, {"first"}
        case "pinned second" if outcome == "found":
            return "first", {"first"}
        case "unknown" | "pinned second":
            return "second", {"first", "second"}
        case "named":
            return "partner", {"partner"}
        case "claimed":
            return OURS, set()
    return NOBODY, set()


def expected(row: Row) -> Expected:
    """What the rules make of a row."""
    what = row.what
    if what.fails_at and row.outcome != "found":  # what names it says whose it is
        return {FAILED, NOBODY} if row.outcome == "absent" else {FAILED}, {"first"}
    if (said := what.rule(row)) is not None:
        return said
    whose, may = sources(row.kind, row.outcome)
    if whose == "kept":
        return what.kept, may
    if whose in EVERYBODY and whose not in what.owners:
        whose = NOBODY
    return {whose}, may
