"""A small crate: published as cargo does it, fetched by its checksum."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from typing import Final

import orjson

from nora.formats.samples import Sample, Step

NAME: Final = "nora-sample"
VERSION: Final = "1.0.0"


def crate(
    name: str, version: str, source: str = "", more: str = "", files: Mapping[str, str] | None = None
) -> bytes:
    """A crate file with a library of this source; `more` is what else its manifest says, `files` are others
    in it."""
    manifest = f'[package]\nname = "{name}"\nversion = "{version}"\n{more}'
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, text in {**(files or {}), "Cargo.toml": manifest, "src/lib.rs": source}.items():
            member, data = tarfile.TarInfo(f"{name}-{version}/{path}"), text.encode()
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0)


def publication(metadata: bytes, file: bytes) -> bytes:
    """What `cargo publish` sends."""
    return len(metadata).to_bytes(4, "little") + metadata + len(file).to_bytes(4, "little") + file


_METADATA: Final = orjson.dumps({"name": NAME, "vers": VERSION, "deps": [], "features": {}})
_CRATE: Final = crate(NAME, VERSION)
_API: Final = "/cargo/api/v1/crates"

SAMPLE = Sample(
    publish=(Step("PUT", f"{_API}/new", 200, (), publication(_METADATA, _CRATE)),),
    fetch=Step("GET", f"/cargo/dl/{NAME}/{VERSION}/{hashlib.sha256(_CRATE).hexdigest()}.crate", 200),
    fetched=_CRATE,
    absent=Step("GET", f"{_API}/nora-sample-absent", 404),
    refused=Step("POST", f"{_API}/{NAME}", 405),
    malformed=Step("GET", f"{_API}/9nora", 400),
    error_type="application/json",
)
