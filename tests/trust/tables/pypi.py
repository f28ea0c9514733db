"""What pip and uv ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import httpx

from tests.formats.pypi.wire import JSON
from tests.support.pypi_index import PyPIIndex, normalized
from tests.trust.shown import Project, wheel
from tests.trust.table import FAILED, NOBODY, OURS, Case, Role, Table, What

if TYPE_CHECKING:
    from tests.trust.sites import Site


def name_of(segments: Sequence[str]) -> str:
    match segments:
        case ["simple" | "pypi" | "integrity", name, *_]:
            return normalized(name)
        case ["files", _, _, filename]:
            return normalized(filename.partition("-")[0])
    return ""


def stock(site: Site, name: str, role: Role) -> Project:
    return site.stock_project(name, *(("1.0", "99.0") if role == "second" else ("1.0",)))


def publish(case: Case) -> Project:
    ours = wheel(case.name, "1.0", OURS)
    files = {"content": (ours.filename, ours.body)}
    answer = case.http.post(case.at("/legacy/"), data=ours.form(), files=files)
    assert answer.status_code == 200, answer.text
    return Project((ours,))


def at(version: str, more: str = "") -> Callable[[Case], str]:
    """The path of a wheel."""
    return lambda case: f"/simple/{{name}}/{wheel(case.name, version, '').filename}{more}"


def lists(project: Project, answer: httpx.Response) -> bool:
    return {one["hashes"]["sha256"] for one in answer.json()["files"]} == project.hashes


def lists_releases(project: Project, answer: httpx.Response) -> bool:
    files = [one for listed in answer.json()["releases"].values() for one in listed]
    return {one["digests"]["sha256"] for one in files} == project.hashes


def is_file(project: Project, answer: httpx.Response) -> bool:
    return answer.content in [one.body for one in project.wheels]


def is_metadata(project: Project, answer: httpx.Response) -> bool:
    return answer.content in [one.metadata for one in project.wheels]


FILE = What(path=at("1.0"), fits=is_file)
TABLE = Table(
    format="pypi",
    store=PyPIIndex,
    roots=("simple", "pypi", "integrity", "files"),
    name_of=name_of,
    upstream="/simple",
    base="{mount}",
    stock=stock,
    publish=publish,
    warm=("/simple/{name}/",),
    whats={
        "page": What(path="/simple/{name}/", headers={"accept": JSON}, fits=lists, kept=("first",)),
        "file": FILE,
        "later file": What(path=at("99.0"), fits=is_file, owners=("second",), kept=(NOBODY, FAILED)),
        "metadata": What(path=at("1.0", ".metadata"), fits=is_metadata),
        # It may say what is not there: what was not fetched is not.
        "json": What(path="/pypi/{name}/json", fits=lists_releases, kept=("first", FAILED)),
        "file alone": FILE.alone("/files/", "unknown", "pinned first"),
    },
)
