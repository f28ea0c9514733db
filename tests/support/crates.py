"""Crates, as cargo packs and publishes them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from nora.formats.cargo.samples import crate, publication


@dataclass(frozen=True)
class Built:
    """A version of a crate."""

    name: str
    version: str = "1.0.0"
    said: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the metadata beside the name and the version."""
    maker: str = ""
    """Whose it is: the bytes of the file tell."""
    readme: str = ""
    """README.md in the crate file; empty: it has none."""

    @cached_property
    def body(self) -> bytes:
        """The crate file."""
        more = {"README.md": self.readme} if self.readme else {}
        named = 'readme = "README.md"\n' if self.readme else ""
        return crate(self.name, self.version, self.maker, named, more)

    @property
    def sha256(self) -> str:
        """Of the crate file, in hexadecimal."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def filename(self) -> str:
        """As cargo names it on disk."""
        return f"{self.name}-{self.version}.crate"

    def publication(self) -> bytes:
        """What `cargo publish` sends."""
        said = {"name": self.name, "vers": self.version, "deps": [], "features": {}, **self.said}
        return publication(orjson.dumps(said), self.body)
