"""Every kind of name at every outcome of the first source: who answers, and who hears of the name.

A `Row` is one request; `expected` says what the rules make of it. All rows are prepared, then asked at once,
each about a name of its own. What failed for an unknown name is asked again when the first source is well:
nothing of another's may have been kept. What is wrong is told as a list of rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import httpx

from tests.support.answers import Asked
from tests.trust.sites import FAILURES, Fault, Outcome, registry, sites
from tests.trust.table import (
    FAILED,
    KINDS,
    LAYOUTS,
    NOBODY,
    OPEN,
    SETTLED,
    Case,
    Kind,
    Layout,
    Place,
    Row,
    Table,
    expected,
)
from tests.trust.tables import TABLES

OUTCOMES: tuple[Outcome, ...] = ("found", "absent", *FAILURES)
FEW: tuple[Outcome, ...] = ("found", "500")
AT_ONCE = 12
MOST_SHOWN = 100
NUMBERS = count(10_000)

CONFIG = """
[proxy]
mode = "online"
retries = 0
absent_ttl = 0
connect_timeout = {seconds}
read_timeout = {seconds}
timeout = {seconds}
reserved = [{reserved}]
[circuit_breaker]
enabled = false
"""
FORMAT = """
[{format}]
metadata_ttl = 0
proxy_timeout = {seconds}
{settings}
upstreams = ["{left}", "{right}", {{ url = "{partner}", names = ["{named}"] }}]
[repositories.{format}-left]
format = "{format}"
kind = "proxy"
upstreams = ["{left}"]
[repositories.{format}-right]
format = "{format}"
kind = "proxy"
upstreams = ["{right}"]
[repositories.{format}-partner]
format = "{format}"
kind = "proxy"
upstreams = [{{ url = "{partner}", names = ["{named}"] }}]
[repositories.{format}-mine]
format = "{format}"
[repositories.{format}-both]
format = "{format}"
kind = "group"
members = ["{format}-mine", "{format}-right", "{format}-left", "{format}-partner"]
writes = "{format}-mine"
"""


@contextmanager
def placed(folder: Path, seconds: int = 20) -> Iterator[Place]:
    """A registry of all formats, and its sites. One of them may be silent for `seconds`."""
    with ExitStack() as stack:
        found = stack.enter_context(sites("left", "right", "partner"))
        text = config({site.name: site.up.url for site in found}, seconds)
        yield Place(*stack.enter_context(registry(folder, text)), *found)


def config(urls: Mapping[str, str], seconds: int) -> str:
    """Of all formats, with sites at these addresses."""
    reserved = sorted({f'"{table.named("reserved")}"' for table in TABLES})
    return CONFIG.format(seconds=seconds, reserved=", ".join(reserved)) + "".join(
        FORMAT.format(
            format=table.format,
            seconds=seconds,
            settings=table.settings.format(seconds=seconds),
            named=table.named("named"),
            **{site: url + table.upstream for site, url in urls.items()},
        )
        for table in TABLES
    )


def rows(
    table: Table, kinds: Iterable[Kind], outcomes: Iterable[Outcome], *titles: str, layouts: Sequence[Layout]
) -> list[Row]:
    """The product, each row with a name of its own. No titles: all of the table."""
    outcomes = tuple(outcomes)
    return [
        Row(table, layout, kind, outcome, title, spell(table, kind))
        for layout in layouts
        for title in titles or table.whats
        for kind in kinds
        if kind in table.whats[title].kinds
        for outcome in outcomes
    ]


def spell(table: Table, kind: Kind) -> str:
    return table.spelling.format(kind=kind.replace(" ", "-"), number=next(NUMBERS))


def every(table: Table) -> list[Row]:
    """All rows of a table but for those of a source that is silent or down."""
    return rows(table, KINDS, OUTCOMES, layouts=LAYOUTS)


def some(table: Table) -> list[Row]:
    """A few of them: every outcome for one thing, one failure for the others, the group for one."""
    others = [title for title in table.whats if title != table.first]
    one, group = LAYOUTS
    return [
        *rows(table, OPEN, OUTCOMES, table.first, layouts=[one]),
        *rows(table, SETTLED, FEW, table.first, layouts=[one]),
        *rows(table, OPEN, ("500",), *others, layouts=[one]),
        *rows(table, KINDS, FEW, table.first, layouts=[group]),
    ]


def check(place: Place, table: Sequence[Row], during: Callable[[], None] = lambda: None) -> None:
    """An AssertionError with the rows that do not hold. `during` happens between the preparation and the
    requests."""
    cases = [Case(row, place.of(row.layout)) for row in table]
    for case in cases:
        _stock(case)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(_prepare, cases))
        since = time.monotonic()
        during()
        answers = list(pool.map(_ask, cases))
        later = [again for case in cases if (again := _recovered(case)) is not None]
        answers += list(pool.map(_ask, later))
    cases += later
    asked = {site.name: site.by_name(since) for site in place.roles.values()}
    found = [
        f"{case.row} ({case.name}): {wrong}"
        for case, (whose, text) in zip(cases, answers, strict=True)
        for wrong in _judge(case, whose, text, asked)
    ]
    assert not found, "\n".join([f"{len(found)} times in {len(cases)} rows:", *found[:MOST_SHOWN]])


def check_while_first_is_down(place: Place, table: Sequence[Row]) -> None:
    """The rows of one layout, while its first source refuses connections. Raises as `check` does."""
    first = place.of(table[0].layout).first
    try:
        check(place, table, during=first.up.stop)
    finally:
        first.up.start()


def _stock(case: Case) -> None:
    """Everybody shows the name; so do we when it is claimed."""
    table = case.row.table
    for role, site in case.place.roles.items():
        case.shown[role] = table.stock(site, case.name, role)
    if case.row.kind == "claimed":
        case.shown["ours"] = table.publish(case)


def _prepare(case: Case) -> None:
    """The name gets its source, then the first site its fault."""
    row, faults = case.row, case.place.first.faults
    if row.kind == "pinned second":
        faults[row.name] = Fault("absent")
    if row.kind in ("pinned first", "pinned second", "named"):
        for path in row.what.warm or row.table.warm:
            answer = case.http.get(case.at(path))
            assert answer.status_code == 200, f"{row}: {answer.text}"
    faults[row.name] = Fault(row.outcome, row.what.fails_at)


def _ask(case: Case) -> tuple[set[str], str]:
    """Whose bytes came - roles, NOBODY, FAILED - and the text of a failure."""
    what = case.row.what
    try:
        answer = case.http.request(what.method, case.at(what.path), headers=what.headers)
    except httpx.RemoteProtocolError:
        return {FAILED}, ""
    match answer.status_code:
        case 200 if what.is_none(answer):
            return {NOBODY}, ""
        case 200:
            fitting = {role for role, shown in case.shown.items() if what.fits(shown, answer)}
            return {*fitting} or {"several or somebody else"}, ""
        case 403 | 404:
            return {NOBODY}, answer.text
        case 502 | 503 | 504:
            return {FAILED}, answer.text
    return {f"status {answer.status_code}"}, answer.text


def _recovered(case: Case) -> Case | None:
    """The same request when the first source is well again."""
    if case.row.kind != "unknown" or case.row.outcome in ("found", "absent", "refused"):
        return None
    case.place.first.faults[case.name] = Fault("found")
    return replace(case, row=replace(case.row, outcome="found"))


def _judge(
    case: Case, whose: set[str], text: str, asked: Mapping[str, Mapping[str, Sequence[Asked]]]
) -> Iterator[str]:
    right, may = expected(case.row)
    if not whose & {*right}:
        yield f"{' and '.join(sorted(whose))} instead of {' or '.join(sorted(right))}: {text[:200]}"
    for role, site in case.place.roles.items():
        told = [f"{one.method} {one.path}" for one in asked[site.name].get(case.name, [])]
        if told and role not in may:
            yield f"{role} was asked as well: {told}"
    if FAILED in whose and text and case.place.first.host not in text:
        yield f"does not name {case.place.first.host}: {text[:200]}"
