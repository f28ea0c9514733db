"""Images of two sources: whose manifest, blob, referrers and tags a client gets, who hears of the name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.oci import IMAGE, Repository, digest
from tests.support.oci_upstream import Manifest
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

WHATS = ("tag", "head", "digest", "blob", "referrers", "tags")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with placed(tmp_path_factory.mktemp("trust")) as found:
        yield found


def spell(kind: Kind, number: int) -> str:
    return f"{kind.replace(' ', '-')}/app-{number}"


class Puller:
    """What docker and containerd ask for. Everybody has `latest`, of other bytes."""

    def stock(self, case: Case) -> None:
        for role, site in case.place.roles.items():
            case.shown[role] = site.stock_image(case.row.name)
        if case.row.kind == "claimed":
            ours = _image(case).push_image("latest", seed=OURS)
            case.shown[OURS] = Shown(image=Manifest(ours.manifest, IMAGE))

    def warm(self, case: Case) -> None:
        """Another image of this name, so that this one is not there yet; a blob wants its manifest."""
        for tag in ("warm", "latest")[: 2 if "blob" in case.row.what else 1]:
            answer = _image(case).get_manifest(tag)
            assert answer.status_code == 200, f"{case.row}: {answer.text}"

    def ask(self, case: Case) -> tuple[str, str]:
        try:
            return self._ask(case)
        except httpx.RemoteProtocolError:
            return FAILED, ""

    def _ask(self, case: Case) -> tuple[str, str]:
        image, wanted = _image(case), case.shown[_wanted(case.row)]
        match case.row.what:
            case "tag" | "digest":
                answer = image.get_manifest("latest" if case.row.what == "tag" else wanted.digest)
                return verdict(answer, case.whose(lambda shown: shown.digest == digest(answer.content)))
            case "head":
                answer = image.head_manifest("latest")
                said = answer.headers.get("docker-content-digest")
                return verdict(answer, case.whose(lambda shown: shown.digest == said))
            case "referrers":
                answer = image.referrers(wanted.digest)
                found = [one["digest"] for one in answer.json()["manifests"]] if answer.is_success else []
                if answer.is_success and not found:
                    return NOBODY, ""
                return verdict(answer, case.whose(lambda shown: found == [shown.referrer_digest]))
            case "tags":
                answer = image.client.get(f"{image.path}/tags/list")
                return verdict(answer, _whose_tags(case, answer.json()["tags"] if answer.is_success else []))
        answer = image.get_blob(wanted.layer)
        return verdict(answer, case.whose(lambda shown: shown.layer == digest(answer.content)))


def _image(case: Case) -> Repository:
    return Repository(case.http, case.row.layout.images + case.row.name)


def _wanted(row: Row) -> str:
    """Whose digest is asked for: that of the source, else one that must not be had."""
    whose, _ = sources(row.kind, row.outcome)
    if row.what in ("blob", "blob alone") and row.kind.startswith("pinned"):
        return row.kind.removeprefix("pinned ")  # whose manifest is here
    if whose == "kept":
        return "first"
    return whose if whose in ("first", "partner", OURS) else "second"


def _whose_tags(case: Case, tags: list[str]) -> str:
    told = [role for role, site in case.place.roles.items() if f"only-{site.name}" in tags]
    if told:
        return told[0] if len(told) == 1 else f"tags of {told}"
    return OURS if tags == ["latest"] else "first" if tags == ["warm"] else f"tags {tags}"


def expected(row: Row) -> tuple[set[str], set[str]]:
    whose, may = sources(row.kind, row.outcome)
    if row.what == "blob alone" and row.outcome != "found":  # the manifest says whose it is
        return {FAILED, NOBODY} if row.outcome == "absent" else {FAILED}, {"first"}
    if row.what == "blob" and row.kind == "unknown":  # no manifest refers to it
        return {NOBODY}, set()
    if row.what == "blob" and row.kind == "pinned second" and row.outcome == "found":
        return {"second", NOBODY}, {"first", "second"}
    if whose == "kept":  # tags that were seen are known; what was not fetched is not
        return {FAILED, "first"} if row.what == "tags" else {FAILED}, may
    if row.what == "referrers" and whose == OURS:
        whose = NOBODY
    return {whose}, may


def test_sources_of_images(place: Place) -> None:
    table = rows(OPEN, OUTCOMES, WHATS, spell) + rows(SETTLED, FEW, WHATS, spell)
    table += rows(("pinned first",), OUTCOMES, ("blob alone",), spell)
    check(place, Puller(), table, expected)


@pytest.mark.slow
def test_sources_of_images_that_do_not_depend_on_the_first(place: Place) -> None:
    check(place, Puller(), rows(SETTLED, OUTCOMES, WHATS, spell), expected)


@pytest.mark.slow
def test_sources_of_images_while_the_first_is_silent(tmp_path: Path) -> None:
    with placed(tmp_path, seconds=3) as place:
        check(place, Puller(), rows(KINDS, ("timeout",), WHATS, spell), expected)


@pytest.mark.parametrize("is_swapped", [False, True])
def test_sources_of_images_while_the_first_is_down(place: Place, is_swapped: bool) -> None:
    check_while_first_is_down(
        place, Puller(), rows(KINDS, ("refused",), WHATS, spell), expected, is_swapped=is_swapped
    )
