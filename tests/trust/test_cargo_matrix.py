"""Crates of two sources: whose index lines and crate file a client gets, who hears of the name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest

from nora.formats.cargo.names import prefix_of
from tests.support.crates import Built
from tests.trust.matrix import (
    FAILED,
    FEW,
    KINDS,
    NOBODY,
    OPEN,
    OURS,
    OUTCOMES,
    SETTLED,
    Case,
    Kind,
    Place,
    Row,
    check,
    check_while_first_is_down,
    placed,
    rows,
    sources,
    verdict,
)
from tests.trust.sites import Shown

WHATS = ("index", "crate", "later crate", "versions")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with placed(tmp_path_factory.mktemp("trust")) as found:
        yield found


def spell(kind: Kind, number: int) -> str:
    return f"{kind.replace(' ', '-')}-{number}"


class Cargo:
    """What cargo asks for. Everybody has a 1.0.0 of other bytes; a 99.0.0 is at the second source only."""

    def stock(self, case: Case) -> None:
        for role, site in case.place.roles.items():
            versions = ("1.0.0", "99.0.0") if role == "second" else ("1.0.0",)
            case.shown[role] = site.stock_crate(case.row.name, *versions)
        if case.row.kind == "claimed":
            ours = Built(case.row.name, maker=OURS)
            case.shown[OURS] = Shown(crates=(ours,))
            answer = case.http.put(f"{_api(case.row)}/new", content=ours.publication())
            assert answer.status_code == 200, answer.text

    def warm(self, case: Case) -> None:
        answer = case.http.get(_index(case.row))
        assert answer.status_code == 200, f"{case.row}: {answer.text}"

    def ask(self, case: Case) -> tuple[str, str]:
        try:
            return self._file(case) if "crate" in case.row.what else self._lines(case)
        except httpx.RemoteProtocolError:
            return FAILED, ""

    def _lines(self, case: Case) -> tuple[str, str]:
        row = case.row
        is_index = row.what == "index"
        answer = case.http.get(_index(row) if is_index else f"{_api(row)}/{row.name}/versions")
        if not answer.is_success:
            return verdict(answer, "")
        if is_index:
            told = {orjson.loads(line)["cksum"] for line in answer.content.splitlines()}
        else:
            told = {one["checksum"] for one in answer.json()["versions"]}
        return verdict(answer, case.whose(lambda shown: {one.sha256 for one in shown.crates} == told))

    def _file(self, case: Case) -> tuple[str, str]:
        version = "99.0.0" if case.row.what == "later crate" else "1.0.0"
        answer = case.http.get(f"{_api(case.row)}/{case.row.name}/{version}/download")
        return verdict(answer, case.whose(lambda shown: answer.content in [one.body for one in shown.crates]))


def _index(row: Row) -> str:
    return f"{row.layout.crates}/cargo/index/{prefix_of(row.name)}/{row.name}"


def _api(row: Row) -> str:
    return f"{row.layout.crates}/cargo/api/v1/crates"


def expected(row: Row) -> tuple[set[str], set[str]]:
    whose, may = sources(row.kind, row.outcome)
    if row.what == "crate alone" and row.outcome != "found":  # the index says whose it is
        return {FAILED, NOBODY} if row.outcome == "absent" else {FAILED}, {"first"}
    if whose == "kept":  # the index is; what was not fetched is not
        return {"crate": {FAILED}, "later crate": {NOBODY, FAILED}}.get(row.what, {"first"}), may
    if row.what == "later crate" and whose in ("first", "partner", OURS):
        whose = NOBODY
    return {whose}, may


def test_sources_of_crates(place: Place) -> None:
    table = rows(OPEN, OUTCOMES, WHATS, spell) + rows(SETTLED, FEW, WHATS, spell)
    table += rows(("unknown", "pinned first"), OUTCOMES, ("crate alone",), spell)
    check(place, Cargo(), table, expected)


@pytest.mark.slow
def test_sources_of_crates_that_do_not_depend_on_the_first(place: Place) -> None:
    check(place, Cargo(), rows(SETTLED, OUTCOMES, WHATS, spell), expected)


@pytest.mark.slow
def test_sources_of_crates_while_the_first_is_silent(tmp_path: Path) -> None:
    table = rows(KINDS, ("timeout",), WHATS, spell)
    table += rows(("unknown", "pinned first"), ("timeout",), ("crate alone",), spell)
    with placed(tmp_path, seconds=3) as place:
        check(place, Cargo(), table, expected)


@pytest.mark.parametrize("is_swapped", [False, True])
def test_sources_of_crates_while_the_first_is_down(place: Place, is_swapped: bool) -> None:
    check_while_first_is_down(
        place, Cargo(), rows(KINDS, ("refused",), WHATS, spell), expected, is_swapped=is_swapped
    )
