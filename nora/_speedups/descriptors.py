"""What a scan of a manifest returns: the values that both twins of `manifest` share."""

from __future__ import annotations

from typing import NamedTuple

import orjson


class Descriptor(NamedTuple):
    """One reference of a manifest to content (image-spec, descriptor.md).

    `digest` follows the grammar of the image-spec; of the algorithms only sha256 and sha512 are known, and
    `is_digest` says whether it is one of them.
    """

    media_type: str
    digest: str
    size: int
    """In bytes, below 2**63."""
    urls: bool
    """Whether it names other places to fetch the content from."""
    artifact_type: str | None
    platform: str | None
    """`os/architecture` or `os/architecture/variant`; None unless both of the first are given."""

    @property
    def foreign(self) -> bool:
        """Whether the content may live elsewhere only: a registry must not insist on having it."""
        return self.urls or ".foreign." in self.media_type or ".nondistributable." in self.media_type


class Manifest(NamedTuple):
    """What an image manifest or an index says, of whatever vendor. Absent and null fields are alike."""

    media_type: str | None
    artifact_type: str | None
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None
    annotations_json: bytes | None
    """The annotations as compact JSON in the order of the manifest, as orjson writes them."""
    schema_version: int | None

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations, decoded at each call."""
        return orjson.loads(self.annotations_json) if self.annotations_json else {}
