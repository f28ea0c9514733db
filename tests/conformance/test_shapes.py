"""Shapes that build tools and signers leave in a registry, pushed and fetched again as they do it.

They need no client: BuildKit and its three kinds of cache are spoken from here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.oci import (
    DOCKER_LIST,
    EMPTY,
    IMAGE,
    INDEX,
    LAYER,
    Descriptor,
    Repository,
    describe,
    digest,
    index,
    render,
)

CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@pytest.fixture
def repo(http: httpx.Client, repository: Callable[[str], str]) -> Repository:
    return Repository(http, repository("cache"))


def layers(repo: Repository, kind: str, build: int) -> list[Descriptor]:
    """Three cached layers, one of them new in each build."""
    contents = [b"base", b"dependencies", f"sources of build {build}".encode()]
    for data in contents:
        repo.push_blob(data)
    return [describe(data, kind) for data in contents]


def config(repo: Repository, entries: list[Descriptor]) -> Descriptor:
    """BuildKit's description of what the layers are the cache of."""
    records = [{"digest": entry["digest"], "layers": [{"layer": n}]} for n, entry in enumerate(entries)]
    data = render({"layers": [{"blob": entry["digest"]} for entry in entries], "records": records})
    repo.push_blob(data)
    return describe(data, CACHE_CONFIG)


def as_image(repo: Repository, build: int) -> tuple[str, dict[str, Any]]:
    """Today's default: an image manifest whose config is the cache's."""
    entries = layers(repo, f"{LAYER}+gzip", build)
    return IMAGE, {"schemaVersion": 2, "mediaType": IMAGE, "config": config(repo, entries), "layers": entries}


def as_index(repo: Repository, build: int) -> tuple[str, dict[str, Any]]:
    """image-manifest=false: an index whose children are layers, and the cache's config among them."""
    entries = layers(repo, f"{LAYER}+gzip", build)
    return INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*entries, config(repo, entries)]}


def as_list(repo: Repository, build: int) -> tuple[str, dict[str, Any]]:
    """oci-mediatypes=false: the same in Docker's manifest list."""
    entries = layers(repo, DOCKER_LAYER, build)
    children = [*entries, config(repo, entries)]
    return DOCKER_LIST, {"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": children}


@pytest.mark.parametrize("shape", [as_image, as_index, as_list])
def test_a_build_cache_is_exported_and_imported(
    repo: Repository, shape: Callable[[Repository, int], tuple[str, dict[str, Any]]]
) -> None:
    for build in range(3):
        media_type, document = shape(repo, build)
        repo.push_manifest("buildcache", render(document), media_type)

        answer = repo.get_manifest("buildcache", accept=media_type)
        assert answer.headers["content-type"] == media_type
        got = json.loads(answer.content)
        parts = got.get("manifests") or [*got["layers"], got["config"]]
        (described,) = [part for part in parts if part["mediaType"] == CACHE_CONFIG]
        cache = repo.get_blob(described["digest"]).json()
        for entry in cache["layers"]:
            blob = repo.get_blob(entry["blob"])
            assert digest(blob.content) == entry["blob"]


def test_an_image_with_attestations(repo: Repository) -> None:
    """buildx: an index whose second child describes the first, for a platform that does not exist."""
    image = repo.push_image()
    statement = b'{"_type": "https://in-toto.io/Statement/v0.1"}'
    repo.push_blob(statement)
    attestation = repo.push_image(layers=[statement], seed="attestation")
    unknown = {"architecture": "unknown", "os": "unknown"}
    reference = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": image.digest,
    }
    children = [
        image.descriptor | {"platform": {"architecture": "amd64", "os": "linux"}},
        attestation.descriptor | {"platform": unknown, "annotations": reference},
    ]
    data = index(children)
    repo.push_manifest("v1", data, INDEX)
    assert repo.get_manifest("v1").content == data


def test_the_tag_of_a_signature_that_is_absent_is_404(repo: Repository) -> None:
    """cosign asks for it first; 401 or 403 would be an error to it."""
    image = repo.push_image("v1")
    for suffix in ("sig", "att", "sbom"):
        tag = f"{image.digest.replace(':', '-')}.{suffix}"
        assert repo.head_manifest(tag).status_code == 404


def test_a_wasm_artifact_with_an_empty_config(repo: Repository) -> None:
    repo.push_blob(b"{}")
    repo.push_blob(b"\0asm")
    data = render(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "artifactType": "application/vnd.wasm.config.v0+json",
            "config": describe(b"{}", EMPTY, data="e30="),
            "layers": [describe(b"\0asm", "application/wasm")],
        }
    )
    repo.push_manifest("v1", data)
    assert repo.get_manifest("v1").content == data
