"""What cargo asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import httpx
import orjson

from nora.formats.cargo.names import prefix_of
from tests.support.crate_index import CrateIndex
from tests.support.crates import Built
from tests.trust.table import FAILED, NOBODY, OURS, Case, Role, Table, What

if TYPE_CHECKING:
    from tests.trust.sites import Site

Crates = tuple[Built, ...]


def name_of(segments: Sequence[str]) -> str:
    match segments:
        case [_, "dl", name, *_] | [_, _, _, name]:
            return name
    return ""


def stock(site: Site, name: str, role: Role) -> Crates:
    versions = ("1.0.0", "99.0.0") if role == "second" else ("1.0.0",)
    made = tuple(Built(name, version, maker=site.name) for version in versions)
    for one in made:
        site.stores["cargo"].add(name, one.version, body=one.body)
    return made


def publish(case: Case) -> Crates:
    ours = Built(case.name, maker=OURS)
    answer = case.http.put(case.at("/api/v1/crates/new"), content=ours.publication())
    assert answer.status_code == 200, answer.text
    return (ours,)


def lists(crates: Crates, answer: httpx.Response) -> bool:
    told = {orjson.loads(line)["cksum"] for line in answer.content.splitlines()}
    return told == {one.sha256 for one in crates}


def lists_versions(crates: Crates, answer: httpx.Response) -> bool:
    told = {one["checksum"] for one in answer.json()["versions"]}
    return told == {one.sha256 for one in crates}


def is_file(crates: Crates, answer: httpx.Response) -> bool:
    return answer.content in [one.body for one in crates]


def index_path(case: Case) -> str:
    return f"/index/{prefix_of(case.name)}/{case.name}"


CRATE = What(path="/api/v1/crates/{name}/1.0.0/download", fits=is_file)
TABLE = Table(
    format="cargo",
    store=lambda: CrateIndex(prefix="/crates"),
    roots=("crates",),
    name_of=name_of,
    upstream="/crates",
    base="{mount}/cargo",
    stock=stock,
    publish=publish,
    warm=(index_path,),
    whats={
        "index": What(path=index_path, fits=lists, kept=("first",)),
        "crate": CRATE,
        "later crate": What(
            path="/api/v1/crates/{name}/99.0.0/download",
            fits=is_file,
            owners=("second",),
            kept=(NOBODY, FAILED),
        ),
        "versions": What(path="/api/v1/crates/{name}/versions", fits=lists_versions, kept=("first",)),
        "crate alone": CRATE.alone("/dl/", "unknown", "pinned first"),
    },
)
