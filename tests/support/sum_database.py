"""A sum database, signed, on an `Upstream` (go.dev/design/25530-sumdb; RFC 6962, 2.1, for the tree).

It has at most 256 records, so that all of its tree is in one tile.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nora.formats.go.names import unescape
from tests.support.answers import Answer, Asked, document

MOST: int = 256


@dataclass(slots=True)
class SumDatabase:
    """Records of versions: what `go.sum` has of each."""

    name: str
    records: list[tuple[str, str, str]] = field(default_factory=list)
    """Module, version, text."""
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def add(self, module: str, version: str, zip_h1: str, mod_h1: str) -> None:
        """Have a record, before anybody asks."""
        text = f"{module} {version} {zip_h1}\n{module} {version}/go.mod {mod_h1}\n"
        self.records.append((module, version, text))
        assert len(self.records) <= MOST

    @property
    def verifier(self) -> str:
        """The value of GOSUMDB."""
        return f"{self.name}+{self._hash.hex()}+{base64.b64encode(self._public).decode()}"

    def __call__(self, asked: Asked) -> Answer | None:
        """What is below `/sumdb/<name>/` of a proxy, or at the database itself."""
        path = unquote(asked.path).partition(f"/{self.name}/")[2] or unquote(asked.path).lstrip("/")
        if path == "supported":
            return document(b"")
        if path == "latest":
            return document(self._head().encode())
        if path == f"tile/8/0/000.p/{len(self.records)}":
            return document(b"".join(self._leaves()))
        if path.startswith("lookup/"):
            module, _, version = map(unescape, path.removeprefix("lookup/").rpartition("@"))
            for number, (one, its, text) in enumerate(self.records):
                if (one, its) == (module, version):
                    return document(f"{number}\n{text}\n{self._head()}".encode())
        return None

    @property
    def _public(self) -> bytes:
        return b"\x01" + self.key.public_key().public_bytes_raw()

    @property
    def _hash(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + self._public).digest()[:4]

    def _head(self) -> str:
        root = base64.b64encode(_root(list(self._leaves()))).decode()
        text = f"go.sum database tree\n{len(self.records)}\n{root}\n"
        signature = base64.b64encode(self._hash + self.key.sign(text.encode())).decode()
        return f"{text}\n\N{EM DASH} {self.name} {signature}\n"

    def _leaves(self) -> Iterable[bytes]:
        return (sha256(b"\x00" + text.encode()).digest() for _, _, text in self.records)


def _root(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + _root(leaves[:half]) + _root(leaves[half:])).digest()
