"""The documents of the protocol as pure functions: listings, referrers, links to the next page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import urlencode

import orjson

from nora._speedups import Manifest, is_digest
from nora.catalog.records import VersionAbout
from nora.errors import InvalidPage

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

IMAGE_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})

MAX_PAGE = 10_000
"""Entries of a listing without `n`, and the most that `n` gives."""

_LINK = re.compile(r"<([^<>]*)>([^<,]*)")
_VALIDATOR = re.compile(r'(W/)?"([^"]*)"')
_NEXT = re.compile(r';[ \t]*rel[ \t]*=[ \t]*"?next"?[ \t]*(?:;|$)', re.IGNORECASE)


def parse_page_size(text: str | None) -> int:
    """The `n` of a listing. Raises InvalidPage unless it is a non-negative decimal number."""
    if text is None:
        return MAX_PAGE
    if not (text.isascii() and text.isdigit()):
        raise InvalidPage("n must be a non-negative number")
    return min(int(text.lstrip("0")[:10] or "0"), MAX_PAGE)


def parse_if_match(text: str) -> tuple[str, ...]:
    """The validators of an `If-Match` (RFC 9110, 13.1.1): `*`, or strong ones, since weak ones never match.
    One without quotes is taken as it is."""
    if '"' not in text:
        return (text.strip(),)
    return tuple(tag for weak, tag in _VALIDATOR.findall(text) if not weak)


def render_names(key: str, names: Sequence[str], **fields: str) -> bytes:
    """A `tags/list` or `_catalog` body."""
    return orjson.dumps({**fields, key: names})


def next_link(path: str, **query: str | int | None) -> tuple[bytes, bytes]:
    """The `Link` header to the next page (RFC 8288), relative to the host."""
    pairs = {name: value for name, value in query.items() if value is not None}
    return b"link", f'<{path}?{urlencode(pairs)}>; rel="next"'.encode()


def next_page(header: str) -> str | None:
    """Where a `Link` header of somebody else says that the next page is (RFC 8288); None: nowhere."""
    for match in _LINK.finditer(header):
        if _NEXT.search(match[2]):
            return match[1]
    return None


def artifact_type_of(manifest: Manifest, media_type: str) -> str | None:
    """What kind of artifact a manifest is (distribution-spec, Listing Referrers): its artifactType,
    else - for an image manifest only - the media type of its config."""
    if manifest.artifact_type:
        return manifest.artifact_type
    if media_type in IMAGE_TYPES and manifest.config is not None:
        return manifest.config.media_type
    return None


def fallback_tag(subject: str) -> str:
    """The tag under which clients keep referrers where a registry has no referrers API
    (distribution-spec, Referrers Tag Schema)."""
    algorithm, _, encoded = subject.partition(":")
    return f"{algorithm[:32]}-{encoded[:64]}"


def referrer_descriptor(referrer: VersionAbout) -> dict[str, object]:
    """A referrer as an entry of the referrers index."""
    descriptor: dict[str, object] = {
        "mediaType": referrer.media_type,
        "digest": referrer.version,
        "size": referrer.size,
    }
    if referrer.kind:
        descriptor["artifactType"] = referrer.kind
    annotations = orjson.loads(referrer.document).get("annotations")
    if annotations:
        descriptor["annotations"] = annotations
    return descriptor


def read_index(body: bytes) -> list[dict[str, Any]]:
    """The descriptors of a valid index that somebody wrote; what is none is left out."""
    entries = orjson.loads(body).get("manifests") or ()
    return [found for entry in entries if (found := read_descriptor(entry)) is not None]


def read_descriptor(entry: object) -> dict[str, Any] | None:
    """An entry of an index that somebody wrote (image-spec, Descriptor Properties); None for what is none.

    Only the fields of the specification are taken, where they are of its types: orjson reads more levels
    than it writes.
    """
    if not isinstance(entry, dict):
        return None
    digest, media_type, size = (entry.get(name) for name in ("digest", "mediaType", "size"))
    if not (isinstance(digest, str) and is_digest(digest) and isinstance(media_type, str)):
        return None
    if type(size) is not int or size < 0:
        return None
    return {name: value for name, value in entry.items() if name in _FIELDS and _FIELDS[name](value)}


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_text_map(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def _is_platform(value: object) -> bool:
    """Beside the features it is made of texts (image-spec, Image Index)."""
    return isinstance(value, dict) and all(
        isinstance(one, str) or (name in _FEATURES and _are_texts(one)) for name, one in value.items()
    )


_FEATURES = frozenset({"features", "os.features"})
_FIELDS: dict[str, Callable[[object], bool]] = {
    "mediaType": _is_text,
    "digest": _is_text,
    "size": lambda value: True,
    "artifactType": _is_text,
    "annotations": _is_text_map,
    "urls": _are_texts,
    "data": _is_text,
    "platform": _is_platform,
}
"""What a descriptor may say, and whether it may say it so."""


def render_referrers(descriptors: Iterable[dict[str, object]]) -> bytes:
    """The referrers index. An empty one is a valid answer."""
    return orjson.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(descriptors)})
