"""A small package: published as npm does it, fetched by its address."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

import orjson

from nora.formats.npm.integrity import integrity
from nora.formats.samples import Sample, Step

NAME: Final = "@nora/sample"
VERSION: Final = "1.0.0"


def tarball(manifest: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> bytes:
    """The tarball of a package."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, data in {"package.json": orjson.dumps(manifest), **(files or {})}.items():
            member = tarfile.TarInfo(f"package/{path}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0)


def publication(manifest: Mapping[str, Any], file: bytes, tag: str = "latest") -> dict[str, Any]:
    """The document that `npm publish` sends."""
    name, version = manifest["name"], manifest["version"]
    dist = {
        "integrity": integrity(hashlib.sha512(file).hexdigest()),
        "shasum": hashlib.sha1(file, usedforsecurity=False).hexdigest(),
        "tarball": f"http://localhost/{name}/-/{name}-{version}.tgz",
    }
    return {
        "_id": name,
        "name": name,
        "dist-tags": {tag: version},
        "versions": {version: {"_id": f"{name}@{version}", **manifest, "dist": dist}},
        "access": None,
        "_attachments": {
            f"{name}-{version}.tgz": {
                "content_type": "application/octet-stream",
                "data": b64encode(file).decode(),
                "length": len(file),
            }
        },
    }


_MANIFEST: Final = {"name": NAME, "version": VERSION, "license": "MIT"}
_TARBALL: Final = tarball(_MANIFEST)

SAMPLE = Sample(
    publish=(
        Step(
            "PUT",
            "/npm/@nora%2fsample",
            201,
            (("content-type", "application/json"),),
            orjson.dumps(publication(_MANIFEST, _TARBALL)),
        ),
    ),
    fetch=Step("GET", f"/npm/{NAME}/-/sample-{VERSION}.tgz", 200),
    fetched=_TARBALL,
    absent=Step("GET", "/npm/nora-sample-absent", 404),
    refused=Step("POST", f"/npm/{NAME}", 405),
    malformed=Step("GET", "/npm/%252e%252e", 400),
    error_type="application/json",
)
