"""A registry of npm packages on an upstream of a test: packuments with real tarballs.

    registry = NpmRegistry()
    registry.add(Built("@corp/lib", "1.0.0", dependencies={"other": "^1"}))
    registry.mount(up)                                # f"{up.url}/reg/"

Packuments are made anew for each request: change `registry.packages` and the next one shows it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from tests.support.answers import Answer, Asked, document
from tests.support.upstream import Upstream

ABBREVIATED = "application/vnd.npm.install-v1+json"
PREFIX = "/reg/"


@dataclass(slots=False)
class Built:
    """A version of a package."""

    name: str
    version: str = "1.0.0"
    fields: dict[str, Any] = field(default_factory=dict)
    """More of its manifest."""
    files: dict[str, bytes] = field(default_factory=lambda: {"index.js": b"module.exports = 1\n"})
    published: str = "2024-01-02T03:04:05.678Z"
    inside: dict[str, Any] | None = None
    """What `package.json` in the tarball says, where that is something else."""
    told: dict[str, Any] = field(default_factory=dict)
    """What `dist` says instead of the truth."""

    @property
    def manifest(self) -> dict[str, Any]:
        return {"name": self.name, "version": self.version, "license": "MIT", **self.fields}

    @cached_property
    def body(self) -> bytes:
        inside = self.manifest if self.inside is None else self.inside
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path, data in {"package.json": json.dumps(inside).encode(), **self.files}.items():
                member = tarfile.TarInfo(f"package/{path}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return gzip.compress(buffer.getvalue(), mtime=0)

    @property
    def filename(self) -> str:
        return f"{self.name.rpartition('/')[2]}-{self.version}.tgz"

    @property
    def path(self) -> str:
        """Of the tarball, below a registry."""
        return f"{self.name}/-/{self.filename}"

    @property
    def dist(self) -> dict[str, Any]:
        return {
            "integrity": "sha512-" + base64.b64encode(hashlib.sha512(self.body).digest()).decode(),
            "shasum": hashlib.sha1(self.body).hexdigest(),
            **self.told,
        }

    def publication(self, tag: str = "latest", **changes: Any) -> dict[str, Any]:
        """As `npm publish` sends it."""
        attachment = {
            "content_type": "application/octet-stream",
            "data": base64.b64encode(self.body).decode(),
            "length": len(self.body),
        }
        tarball = f"http://elsewhere.example/{self.name}/-/{self.name}-{self.version}.tgz"
        manifest = {
            **self.manifest,
            "_id": f"{self.name}@{self.version}",
            "dist": {**self.dist, "tarball": tarball},
        }
        return {
            "_id": self.name,
            "name": self.name,
            "dist-tags": {tag: self.version},
            "versions": {self.version: manifest},
            "access": None,
            "_attachments": {f"{self.name}-{self.version}.tgz": attachment},
            **changes,
        }


@dataclass(slots=True)
class NpmPackage:
    name: str
    versions: dict[str, Built] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    """More of the packument."""


@dataclass(slots=True)
class NpmRegistry:
    """A handler of `Upstream.mount`. The switches make it an older registry than the public one is."""

    packages: dict[str, NpmPackage] = field(default_factory=dict)
    etags: bool = True
    integrity: bool = True
    """Whether `dist` has sha512, not sha1 alone."""
    bodies: dict[str, Answer] = field(default_factory=dict)
    """What is served instead of a tarball, by its path."""
    url: str = ""

    def add(self, *builds: Built, tag: str = "latest") -> None:
        for built in builds:
            package = self.packages.setdefault(built.name, NpmPackage(built.name))
            package.versions[built.version] = built
            package.tags[tag] = built.version

    def mount(self, up: Upstream) -> None:
        self.url = up.url + PREFIX.rstrip("/")
        up.mount(PREFIX, self)

    def packument(self, name: str) -> dict[str, Any]:
        """The full document of a package."""
        package = self.packages[name]
        versions = {}
        for version, built in package.versions.items():
            dist = built.dist if self.integrity else {"shasum": built.dist["shasum"]}
            manifest = {**built.manifest, "_id": f"{name}@{version}"}
            versions[version] = {**manifest, "dist": {**dist, "tarball": f"{self.url}/{built.path}"}}
        times = {version: built.published for version, built in package.versions.items()}
        stamps = list(times.values()) or ["2024-01-01T00:00:00.000Z"]
        return {
            "_id": name,
            "_rev": "1-abc",
            "name": name,
            "dist-tags": package.tags,
            "versions": versions,
            "time": {"created": min(stamps), "modified": max(stamps), **times},
            "readme": f"see {self.url}/{name}/-/readme",
            **package.about,
        }

    def __call__(self, asked: Asked) -> Answer | None:
        path = unquote(asked.path.removeprefix(PREFIX))
        if path in self.packages:
            body = json.dumps(self.packument(path)).encode()
            return document(body, "application/json", etag="" if self.etags else None)
        if path in self.bodies:
            return self.bodies[path]
        for package in self.packages.values():
            for built in package.versions.values():
                if path == built.path:
                    return document(built.body)
        return None
