"""What the micro benches measure: the calls of one request, each on valid, invalid and longest input."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import xxhash

from nora._speedups import manifest_py, names_py, ranges_py

_random = random.Random(1)

SCAN, VALIDATE, DIGEST = 2.0, 1.0, 0.97
"""How many times as fast as its rival a compiled function must be: split and scan, validators, digests.

Refusals count as validators: either side makes an exception, half a microsecond that no compiler saves.
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One call that the twin, the compiled function and maybe a plain library are timed at."""

    function: str
    name: str
    module: str
    """`names`, `ranges`, `digest` or `manifest`."""
    call: Callable[[ModuleType], Callable[[], object]]
    """Makes the call to be timed, on a twin."""
    gate: float
    plain: Callable[[], object] | None = None
    """The same work done with the libraries themselves; then the rival that the gate is about."""

    @property
    def id(self) -> str:
        return f"{self.function}: {self.name}"


def _case(
    module: ModuleType, function: str, name: str, gate: float, *arguments: object, refused: bool = False
) -> Case:
    def call(twin: ModuleType) -> Callable[[], object]:
        called = getattr(twin, function)
        if not refused:
            return lambda: called(*arguments)

        def refuse() -> None:
            try:
                called(*arguments)
            except ValueError:
                return
            raise AssertionError(f"{function} accepted {name}")

        return refuse

    return Case(function, name, module.__name__.rpartition(".")[2].removesuffix("_py"), call, gate)


# ---- names ----

SHA256 = f"sha256:{_random.randbytes(32).hex()}"
SHA512 = f"sha512:{_random.randbytes(64).hex()}"
LONGEST_NAME = "/".join(["component-1"] * 21)
UPLOAD = "0b9f5c9e-9f0a-4ac6-8f3b-0a3a6c3b8d11"

_PATHS = {
    "manifest by tag": "/v2/team/app/manifests/1.2.3",
    "blob": f"/v2/team/app/blobs/{SHA256}",
    "blob, escaped": f"/v2/team/app/blobs/{SHA256.replace(':', '%3A')}",
    "upload": f"/v2/team/app/blobs/uploads/{UPLOAD}",
    "longest": f"/v2/{LONGEST_NAME}/manifests/{SHA512}",
    "no endpoint": "/v2/team/app/other/1",
}
_BAD_PATHS = {"invalid: escape": "/v2/team/app/manifests/%zz"}

_PREDICATES: dict[str, tuple[str, str, str]] = {  # valid, invalid, longest
    "is_image_name": ("team/app", "team/App", LONGEST_NAME),
    "is_tag": ("1.2.3-rc.1", "-1.2.3", "x" * 128),
    "is_digest": (SHA256, SHA256[:-1] + "G", SHA512),
    "is_request_id": ("8f14e45f-ceea-467f-a830-2b1f3c1d0a55", "two words", "x" * 128),
}
_PARSERS: dict[str, tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]]] = {
    "parse_digest": ((SHA256,), (SHA256[:-1] + "G",), (SHA512,)),
    "check_storage_key": (
        ("com/example/app/1.0/app-1.0.jar",),
        ("com/example/../app-1.0.jar",),
        ("/".join(["x" * 204] * 5),),
    ),
    "parse_range": (
        ("bytes=0-1048575", 1 << 30),
        ("bytes=2000-", 1000),
        (f"bytes={1 << 61}-{1 << 62}", (1 << 63) - 1),
    ),
    "parse_content_range": (("0-1048575",), ("0-",), ("bytes 1000000000000000000-2000000000000000000/*",)),
}

NAMES: list[Case] = [
    *(_case(names_py, "split_oci_path", name, SCAN, path) for name, path in _PATHS.items()),
    *(
        _case(names_py, "split_oci_path", name, VALIDATE, path, refused=True)
        for name, path in _BAD_PATHS.items()
    ),
]
for _function, _texts in _PREDICATES.items():
    for _name, _text in zip(("valid", "invalid", "longest"), _texts, strict=True):
        NAMES.append(_case(names_py, _function, _name, VALIDATE, _text))
for _function, _inputs in _PARSERS.items():
    for _name, _arguments in zip(("valid", "invalid", "longest"), _inputs, strict=True):
        _module = ranges_py if hasattr(ranges_py, _function) else names_py
        NAMES.append(_case(_module, _function, _name, VALIDATE, *_arguments, refused=_name == "invalid"))
NAMES.append(_case(names_py, "check_storage_key", "longest, not ASCII", VALIDATE, "/".join(["é" * 100] * 5)))
NAMES.append(_case(ranges_py, "parse_range", "ignored", VALIDATE, "bytes=0-1,2-3", 1000))


# ---- manifests ----


def _descriptor(media_type: str, **more: object) -> dict[str, object]:
    digest = f"sha256:{_random.randbytes(32).hex()}"
    return {"mediaType": media_type, "digest": digest, "size": _random.randrange(1 << 28), **more}


def _dump(**fields: object) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


_IMAGE: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": _descriptor("application/vnd.oci.image.config.v1+json"),
    "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip") for _ in range(7)],
}
_INDEX: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.index.v1+json",
    "manifests": [
        _descriptor(
            "application/vnd.oci.image.manifest.v1+json", platform={"architecture": name, "os": "linux"}
        )
        for name in ("amd64", "arm64", "ppc64le", "s390x", "386", "riscv64")
    ],
}
_NOTES = {f"org.example.key{number}": "x" * 10_000 for number in range(390)}

IMAGE = _dump(**_IMAGE)
_BODIES = {
    "image": IMAGE,
    "image, indented": json.dumps(_IMAGE, indent=3).encode(),
    "index": _dump(**_INDEX),
    "minimal": _dump(schemaVersion=2, layers=[]),
    "390 annotations": _dump(**_IMAGE, annotations=_NOTES),
    "annotations with escapes": _dump(**_IMAGE, annotations={"org.example.note": 'say "hi"\n<now>'}),
}
_BAD_BODIES = {
    "invalid: JSON": IMAGE[:-1],
    "invalid: first digest": IMAGE.replace(b"sha256:", b"sha256-", 1),
    "invalid: last layer": _dump(**{**_IMAGE, "layers": [*_IMAGE["layers"], {}]}),
}

MANIFESTS: list[Case] = [
    *(_case(manifest_py, "scan_manifest", name, SCAN, body) for name, body in _BODIES.items()),
    *(
        _case(manifest_py, "scan_manifest", name, VALIDATE, body, refused=True)
        for name, body in _BAD_BODIES.items()
    ),
]


# ---- digests ----


def _digest(data: bytes, algorithms: Sequence[str]) -> Case:
    """Taking and asking for digests, beside hashlib and xxhash doing the same."""
    makers = [getattr(hashlib, algorithm) for algorithm in algorithms]

    def call(twin: ModuleType) -> Callable[[], object]:
        def hash_all() -> None:
            hasher = twin.Hasher(*algorithms)
            hasher.update(data)
            for algorithm in algorithms:
                hasher.hexdigest(algorithm)
            hasher.xxh3()

        return hash_all

    def plain() -> None:
        running = [make() for make in makers]
        running.append(xxhash.xxh3_128())
        for each in running:
            each.update(data)
        for each in running:
            each.hexdigest()

    size = "1 MiB" if len(data) == 1 << 20 else "1 KiB"
    return Case("Hasher.update", f"{size}, {' + '.join(algorithms)} + xxh3", "digest", call, DIGEST, plain)


def _write(data: bytes) -> Case:
    """One chunk of an upload: written and hashed by a hasher that goes on."""
    file = os.memfd_create("upload")  # it ends with the process
    sha256, xxh3 = hashlib.sha256(), xxhash.xxh3_128()

    def call(twin: ModuleType) -> Callable[[], object]:
        hasher = twin.Hasher("sha256")
        return lambda: hasher.write(file, data, 0)

    def plain() -> None:
        os.pwrite(file, data, 0)
        sha256.update(data)
        xxh3.update(data)

    return Case("Hasher.write", "1 MiB, sha256 + xxh3", "digest", call, DIGEST, plain)


_DATA = _random.randbytes(1 << 20)
DIGESTS: list[Case] = [
    _digest(_DATA[:1024], ["sha256"]),
    _digest(_DATA[:1024], ["sha256", "sha512"]),
    _digest(_DATA, ["sha256"]),
    _digest(_DATA, ["sha256", "sha512"]),
    _write(_DATA),
]
CASES = [*NAMES, *MANIFESTS, *DIGESTS]

REQUESTS: dict[str, list[str]] = {
    "GET manifest by tag": ["split_oci_path: manifest by tag", "is_image_name: valid", "is_tag: valid"],
    "HEAD or GET blob": ["split_oci_path: blob", "is_image_name: valid", "is_digest: valid"],
    "GET blob, a range": [
        *("split_oci_path: blob", "is_image_name: valid", "is_digest: valid", "parse_range: valid"),
    ],
    "PATCH, 1 MiB": [
        *("split_oci_path: upload", "is_image_name: valid", "parse_content_range: valid"),
        "Hasher.write: 1 MiB, sha256 + xxh3",
    ],
    "PUT image manifest": [
        *("split_oci_path: manifest by tag", "is_image_name: valid", "is_tag: valid", "scan_manifest: image"),
        *["is_digest: valid"] * 8,
    ],
    "PUT index": [
        "split_oci_path: manifest by tag",
        "is_image_name: valid",
        "is_tag: valid",
        "scan_manifest: index",
    ],
    "any request with X-Request-ID": ["is_request_id: valid"],
}
"""The calls that one request makes, for what compiling them saves."""
