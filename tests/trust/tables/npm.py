"""What npm asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import httpx

from tests.support.npm_registry import ABBREVIATED, Built, NpmRegistry
from tests.trust.table import FAILED, NOBODY, OURS, Case, Role, Table, What

if TYPE_CHECKING:
    from tests.trust.sites import Site

Packages = tuple[Built, ...]


def package(name: str, version: str, maker: str) -> Built:
    """One whose bytes, and whose manifest, tell who has made it."""
    return Built(name, version, {"description": f"made by {maker}"})


def name_of(segments: Sequence[str]) -> str:
    match segments:
        case [_, "-", "npm", "v1", "attestations", spec]:
            return spec.rpartition("@")[0]
        case [_, name, *_]:
            return name
    return ""


def stock(site: Site, name: str, role: Role) -> Packages:
    versions = ("1.0.0", "99.0.0") if role == "second" else ("1.0.0",)
    made = tuple(package(name, version, site.name) for version in versions)
    site.stores["npm"].add(*made)
    return made


def publish(case: Case) -> Packages:
    ours = package(case.name, "1.0.0", OURS)
    answer = case.http.put(case.at("/{name}"), json=ours.publication())
    assert answer.status_code == 201, answer.text
    return (ours,)


def lists(packages: Packages, answer: httpx.Response) -> bool:
    told = {one["dist"]["integrity"] for one in answer.json()["versions"].values()}
    return told == {one.dist["integrity"] for one in packages}


def is_manifest(packages: Packages, answer: httpx.Response) -> bool:
    return bool(answer.json()["dist"]["integrity"] == packages[0].dist["integrity"])


def has_tags(packages: Packages, answer: httpx.Response) -> bool:
    return bool(answer.json()["latest"] == packages[-1].version)


def is_file(packages: Packages, answer: httpx.Response) -> bool:
    return answer.content in [one.body for one in packages]


TARBALL = What(path="/{name}/-/{name}-1.0.0.tgz", fits=is_file)
TABLE = Table(
    format="npm",
    store=NpmRegistry,
    roots=("reg",),
    name_of=name_of,
    upstream="/reg",
    base="{mount}/npm",
    stock=stock,
    publish=publish,
    warm=("/{name}",),
    whats={
        "document": What(path="/{name}", fits=lists, kept=("first",)),
        "abbreviated": What(path="/{name}", headers={"accept": ABBREVIATED}, fits=lists, kept=("first",)),
        "manifest": What(path="/{name}/1.0.0", fits=is_manifest, kept=("first",)),
        "tags": What(path="/-/package/{name}/dist-tags", fits=has_tags, kept=("first",)),
        "tarball": TARBALL,
        "later tarball": What(
            path="/{name}/-/{name}-99.0.0.tgz", fits=is_file, owners=("second",), kept=(NOBODY, FAILED)
        ),
        "attestations": What(  # nobody has any, and nobody makes up for that
            path="/-/npm/v1/attestations/{name}@1.0.0",
            fits=lambda shown, answer: False,
            owners=(),
            kept=(NOBODY, FAILED),
        ),
        "tarball alone": TARBALL.alone("/-/", "unknown", "pinned first"),
    },
)
