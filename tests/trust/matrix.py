"""Every kind of name at every outcome of the first source: who answers, and who hears of the name.

A `Row` is one request; `sources` says what the rules make of it. All rows of a matrix are prepared, then
asked at once, each about a name of its own. What failed for an unknown name is asked again when the first
source is well: nothing of another's may have been kept. What is wrong is told as a list of rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Literal, Protocol

import httpx

from tests.support.answers import Asked
from tests.support.server import Server, running
from tests.trust.sites import FAILURES, Fault, Outcome, Shown, Site, sites

Kind = Literal["unknown", "pinned first", "pinned second", "reserved", "named", "claimed"]
KINDS: tuple[Kind, ...] = ("unknown", "pinned first", "pinned second", "reserved", "named", "claimed")
OPEN, SETTLED = KINDS[:3], KINDS[3:]
"""Names whose source depends on what the first one says, and names of which it is not asked at all."""
OUTCOMES: tuple[Outcome, ...] = ("found", "absent", *FAILURES)
FEW: tuple[Outcome, ...] = ("found", "500")
FAILED = "failed"
"""502, 503 or 504, whose body names the first source; or a body that breaks off."""
NOBODY = "nobody"
"""Nothing of anybody: 403, 404, an empty list."""
OURS = "ours"
"""What was uploaded."""
AT_ONCE = 12
MOST_SHOWN = 100

CONFIG = """
[proxy]
mode = "online"
retries = 0
absent_ttl = 0
connect_timeout = {seconds}
read_timeout = {seconds}
timeout = {seconds}
reserved = ["reserved-*", "reserved/**"]
[circuit_breaker]
enabled = false
[pypi]
metadata_ttl = 0
proxy_timeout = {seconds}
upstreams = ["{left}/simple", "{right}/simple", {{ url = "{partner}/simple", names = ["named-*"] }}]
[cargo]
metadata_ttl = 0
proxy_timeout = {seconds}
upstreams = ["{left}/crates", "{right}/crates", {{ url = "{partner}/crates", names = ["named-*"] }}]
[npm]
metadata_ttl = 0
proxy_timeout = {seconds}
upstreams = ["{left}/reg", "{right}/reg", {{ url = "{partner}/reg", names = ["named-*"] }}]
[docker]
metadata_ttl = 0
proxy_timeout = {seconds}
read_timeout = {seconds}
upstreams = ["{left}", "{right}", {{ url = "{partner}", names = ["named/**"] }}]
"""
PROXY = """
[repositories.{format}-{site}]
format = "{format}"
kind = "proxy"
upstreams = [{{ url = "{url}", {more} }}]
"""
GROUP = """
[repositories.{format}-mine]
format = "{format}"
[repositories.{format}-both]
format = "{format}"
kind = "group"
members = ["{format}-mine", "{format}-right", "{format}-left", "{format}-partner"]
writes = "{format}-mine"
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """A repository of the server with two sources, and where it is."""

    title: str
    index: str
    """In front of `/simple/`."""
    packages: str
    """In front of `/npm/`."""
    images: str
    """In front of the name of an image."""
    is_swapped: bool
    """Whether its first source is the site on the right."""

    @property
    def crates(self) -> str:
        """In front of `/cargo/`."""
        return "/r/cargo-both" if self.is_swapped else ""


