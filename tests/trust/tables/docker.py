"""What docker and containerd ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx

from tests.support.oci import IMAGE, Repository, digest
from tests.support.oci_upstream import Manifest, OCIUpstream
from tests.trust.shown import Image
from tests.trust.table import FAILED, NOBODY, OURS, Case, Expected, Role, Row, Table, What, sources

if TYPE_CHECKING:
    from tests.trust.sites import Site


def name_of(segments: Sequence[str]) -> str:
    match segments:
        case [_, *name, "manifests" | "blobs" | "referrers", _] | [_, *name, "tags", "list"]:
            return "/".join(name)
    return ""


def stock(site: Site, name: str, role: Role) -> Image:
    image = site.stock_image(name)
    seen = frozenset(("warm",))
    return replace(image, listed=image.listed | {seen}) if role == "first" else image


def publish(case: Case) -> Image:
    repository = Repository(case.http, case.at("/{name}").removeprefix("/v2/"))
    return Image(Manifest(repository.push_image("latest", seed=OURS).manifest, IMAGE))


def wanted(case: Case) -> Image:
    """Whose digests are asked for: those of the source, else of one that must not be had."""
    row = case.row
    whose, _ = sources(row.kind, row.outcome)
    if "blob" in row.title and row.kind == "pinned second":  # its manifest is here
        whose = "second"
    if whose == "kept" or ("blob" in row.title and row.kind == "pinned first"):
        whose = "first"
    image: Image = case.shown.get(whose, case.shown["second"])  # type: ignore[call-overload]
    return image


def is_manifest(image: Image, answer: httpx.Response) -> bool:
    return digest(answer.content) == image.digest


def says_digest(image: Image, answer: httpx.Response) -> bool:
    return answer.headers.get("docker-content-digest") == image.digest


def is_blob(image: Image, answer: httpx.Response) -> bool:
    return digest(answer.content) == image.layer


def refers(image: Image, answer: httpx.Response) -> bool:
    found = [one["digest"] for one in answer.json()["manifests"]]
    return image.referrer is not None and found == [image.referrer.digest]


def has_tags(image: Image, answer: httpx.Response) -> bool:
    return frozenset(answer.json()["tags"]) in image.listed


def blob_rule(row: Row) -> Expected | None:
    if row.kind == "unknown":  # no manifest refers to it
        return {NOBODY}, set()
    if row.kind == "pinned second" and row.outcome == "found":
        return {"second", NOBODY}, {"first", "second"}
    return None


BLOB = What(
    path=lambda case: f"/{{name}}/blobs/{wanted(case).layer}",
    fits=is_blob,
    warm=("/{name}/manifests/warm", "/{name}/manifests/latest"),
    rule=blob_rule,
)
TABLE = Table(
    format="docker",
    store=OCIUpstream,
    roots=("v2",),
    name_of=name_of,
    upstream="",
    base="/v2{mount}",
    group="/docker-both",
    spelling="{kind}/app-{number}",
    pattern="{kind}/**",
    settings="read_timeout = {seconds}",
    stock=stock,
    publish=publish,
    warm=("/{name}/manifests/warm",),  # another image of the name, so that this one is not there yet
    whats={
        "tag": What(path="/{name}/manifests/latest", fits=is_manifest),
        "head": What(method="HEAD", path="/{name}/manifests/latest", fits=says_digest),
        "digest": What(path=lambda case: f"/{{name}}/manifests/{wanted(case).digest}", fits=is_manifest),
        "blob": BLOB,
        "referrers": What(
            path=lambda case: f"/{{name}}/referrers/{wanted(case).digest}",
            fits=refers,
            is_none=lambda answer: answer.json()["manifests"] == [],
            owners=("first", "second", "partner"),
        ),
        "tags": What(path="/{name}/tags/list", fits=has_tags, kept=(FAILED, "first")),  # those that were seen
        "blob alone": BLOB.alone("/blobs/", "pinned first"),
    },
)
