"""Projects of two sources: whose page, file, metadata and JSON a client gets, who hears of the name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.formats.pypi.wire import JSON
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
from tests.trust.sites import Shown, wheel

WHATS = ("page", "file", "later file", "metadata", "json")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with placed(tmp_path_factory.mktemp("trust")) as found:
        yield found


def spell(kind: Kind, number: int) -> str:
    return f"{kind.replace(' ', '-')}-{number}"


class Installer:
    """What pip and uv ask for. Everybody has a 1.0 of other bytes; a 99.0 is at the second source only."""

    def stock(self, case: Case) -> None:
        for role, site in case.place.roles.items():
            versions = ("1.0", "99.0") if role == "second" else ("1.0",)
            case.shown[role] = site.stock_project(case.row.name, *versions)
        if case.row.kind == "claimed":
            ours = wheel(case.row.name, "1.0", OURS)
            case.shown[OURS] = Shown((ours,))
            files = {"content": (ours.filename, ours.body)}
            answer = case.http.post(f"{case.row.layout.index}/legacy/", data=ours.form(), files=files)
            assert answer.status_code == 200, answer.text

    def warm(self, case: Case) -> None:
        page = case.http.get(_page(case.row))
        assert page.status_code == 200, f"{case.row}: {page.text}"

    def ask(self, case: Case) -> tuple[str, str]:
        try:
            return self._page(case) if case.row.what in ("page", "json") else self._file(case)
        except httpx.RemoteProtocolError:
            return FAILED, ""

    def _page(self, case: Case) -> tuple[str, str]:
        path = _page(case.row)
        if case.row.what == "json":
            path = f"{case.row.layout.index}/pypi/{case.row.name}/json"
        answer = case.http.get(path, headers={"accept": f"{JSON}, application/json"})
        if not answer.is_success:
            return verdict(answer, "")
        body = answer.json()
        listed = body["files"] if case.row.what == "page" else [
            one for files in body["releases"].values() for one in files
        ]  # fmt: skip
        hashes = {(one.get("hashes") or one["digests"])["sha256"] for one in listed}
        return verdict(answer, case.whose(lambda shown: shown.hashes == hashes))

    def _file(self, case: Case) -> tuple[str, str]:
        filename = case.shown["first"].wheels[0].filename
        if case.row.what == "later file":
            filename = filename.replace("-1.0-", "-99.0-")
        more = ".metadata" if case.row.what == "metadata" else ""
        answer = case.http.get(f"{_page(case.row)}{filename}{more}")
        return verdict(
            answer,
            case.whose(lambda shown: any(answer.content in (one.body, one.metadata) for one in shown.wheels)),
        )


def _page(row: Row) -> str:
    return f"{row.layout.index}/simple/{row.name}/"


def expected(row: Row) -> tuple[set[str], set[str]]:
    whose, may = sources(row.kind, row.outcome)
    if row.what == "file alone" and row.outcome != "found":  # the page says whose it is
        return {FAILED, NOBODY} if row.outcome == "absent" else {FAILED}, {"first"}
    if whose == "kept":  # the page is, and may say what is not there; what was not fetched is not
        kept = {"page": {"first"}, "json": {"first", FAILED}, "later file": {NOBODY, FAILED}}
        return kept.get(row.what, {FAILED}), may
    if row.what == "later file" and whose in ("first", "partner", OURS):
        whose = NOBODY
    return {whose}, may


def test_sources_of_projects(place: Place) -> None:
    table = rows(OPEN, OUTCOMES, WHATS, spell) + rows(SETTLED, FEW, WHATS, spell)
    table += rows(("unknown", "pinned first"), OUTCOMES, ("file alone",), spell)
    check(place, Installer(), table, expected)


@pytest.mark.slow
def test_sources_of_projects_that_do_not_depend_on_the_first(place: Place) -> None:
    check(place, Installer(), rows(SETTLED, OUTCOMES, WHATS, spell), expected)


@pytest.mark.slow
def test_sources_of_projects_while_the_first_is_silent(tmp_path: Path) -> None:
    table = rows(KINDS, ("timeout",), WHATS, spell)
    table += rows(("unknown", "pinned first"), ("timeout",), ("file alone",), spell)
    with placed(tmp_path, seconds=3) as place:
        check(place, Installer(), table, expected)


@pytest.mark.parametrize("is_swapped", [False, True])
def test_sources_of_projects_while_the_first_is_down(place: Place, is_swapped: bool) -> None:
    check_while_first_is_down(
        place, Installer(), rows(KINDS, ("refused",), WHATS, spell), expected, is_swapped=is_swapped
    )
