"""An issuer of identity tokens of the tests' own: discovery, a key set, keys that rotate, and signatures.

    with running_issuer() as issuer:
        token = issuer.token(sub="repo:acme/app:ref:refs/heads/main")
        issuer.rotate()

The signatures are made by `cryptography` here and not by the library that NORA checks them with.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.support.httpd import Answer, Asked, Served, serving

Kty = Literal["RSA", "EC"]


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int, length: int | None = None) -> str:
    return b64(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


@cache
def _rsa_key(number: int, bits: int) -> rsa.RSAPrivateKey:
    """Made once in a run of the tests: they take long."""
    return rsa.generate_private_key(65537, bits)


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A key pair with its name."""

    kid: str
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

    @property
    def algorithm(self) -> str:
        return "RS256" if isinstance(self.private, rsa.RSAPrivateKey) else "ES256"

    def public(self) -> dict[str, Any]:
        """As it stands in a key set (RFC 7518, 6)."""
        common = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        if isinstance(self.private, rsa.RSAPrivateKey):
            numbers = self.private.public_key().public_numbers()
            return {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e), **common}
        point = self.private.public_key().public_numbers()
        return {"kty": "EC", "crv": "P-256", "x": _number(point.x, 32), "y": _number(point.y, 32), **common}

    def sign(self, data: bytes) -> bytes:
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def make_key(kid: str, kty: Kty = "RSA", *, number: int = 0, bits: int = 2048) -> IssuerKey:
    """The same `number` gives the same RSA key."""
    if kty == "RSA":
        return IssuerKey(kid, _rsa_key(number, bits))
    return IssuerKey(kid, ec.generate_private_key(ec.SECP256R1()))


def signed(key: IssuerKey, claims: Any, header: dict[str, Any] | None = None) -> str:
    """A token in compact form; `header` replaces the whole header."""
    chosen = {"alg": key.algorithm, "kid": key.kid, "typ": "JWT"} if header is None else header
    data = f"{b64(json.dumps(chosen).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{data}.{b64(key.sign(data.encode()))}"


@dataclass(slots=True)
class Issuer:
    """The running issuer. `keys` are those that it publishes; it signs with the last one."""

    server: Served | None = None
    keys: list[IssuerKey] = field(default_factory=list)
    down: bool = False
    """Answer 500 to everything."""
    discovery: dict[str, Any] = field(default_factory=dict)
    """What its discovery document says otherwise."""
    extra: dict[str, Answer] = field(default_factory=dict)
    """Answers for further paths."""
    _made: int = 0

    @property
    def url(self) -> str:
        assert self.server is not None
        return self.server.url

    @property
    def key(self) -> IssuerKey:
        return self.keys[-1]

    def rotate(self, kty: Kty = "RSA") -> IssuerKey:
        """Publish a new key instead of the old ones, and sign with it."""
        self._made += 1
        self.keys = [make_key(f"key-{self._made}", kty, number=self._made)]
        return self.key

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Claims as GitHub makes them; one that is None is left out."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": "nora",
            "jti": secrets.token_hex(8),
            "sub": "repo:acme/app:ref:refs/heads/main",
            "repository": "acme/app",
            "ref": "refs/heads/main",
            "job_workflow_ref": "acme/flows/.github/workflows/build.yml@refs/heads/main",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, **changes: Any) -> str:
        return signed(self.key, self.claims(**changes))

    def asked(self, path: str) -> int:
        """How often a path was asked for."""
        assert self.server is not None
        return self.server.paths().count(path)

    def answer(self, asked: Asked) -> Answer:
        if self.down:
            return Answer(500)
        if asked.path in self.extra:
            return self.extra[asked.path]
        documents = {
            "/.well-known/openid-configuration": {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/jwks",
                **self.discovery,
            },
            "/jwks": {"keys": [key.public() for key in self.keys]},
        }
        if asked.path not in documents:
            return Answer(404)
        body = json.dumps(documents[asked.path]).encode()
        return Answer(200, body, {"Content-Type": "application/json"})


@contextlib.contextmanager
def running_issuer(kty: Kty = "RSA") -> Iterator[Issuer]:
    """An issuer on the loopback with one key."""
    issuer = Issuer()
    issuer.rotate(kty)
    with serving(issuer.answer) as issuer.server:
        yield issuer