LAYOUTS = (
    Layout("upstreams of one repository", "", "", "", is_swapped=False),
    Layout("members of a group", "/r/pypi-both", "/r/npm-both", "docker-both/", is_swapped=True),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One request about a name of its own."""

    layout: Layout
    kind: Kind
    outcome: Outcome
    what: str
    name: str

    def __str__(self) -> str:
        return f"{self.layout.title}: {self.what} of a name that is {self.kind}, first source {self.outcome}"


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
    def roles(self) -> dict[str, Site]:
        return {"first": self.first, "second": self.second, "partner": self.partner}


@dataclass(frozen=True, slots=True)
class Case:
    """A row at work."""

    row: Row
    place: Place
    shown: dict[str, Shown] = field(default_factory=dict)
    """What there is under the name, by role; `ours` for what was uploaded."""

    @property
    def http(self) -> httpx.Client:
        return self.place.http

    def whose(self, fits: Callable[[Shown], bool]) -> str:
        """The role of who shows this."""
        return next((role for role, shown in self.shown.items() if fits(shown)), "of several or of nobody")


@contextmanager
def placed(folder: Path, seconds: int = 20) -> Iterator[Place]:
    """Two workers: what one of them has learnt, the other knows. A site may be silent for `seconds`."""
    with ExitStack() as stack:
        found = stack.enter_context(sites("left", "right", "partner"))
        urls = {site.name: site.up.url for site in found}
        text = CONFIG.format(**urls, seconds=seconds)
        for kind, path, names in (
            ("pypi", "/simple", '"named-*"'),
            ("cargo", "/crates", '"named-*"'),
            ("npm", "/reg", '"named-*"'),
            ("docker", "", '"named/**"'),
        ):
            for name, url in urls.items():
                more = f"names = [{names}]" if name == "partner" else "names = []"
                text += PROXY.format(format=kind, site=name, url=url + path, more=more)
            text += GROUP.format(format=kind)
        (folder / "config.toml").write_text(text)
        env = {"NORA_CONFIG_PATH": str(folder / "config.toml"), "NORA_PROXY_MODE": "online"}
        server = stack.enter_context(running(folder, workers=2, env=env))
        limits = httpx.Limits(max_connections=AT_ONCE)
        http = httpx.Client(base_url=server.url, timeout=30, trust_env=False, limits=limits)
        yield Place(server, stack.enter_context(http), *found)


class Client(Protocol):
    """What a matrix does for a case."""

    def stock(self, case: Case) -> None:
        """Put the name on all sites, and into the registry when it is claimed."""
        ...

    def warm(self, case: Case) -> None:
        """Ask for something of the name, so that it is known where it comes from."""
        ...

    def ask(self, case: Case) -> tuple[str, str]:
        """Whose bytes came - a role, NOBODY, FAILED - and the text of a failure."""
        ...


def rows(
    kinds: Iterable[Kind],
    outcomes: Iterable[Outcome],
    whats: Sequence[str],
    spell: Callable[[Kind, int], str],
) -> list[Row]:
    """The product, each with a name that `spell` makes of its kind and a number."""
    numbers = count(next(_blocks) * 10_000)
    outcomes = tuple(outcomes)
    return [
        Row(layout, kind, outcome, what, spell(kind, next(numbers)))
        for layout in LAYOUTS
        for kind in kinds
        for outcome in outcomes
        for what in whats
    ]


_blocks = count(1)


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


def check(
    place: Place,
    client: Client,
    table: Sequence[Row],
    expected: Callable[[Row], tuple[set[str], set[str]]],
    during: Callable[[], None] = lambda: None,
) -> None:
    """An AssertionError with the rows that do not hold.

    `expected` gives by role whose answers are right, and who may be asked; `during` happens between the
    preparation and the requests.
    """
    cases = [Case(row, place.of(row.layout)) for row in table]
    for case in cases:
        client.stock(case)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda case: _prepare(client, case), cases))
        since = time.monotonic()
        during()
        answers = list(pool.map(client.ask, cases))
        later = [again for case in cases if (again := _recovered(case)) is not None]
        answers += list(pool.map(client.ask, later))
    cases += later
    asked = {site.name: site.by_name(since) for site in place.roles.values()}
    found = [
        f"{case.row} ({case.row.name}): {wrong}"
        for case, (whose, text) in zip(cases, answers, strict=True)
        for wrong in _judge(case, whose, text, expected(case.row), asked)
    ]
    assert not found, "\n".join([f"{len(found)} times in {len(cases)} rows:", *found[:MOST_SHOWN]])


def check_while_first_is_down(
    place: Place,
    client: Client,
    table: Sequence[Row],
    expected: Callable[[Row], tuple[set[str], set[str]]],
    *,
    is_swapped: bool,
) -> None:
    """The rows of one layout, while its first source refuses connections. Raises as `check` does."""
    chosen = [one for one in table if one.layout.is_swapped == is_swapped]
    first = place.of(chosen[0].layout).first
    try:
        check(place, client, chosen, expected, during=first.up.stop)
    finally:
        first.up.start()


def _prepare(client: Client, case: Case) -> None:
    """The name gets its source, then the first site its fault."""
    row, faults = case.row, case.place.first.faults
    if row.kind == "pinned second":
        faults[row.name] = Fault("absent")
    if row.kind in ("pinned first", "pinned second", "named"):
        client.warm(case)
    parts = {
        "file alone": "/files/",
        "crate alone": "/dl/",
        "tarball alone": "/-/",
        "blob alone": "/blobs/",
    }
    only = parts.get(row.what, "")
    faults[row.name] = Fault(row.outcome, only)


def _recovered(case: Case) -> Case | None:
    """The same request when the first source is well again."""
    if case.row.kind != "unknown" or case.row.outcome in ("found", "absent", "refused"):
        return None
    case.place.first.faults[case.row.name] = Fault("found")
    return replace(case, row=replace(case.row, outcome="found"))


def _judge(
    case: Case,
    whose: str,
    text: str,
    expected: tuple[set[str], set[str]],
    asked: Mapping[str, Mapping[str, Sequence[Asked]]],
) -> Iterator[str]:
    right, may = expected
    if whose not in right:
        yield f"{whose} instead of {' or '.join(sorted(right))}: {text[:200]}"
    for role, site in case.place.roles.items():
        told = [f"{one.method} {one.path}" for one in asked[site.name].get(case.row.name, [])]
        if told and role not in may:
            yield f"{role} was asked as well: {told}"
    if whose == FAILED and text and case.place.first.host not in text:
        yield f"does not name {case.place.first.host}: {text[:200]}"


def verdict(answer: httpx.Response, whose: str) -> tuple[str, str]:
    """`whose` are the bytes of a 2xx; the statuses of the others."""
    if answer.status_code == 200:
        return whose, ""
    if answer.status_code in (403, 404):
        return NOBODY, answer.text
    if answer.status_code in (502, 503, 504):
        return FAILED, answer.text
    return f"status {answer.status_code}", answer.text
