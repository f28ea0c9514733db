"""A small image: pushed as docker does it, pulled by tag."""

from __future__ import annotations

import hashlib

import orjson

from nora.formats.docker.documents import OCI_MANIFEST
from nora.formats.samples import Sample, Step

_CONFIG = b"{}"
_LAYER = b"a layer"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


_MANIFEST = orjson.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _descriptor("application/vnd.oci.image.config.v1+json", _CONFIG),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", _LAYER)],
    }
)


def _push(content: bytes) -> Step:
    return Step("POST", f"/v2/sample/app/blobs/uploads/?digest={_digest(content)}", 201, body=content)


SAMPLE = Sample(
    publish=(
        _push(_CONFIG),
        _push(_LAYER),
        Step("PUT", "/v2/sample/app/manifests/1", 201, (("content-type", OCI_MANIFEST),), _MANIFEST),
    ),
    fetch=Step("GET", "/v2/sample/app/manifests/1", 200),
    fetched=_MANIFEST,
    absent=Step("GET", "/v2/sample/app/manifests/absent", 404),
    refused=Step("POST", "/v2/sample/app/manifests/1", 405),
    malformed=Step("GET", "/v2/sample/app/blobs/sha256:short", 400),
    error_type="application/json",
)
