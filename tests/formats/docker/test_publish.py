"""What a manifest must be before anything of it is stored."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest

from nora.errors import DigestMismatch, InvalidManifest
from nora.formats.docker import documents
from nora.formats.docker.publish import ParsedManifest, Required, parse_manifest
from nora.model import Digest
from tests.support.tables import each


def descriptor(
    seed: str, media_type: str = "application/vnd.oci.image.layer.v1.tar+gzip", **extra: Any
) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": "sha256:" + seed * 64, "size": 3, **extra}


CONFIG = descriptor("c", "application/vnd.oci.image.config.v1+json")


def image(**fields: Any) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": documents.OCI_MANIFEST, "config": CONFIG, "layers": [], **fields}


def index(**fields: Any) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": documents.OCI_INDEX, "manifests": [], **fields}


def parse(
    document: Any,
    content_type: str | None = None,
    named: Digest | None = None,
    *,
    required: Required = "image",
    max_references: int = 4096,
) -> ParsedManifest:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    return parse_manifest(body, content_type, named, required=required, max_references=max_references)


def roles(parsed: ParsedManifest) -> set[tuple[str, str, bool]]:
    return {(r.digest[7], r.role, r.required) for r in parsed.references}


def test_config_and_layers_are_required() -> None:
    parsed = parse(image(layers=[descriptor("1"), descriptor("2"), descriptor("1")]))
    assert roles(parsed) == {("c", "config", True), ("1", "layer", True), ("2", "layer", True)}
    assert parsed.media_type == documents.OCI_MANIFEST
    assert parsed.subject is None
    assert parsed.document == b"{}"


def test_a_manifest_refers_to_no_more_than_is_allowed() -> None:
    layers = [descriptor(one) for one in "1234"]
    assert len(parse(image(layers=[*layers, *layers]), max_references=5).references) == 5
    with pytest.raises(InvalidManifest, match=r"refers to 5 contents; docker\.max_references allows 4"):
        parse(image(layers=layers), max_references=4)
    with pytest.raises(InvalidManifest, match=r"max_references"):
        parse(index(manifests=layers), max_references=3)


@pytest.mark.parametrize(
    "layer",
    [
        descriptor("f", urls=["https://elsewhere.example/x"]),
        descriptor("f", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
        descriptor("f", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
    ],
)
def test_foreign_layers_may_live_elsewhere(layer: dict[str, Any]) -> None:
    assert ("f", "layer", False) in roles(parse(image(layers=[layer])))


def test_children_of_an_index_are_required_only_when_all_is() -> None:
    document = index(manifests=[descriptor("1", documents.OCI_MANIFEST), descriptor("2")])
    assert roles(parse(document)) == {("1", "child", False), ("2", "child", False)}
    assert roles(parse(document, required="all")) == {("1", "child", True), ("2", "child", True)}


def test_a_sparse_image_is_accepted_only_when_nothing_is_required() -> None:
    assert roles(parse(image(layers=[descriptor("1")]), required="none")) == {
        ("c", "config", False),
        ("1", "layer", False),
    }


def test_subject_type_and_annotations_are_kept_for_the_referrers_list() -> None:
    subject = descriptor("5", documents.OCI_MANIFEST)
    parsed = parse(image(subject=subject, annotations={"k": "v"}))
    assert parsed.subject == subject["digest"]
    assert parsed.artifact_type == CONFIG["mediaType"]
    assert orjson.loads(parsed.document) == {"annotations": {"k": "v"}}
    assert not [one for one in roles(parsed) if one[0] == "5"], "a version about another needs it not"
    assert parse(image(subject=subject, artifactType="x/y")).artifact_type == "x/y"
    assert parse(index(subject=subject)).artifact_type is None
    assert parse(index(subject=subject, artifactType="x/y")).artifact_type == "x/y"


def test_the_content_type_is_kept_without_parameters() -> None:
    assert parse(image(), f"{documents.OCI_MANIFEST}; charset=utf-8").media_type == documents.OCI_MANIFEST
    docker = image(mediaType=documents.DOCKER_MANIFEST)
    assert parse(docker, documents.DOCKER_MANIFEST).media_type == documents.DOCKER_MANIFEST


def test_a_missing_content_type_is_taken_from_the_body() -> None:
    assert parse(index()).media_type == documents.OCI_INDEX
    bare_image, bare_index = image(), index(manifests=[descriptor("1")])
    del bare_image["mediaType"], bare_index["mediaType"]
    assert parse(bare_image).media_type == documents.OCI_MANIFEST
    assert parse(bare_index, "application/json").media_type == documents.OCI_INDEX


@pytest.mark.parametrize("media_type", [documents.DOCKER_LIST, documents.DOCKER_MANIFEST])
def test_a_type_of_docker_is_said_by_the_body_too(media_type: str) -> None:
    """Else the same bytes, by the same digest, would be of the type that who pushed them last said."""
    bare = index() if media_type == documents.DOCKER_LIST else image()
    del bare["mediaType"]
    with pytest.raises(InvalidManifest, match="mediaType"):
        parse(bare, media_type)


@each(
    ("document", "content_type", "message"),
    [
        (b"", None, "manifest"),
        (b"{", None, "manifest"),
        (b"[]", None, "manifest"),
        (
            {"schemaVersion": 1, "fsLayers": []},
            "application/vnd.docker.distribution.manifest.v1+json",
            "manifest",
        ),
        (image(), documents.OCI_INDEX, "mediaType"),
        (image(mediaType="application/vnd.example+json"), None, "not supported"),
        ({"schemaVersion": 2, "layers": []}, documents.OCI_MANIFEST, "config"),
        (index(config=CONFIG), documents.OCI_INDEX, "index"),
        (index(mediaType=documents.OCI_MANIFEST, config=CONFIG, manifests=[CONFIG]), None, "layers"),
        (image(manifests=[]), documents.OCI_MANIFEST, "both layers and manifests"),
        (index(layers=[descriptor("1")]), None, "both layers and manifests"),
        (orjson.dumps(image())[:-1] + b',"Manifests":[]}', None, "manifests in another case"),
        (orjson.dumps(image())[:-1] + b',"config":null}', None, "config twice"),
        (image(schemaVersion=1), documents.OCI_MANIFEST, "schemaVersion"),
        (index(schemaVersion=1), documents.OCI_INDEX, "schemaVersion"),
        (index(schemaVersion=3, mediaType=documents.DOCKER_LIST), documents.DOCKER_LIST, "schemaVersion"),
        (image(layers=[{"digest": "x"}]), documents.OCI_MANIFEST, "digest|mediaType"),
    ],
)
def test_what_is_no_manifest(document: Any, content_type: str | None, message: str) -> None:
    with pytest.raises(InvalidManifest, match=message):
        parse(document, content_type)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_the_digest_in_the_url_must_be_that_of_the_body(algorithm: str) -> None:
    body = orjson.dumps(image())
    digest = Digest(f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}")
    assert parse(body, None, digest).digest == digest
    with pytest.raises(DigestMismatch):
        parse(body + b" ", None, digest)
