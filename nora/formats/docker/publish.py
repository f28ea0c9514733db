"""From the bytes of a manifest to a publication: everything that is checked before anything is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from nora._speedups import Manifest, scan_manifest
from nora.catalog.records import Reference
from nora.errors import DigestMismatch, InvalidManifest, quoted
from nora.formats.docker.documents import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    IMAGE_TYPES,
    INDEX_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    artifact_type_of,
)
from nora.model import Digest

_ACCEPTED = f"{OCI_MANIFEST}, {OCI_INDEX}, {DOCKER_MANIFEST}, {DOCKER_LIST}"

_DOCKER = frozenset({DOCKER_LIST, DOCKER_MANIFEST})

Required = Literal["all", "image", "none"]
"""What must be there before a manifest is stored: see the setting `docker.required_content`."""


@dataclass(frozen=True, slots=True)
class ParsedManifest:
    """A manifest that may be stored."""

    digest: Digest
    media_type: str
    subject: str | None
    artifact_type: str | None
    references: tuple[Reference, ...]
    document: bytes


def parse_manifest(
    body: bytes,
    content_type: str | None,
    named: Digest | None,
    *,
    required: Required,
    max_references: int,
) -> ParsedManifest:
    """Check a manifest as the distribution-spec wants it (Pushing Manifests).

    `content_type` is the request's header, `named` the digest in its URL if it has one.

    Raises DigestMismatch when the body is not what `named` says, InvalidManifest for anything else.
    """
    digest = _digest_of(body, named)
    try:
        manifest = scan_manifest(body)
    except ValueError as error:
        raise InvalidManifest(f"not a valid manifest: {quoted(error)}") from None
    media_type = _media_type_of(manifest, content_type)
    references = tuple(_references(manifest, media_type, required=required))
    if len(references) > max_references:
        raise InvalidManifest(
            f"the manifest refers to {len(references)} contents; "
            f"docker.max_references allows {max_references}"
        )
    subject = manifest.subject.digest if manifest.subject else None
    return ParsedManifest(
        digest=digest,
        media_type=media_type,
        subject=subject,
        artifact_type=artifact_type_of(manifest, media_type),
        references=references,
        document=_document(manifest) if subject else b"{}",
    )


def _digest_of(body: bytes, named: Digest | None) -> Digest:
    algorithm = named.algorithm if named else "sha256"
    digest = Digest(f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}")
    if named is not None and digest != named:
        raise DigestMismatch(f"the manifest has the digest {digest}, the request names another")
    return digest


def _media_type_of(manifest: Manifest, content_type: str | None) -> str:
    declared = content_type.partition(";")[0].strip().lower() if content_type else None
    if declared in {"application/json", "application/octet-stream"}:
        declared = None  # sent by tools that set no media type of their own
    media_type = declared or manifest.media_type
    if media_type is None:
        # A body without mediaType and a request without Content-Type: told apart by what it holds
        media_type = OCI_INDEX if manifest.config is None and manifest.manifests else OCI_MANIFEST
    if manifest.media_type is not None and manifest.media_type != media_type:
        raise InvalidManifest(
            f"Content-Type is {quoted(media_type)}, the manifest's mediaType is {quoted(manifest.media_type)}"
        )
    if media_type not in IMAGE_TYPES and media_type not in INDEX_TYPES:
        raise InvalidManifest(
            f"manifest media type {quoted(media_type)} is not supported; supported: {_ACCEPTED}"
        )
    if manifest.media_type is None and media_type in _DOCKER:
        # OCI leaves it to the body to say it or not; what says nothing is of OCI's type, whoever pushes it
        raise InvalidManifest(f"a manifest of the type {media_type} has it as its mediaType")
    if manifest.schema_version not in (None, 2):
        raise InvalidManifest(f"the schemaVersion of a manifest of the type {media_type} is 2")
    return media_type


def _references(manifest: Manifest, media_type: str, *, required: Required) -> Sequence[Reference]:
    found: dict[tuple[str, str], Reference] = {}

    def add(reference: Reference) -> None:
        found.setdefault((reference.digest, reference.role), reference)

    if media_type in IMAGE_TYPES:
        if manifest.manifests:
            raise InvalidManifest("an image manifest has config and layers, not manifests")
        if manifest.config is None:
            raise InvalidManifest("an image manifest has a config")
        add(Reference(manifest.config.digest, "config", required=required != "none"))
        for layer in manifest.layers:
            add(Reference(layer.digest, "layer", required=required != "none" and not layer.foreign))
    elif manifest.config is not None or manifest.layers:
        raise InvalidManifest("an index has manifests, not config and layers")
    for child in manifest.manifests:
        add(Reference(child.digest, "child", required=required == "all"))
    return tuple(found.values())


def _document(manifest: Manifest) -> bytes:
    """What a referrers listing shows of a manifest beside its columns."""
    if not manifest.annotations_json:
        return b"{}"
    return orjson.dumps({"annotations": orjson.Fragment(manifest.annotations_json)})
