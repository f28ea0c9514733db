"""An issuer that people log in at: authorization endpoint and token endpoint, which is strict about PKCE.

    with running_login_issuer() as issuer:
        issuer.user["groups"] = ["developers"]

Whoever comes to its authorization endpoint is `user`, and has agreed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.support.httpd import Answer, Asked, serving
from tests.support.issuer import Issuer, b64

CLIENT, CLIENT_SECRET = "nora", "of the client: 1+1"


@dataclass(slots=True)
class LoginIssuer(Issuer):
    """The running issuer."""

    user: dict[str, Any] = field(default_factory=dict)
    """Claims of who logs in."""
    secret: str | None = CLIENT_SECRET
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    """What was asked for, by the code that was given for it; a code is good once."""
    refuse: dict[str, str] = field(default_factory=dict)
    """What is answered instead of a code."""
    sign: Callable[[dict[str, Any]], str] | None = None
    """Instead of signing the claims of a token."""

    def answer(self, asked: Asked) -> Answer:
        parts = urlsplit(asked.path)
        if self.down:
            return Answer(500)
        if parts.path == "/authorize":
            return self._authorize(dict(parse_qsl(parts.query)))
        if parts.path == "/token" and asked.method == "POST":
            return self._token(asked)
        return Issuer.answer(self, asked)

    def _authorize(self, wish: dict[str, str]) -> Answer:
        assert (wish["response_type"], wish["client_id"]) == ("code", CLIENT)
        assert wish["code_challenge_method"] == "S256"
        assert "openid" in wish["scope"].split()
        code = secrets.token_urlsafe(8)
        self.codes[code] = wish
        told = {"state": wish["state"], "iss": self.url, **(self.refuse or {"code": code})}
        return Answer(302, headers={"Location": f"{wish['redirect_uri']}?{urlencode(told)}"})

    def _token(self, asked: Asked) -> Answer:
        form = dict(parse_qsl(asked.body.decode()))
        if self._client(asked, form) != (CLIENT, self.secret):
            return _json(401, {"error": "invalid_client"})
        wish = self.codes.pop(form.get("code", ""), None)
        digest = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (
            wish is None
            or wish["code_challenge"] != digest
            or wish["redirect_uri"] != form["redirect_uri"]
            or form["grant_type"] != "authorization_code"
        ):
            return _json(400, {"error": "invalid_grant"})
        claims = self.claims(aud=CLIENT, nonce=wish["nonce"], **{"sub": "u-1", **self.user})
        token = self.sign(claims) if self.sign else self.token(**claims)
        return _json(200, {"access_token": "a", "token_type": "Bearer", "id_token": token})

    def _client(self, asked: Asked, form: dict[str, str]) -> tuple[str | None, str | None]:
        scheme, _, given = asked.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            pair = b64decode(given).decode().partition(":")
            [(client, secret)] = parse_qsl(f"{pair[0]}={pair[2]}")  # RFC 6749, 2.3.1: form-encoded
            return client, secret
        return form.get("client_id"), form.get("client_secret")


def _json(status: int, document: dict[str, Any]) -> Answer:
    return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"})


@contextlib.contextmanager
def running_login_issuer() -> Iterator[LoginIssuer]:
    """An issuer on the loopback that lets in the user `alice`, a developer."""
    issuer = LoginIssuer(user={"preferred_username": "alice", "groups": ["developers"]})
    issuer.rotate()
    with serving(issuer.answer) as issuer.server:
        issuer.discovery = {
            "authorization_endpoint": f"{issuer.url}/authorize",
            "token_endpoint": f"{issuer.url}/token",
        }
        yield issuer
