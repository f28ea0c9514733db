"""A sparse index with its crates, as crates-io has them, on an `Upstream`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import orjson

from nora.formats.cargo.names import prefix_of
from nora.formats.cargo.samples import crate as crate_file
from tests.support.answers import Answer, Asked, document
from tests.support.upstream import Upstream


@dataclass(slots=True)
class CrateIndex:
    """What it has may be changed at any time."""

    prefix: str = ""
    template: str | None = None
    """Of `dl`; None: `<upstream>/dl/{crate}/{version}/download`."""
    files: dict[str, list[bytes]] = field(default_factory=dict)
    """Lines by name in lower case."""
    crates: dict[str, bytes] = field(default_factory=dict)
    """By `<name>/<version>`."""

    def add(
        self, name: str, version: str, *, body: bytes | None = None, manifest: str = "", **fields: Any
    ) -> bytes:
        """A version with a crate file of its own; the bytes of that. `manifest` is what else that says."""
        content = crate_file(name, version, more=manifest) if body is None else body
        line = {
            "name": name,
            "vers": version,
            "deps": [],
            "cksum": hashlib.sha256(content).hexdigest(),
            "features": {},
            "yanked": False,
            **fields,
        }
        self.files.setdefault(name.lower(), []).append(orjson.dumps(line))
        self.crates[f"{name}/{version}"] = content
        return content

    def mount(self, upstream: Upstream) -> None:
        """Serve it below `prefix`."""
        dl = self.template or f"{upstream.url}{self.prefix}/dl"
        upstream.serve(f"{self.prefix}/config.json", document(orjson.dumps({"dl": dl, "api": None})))

        upstream.mount(f"{self.prefix}/", self)

    def __call__(self, asked: Asked) -> Answer | None:
        """What is at a path."""
        if asked.path.startswith(f"{self.prefix}/dl/"):
            name, version = asked.path.removeprefix(f"{self.prefix}/dl/").split("/")[:2]
            content = self.crates.get(f"{name}/{version.replace('%2B', '+')}")
            return None if content is None else document(content)
        name = asked.path.rpartition("/")[2]
        known = self.files.get(name)
        if known is None or asked.path != f"{self.prefix}/{prefix_of(name)}/{name}":
            return None
        return document(b"".join(line + b"\n" for line in known), media_type="text/plain")
