"""Packages of npm at two sources: whose document and tarball a client gets, who hears of the name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.npm_registry import ABBREVIATED
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
from tests.trust.sites import Shown, package

WHATS = ("document", "abbreviated", "manifest", "tags", "tarball", "later tarball", "attestations")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with placed(tmp_path_factory.mktemp("trust")) as found:
        yield found


def spell(kind: Kind, number: int) -> str:
    return f"{kind.replace(' ', '-')}-{number}"


class Installer:
    """What npm asks for. Everybody has a 1.0.0 of other bytes; a 99.0.0 is at the second source only."""

    def stock(self, case: Case) -> None:
        for role, site in case.place.roles.items():
            versions = ("1.0.0", "99.0.0") if role == "second" else ("1.0.0",)
            case.shown[role] = site.stock_package(case.row.name, *versions)
        if case.row.kind == "claimed":
            ours = package(case.row.name, "1.0.0", OURS)
            case.shown[OURS] = Shown(packages=(ours,))
            answer = case.http.put(_document(case.row), json=ours.publication())
            assert answer.status_code == 201, answer.text

    def warm(self, case: Case) -> None:
        answer = case.http.get(_document(case.row))
        assert answer.status_code == 200, f"{case.row}: {answer.text}"

    def ask(self, case: Case) -> tuple[str, str]:
        try:
            return self._answer(case)
        except httpx.RemoteProtocolError:
            return FAILED, ""

    def _answer(self, case: Case) -> tuple[str, str]:
        base, what = f"{case.row.layout.packages}/npm", case.row.what
        version = "99.0.0" if what == "later tarball" else "1.0.0"
        filename = f"{case.row.name}-{version}.tgz"
        path = {
            "manifest": f"{_document(case.row)}/1.0.0",
            "tags": f"{base}/-/package/{case.row.name}/dist-tags",
            "attestations": f"{base}/-/npm/v1/attestations/{case.row.name}@1.0.0",
        }.get(what, _document(case.row))
        if "tarball" in what:
            path = f"{_document(case.row)}/-/{filename}"
        accept = ABBREVIATED if what == "abbreviated" else "application/json"
        answer = case.http.get(path, headers={"accept": accept})
        if not answer.is_success:
            return verdict(answer, "")
        if "tarball" in what:
            return verdict(answer, case.whose(lambda shown: answer.content in _bodies(shown)))
        body = answer.json()
        if what == "tags":
            return verdict(answer, case.whose(lambda shown: body["latest"] == shown.packages[-1].version))
        manifests = [body] if what == "manifest" else list(body["versions"].values())
        told = {one["dist"]["integrity"] for one in manifests}
        return verdict(answer, case.whose(lambda shown: _integrities(shown, what) == told))


def _bodies(shown: Shown) -> list[bytes]:
    return [one.body for one in shown.packages]


def _integrities(shown: Shown, what: str) -> set[str]:
    packages = shown.packages[:1] if what == "manifest" else shown.packages
    return {one.dist["integrity"] for one in packages}


def _document(row: Row) -> str:
    return f"{row.layout.packages}/npm/{row.name}"


def expected(row: Row) -> tuple[set[str], set[str]]:
    whose, may = sources(row.kind, row.outcome)
    if row.what == "tarball alone" and row.outcome != "found":  # the document says whose it is
        return {FAILED, NOBODY} if row.outcome == "absent" else {FAILED}, {"first"}
    if whose == "kept":  # the document is; what was not fetched is not
        kept = {"later tarball": {NOBODY, FAILED}, "tarball": {FAILED}, "attestations": {NOBODY, FAILED}}
        right = kept.get(row.what, {"first"})
    elif row.what == "attestations":  # nobody has any, and nobody makes up for that
        right = {FAILED} if whose == FAILED else {NOBODY}
    elif row.what == "later tarball" and whose in ("first", "partner", OURS):
        right = {NOBODY}
    else:
        right = {whose}
    if row.what == "tags" and whose in ("partner", OURS):  # they have the same ones as the first
        right |= {"first"}
    return right, may


def test_sources_of_packages(place: Place) -> None:
    table = rows(OPEN, OUTCOMES, WHATS, spell) + rows(SETTLED, FEW, WHATS, spell)
    table += rows(("unknown", "pinned first"), OUTCOMES, ("tarball alone",), spell)
    check(place, Installer(), table, expected)


@pytest.mark.slow
def test_sources_of_packages_that_do_not_depend_on_the_first(place: Place) -> None:
    check(place, Installer(), rows(SETTLED, OUTCOMES, WHATS, spell), expected)


@pytest.mark.slow
def test_sources_of_packages_while_the_first_is_silent(tmp_path: Path) -> None:
    table = rows(KINDS, ("timeout",), WHATS, spell)
    table += rows(("unknown", "pinned first"), ("timeout",), ("tarball alone",), spell)
    with placed(tmp_path, seconds=3) as place:
        check(place, Installer(), table, expected)


@pytest.mark.parametrize("is_swapped", [False, True])
def test_sources_of_packages_while_the_first_is_down(place: Place, is_swapped: bool) -> None:
    check_while_first_is_down(
        place, Installer(), rows(KINDS, ("refused",), WHATS, spell), expected, is_swapped=is_swapped
    )
