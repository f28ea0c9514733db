"""A data directory as the NORA written in Rust lays it out, with something of every format in it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson

from nora.formats.cargo.samples import crate
from nora.formats.docker.documents import OCI_INDEX, OCI_MANIFEST
from nora.formats.go.samples import module_zip
from nora.formats.npm.integrity import integrity
from nora.formats.npm.samples import tarball
from nora.formats.pypi.samples import SAMPLE as WHEEL

IMAGE_CONFIG = b"{}"
LAYER = b"a layer" * 1000
CRATE = crate("My-Crate", "1.2.0", more='[dependencies.alias]\npackage = "real"\nversion = "1"\n')
MODULE = "corp.example/Lib"
MODULE_ZIP = module_zip(MODULE, "v1.0.0", {"go.mod": f"module {MODULE}\n", "lib.go": "package lib\n"})
POM = b"<project><modelVersion>4.0.0</modelVersion></project>"
WHEEL_NAME = "nora_sample-1.0-py3-none-any.whl"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def npm_tarball(name: str, version: str) -> bytes:
    return tarball({"name": name, "version": version})


class Tree:
    """A directory; what is put there is pinned, as local storage does it."""

    def __init__(self, root: Path) -> None:
        self.root = root / "storage"
        self.root.mkdir(parents=True)

    def put(self, key: str, data: bytes, *, pinned: bool = True) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if pinned:
            with (self.root / ".nora-pins.ndjson").open("ab") as pins:
                pins.write(orjson.dumps({"key": key, "sha256": sha256(data)}) + b"\n")

    def put_json(self, key: str, document: Any) -> None:
        self.put(key, orjson.dumps(document), pinned=False)

    def image(self, name: str, *tags: str, layer: bytes = LAYER) -> bytes:
        """An image; its manifest."""
        blobs = [IMAGE_CONFIG, layer]
        for one in blobs:
            self.put(f"docker/{name}/blobs/sha256:{sha256(one)}", one)
        config, layer_of = (
            {"mediaType": "application/octet-stream", "digest": f"sha256:{sha256(one)}", "size": len(one)}
            for one in blobs
        )
        manifest = orjson.dumps(
            {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer_of]}
        )
        self.manifest(name, manifest, *tags)
        return manifest

    def index(self, name: str, child: bytes, *tags: str) -> bytes:
        """An index of one manifest."""
        listed = {"mediaType": OCI_MANIFEST, "digest": f"sha256:{sha256(child)}", "size": len(child)}
        body = orjson.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [listed]})
        self.manifest(name, body, *tags)
        return body

    def manifest(self, name: str, body: bytes, *tags: str) -> None:
        for reference in (f"sha256:{sha256(body)}", *tags):
            self.put(f"docker/{name}/manifests/{reference}.json", body)
            self.put_json(f"docker/{name}/manifests/{reference}.meta.json", {"pulls": 1})

    def npm(self, name: str, *versions: str, **tags: str) -> None:
        """A package that was published."""
        for version in versions:
            data = npm_tarball(name, version)
            file = f"{name.rpartition('/')[2]}-{version}.tgz"
            self.put(f"npm/{name}/tarballs/{file}", data)
            self.put(f"npm/{name}/tarballs/{file}.sha256", sha256(data).encode())
            dist = {
                "integrity": integrity(hashlib.sha512(data).hexdigest()),
                "tarball": f"http://old.example/npm/{name}/-/{file}",
            }
            self.put_json(
                f"npm/{name}/versions/{version}.json", {"name": name, "version": version, "dist": dist}
            )
        for tag, version in tags.items():
            self.put(f"npm/{name}/dist-tags/{tag}", version.encode())
        self.put_json(f"npm/{name}/pkg.json", {"name": name, "readme": "# Read me"})

    def crate(self, name: str, version: str, data: bytes, **more: Any) -> None:
        """A crate that was published."""
        self.put(f"cargo/{name}/{version}/{name}-{version}.crate", data)
        prefix = f"{name[:2]}/{name[2:4]}"
        line = {
            "name": name,
            "vers": version,
            "deps": [{"name": "real", "req": "^1", "package": "alias", "kind": "normal"}],
            "cksum": sha256(data),
            "features": {},
            "yanked": False,
            **more,
        }
        self.put_json(f"cargo/index-entries/{prefix}/{name}/{version}.json", line)


def whole_tree(root: Path) -> Tree:
    """Something of every format, published and cached."""
    tree = Tree(root)
    child = tree.image("team/app", "1", "latest")
    tree.index("team/app", child, "multi")
    tree.image("docker.io/library/alpine", "3")
    tree.put("maven/com/corp/lib/1.0/lib-1.0.pom", POM)
    tree.put(
        "maven/com/corp/lib/1.0/lib-1.0.pom.sha1",
        hashlib.sha1(POM, usedforsecurity=False).hexdigest().encode(),
        pinned=False,
    )
    tree.put("maven/com/corp/lib/maven-metadata.xml", b"<metadata/>", pinned=False)
    tree.put("maven/org/else/lib/1.0/lib-1.0.pom", POM)
    tree.npm("@corp/tool", "1.0.0", "1.1.0", "2.0.0-rc.1", latest="1.1.0", next="2.0.0-rc.1")
    tree.put_json("npm/left-pad/metadata.json", {"name": "left-pad", "versions": {}})
    tree.crate("my-crate", "1.2.0", CRATE)
    tree.crate("my-crate", "1.3.0", crate("My-Crate", "1.3.0"), yanked=True, deps=[])
    tree.put("cargo/serde/1.0.0/serde-1.0.0.crate", b"of an upstream")
    for project in ("nora-sample", "flask"):
        tree.put(f"pypi/{project}/{WHEEL_NAME}", WHEEL.fetched)
    tree.put(f"pypi-own/nora-sample/files/{WHEEL_NAME}", b"")
    tree.put_json("pypi/nora-sample/dates.json", {})
    tree.put("go/corp.example/!lib/@v/v1.0.0.zip", MODULE_ZIP)
    tree.put("go/corp.example/!lib/@v/v1.0.0.info", b"{}")
    tree.put("go/golang.example/x/@v/v1.0.0.zip", b"of an upstream")
    tree.put("raw/dir/a file.txt", b"any bytes")
    tree.put("raw/dir/.tmp.12.1", b"cut o", pinned=False)
    tree.put("gems/gems/rake-13.gem", b"a gem")
    tree.put_json("../tokens/0011.json", {"token_hash": "$argon2id$…", "user": "ci"})
    return tree
