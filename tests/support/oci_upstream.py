"""A registry like Docker Hub on an upstream of a test: tokens, `library/`, pull limits, blobs somewhere else.

hub = OCIUpstream(tokens=True, blobs_at=other)
hub.add("library/alpine", images.multi(tmp_path / "layout"), tag="3")
hub.mount(up)
assert hub.up.log.count("HEAD", "/v2/library/alpine/manifests/3") == 1
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.support.answers import Answer, Asked, Body, Repeated, redirect, size_of
from tests.support.images import Layout
from tests.support.oci import (
    CONFIG,
    EMPTY,
    IMAGE,
    INDEX,
    LAYER,
    Descriptor,
    describe,
    digest,
    index,
    render,
)
from tests.support.upstream import Upstream

PULL = "pull"


@dataclass(frozen=True, slots=True)
class Manifest:
    body: bytes
    media_type: str

    @property
    def digest(self) -> str:
        return digest(self.body)

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass(frozen=True, slots=True)
class Token:
    scope: str
    until: float


@dataclass(slots=True, kw_only=True)
class OCIUpstream:
    """A handler of `Upstream.mount`; every field may be changed between two requests."""

    tokens: bool = False
    """Whether pulls need a Bearer token, for the scope that the challenge names."""
    token_seconds: float = 300.0
    realm: Upstream | None = None
    """Where tokens are given, when not here."""
    users: Mapping[str, str] = field(default_factory=dict)
    """Who gets tokens (or, without `tokens`, who gets in by Basic); empty: everybody."""
    library: bool = True
    """Whether names without a slash are unknown, as at Docker Hub."""
    hides: bool = False
    """Whether an unknown name is answered with 401 whatever the token says, as Docker Hub does."""
    etags: bool = True
    limit: int | None = None
    """How many manifests may be pulled; HEAD is free."""
    retry_after: int | None = None
    """Said with 429."""
    blobs_at: Upstream | None = None
    """Another origin to which blobs are redirected, with signed URLs that no Authorization may go with."""
    signed_seconds: float = 60.0
    referrers: bool = True
    blobs: dict[str, Body] = field(default_factory=dict)
    manifests: dict[str, dict[str, Manifest]] = field(default_factory=dict)
    """By name, then by tag and by digest."""
    given: dict[str, Token] = field(default_factory=dict)
    used: int = 0
    """Manifests that counted against the limit."""
    _up: Upstream | None = None

    @property
    def up(self) -> Upstream:
        """Where it is mounted."""
        assert self._up is not None
        return self._up

    def mount(self, upstream: Upstream) -> None:
        self._up = upstream
        upstream.mount("/v2/", self)
        (self.realm or upstream).mount("/token", self._token)
        if self.blobs_at is not None:
            self.blobs_at.mount("/signed/", self._signed)

    # Content

    def add(self, name: str, layout: Layout, tag: str = "latest") -> str:
        """Everything of a layout; its top gets the tag. Returns its digest."""
        for found, body in layout.blobs().items():
            self.blobs[found] = body
        self._add_manifests(name, layout.digest)
        self.tag(name, tag, layout.digest)
        return layout.digest

    def image(
        self, name: str, tag: str = "latest", *layers: bytes | Repeated, seed: str = "", **more: Any
    ) -> Manifest:
        """An image of layers that no test unpacks; `more` are fields of the manifest."""
        config = render({"architecture": "amd64", "os": "linux", "seed": seed})
        document = {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": describe(config, CONFIG),
            "layers": [self.blob(one) for one in (*layers,) or (f"layer of {name} {seed}".encode(),)],
        }
        self.blobs[digest(config)] = config
        return self.put(name, tag, render(document | more))

    def blob(self, body: bytes | Repeated) -> Descriptor:
        """Add a blob and describe it."""
        found = digest(body) if isinstance(body, bytes) else f"sha256:{body.sha256()}"
        self.blobs[found] = body
        return {"mediaType": LAYER, "digest": found, "size": size_of(body)}

    def put(self, name: str, tag: str | None, body: bytes, media_type: str = IMAGE) -> Manifest:
        manifest = Manifest(body, media_type)
        known = self.manifests.setdefault(name, {})
        known[manifest.digest] = manifest
        if tag is not None:
            known[tag] = manifest
        return manifest

    def tag(self, name: str, tag: str, wanted: str) -> None:
        """Let a tag mean a manifest that is there."""
        self.manifests[name][tag] = self.manifests[name][wanted]

    def remove(self, name: str, reference: str) -> None:
        del self.manifests[name][reference]

    def refer(self, name: str, subject: Manifest, artifact_type: str = "application/x-test") -> Manifest:
        """An artifact that refers to `subject`."""
        self.blobs[digest(b"{}")] = b"{}"
        document = {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "artifactType": artifact_type,
            "config": describe(b"{}", EMPTY),
            "layers": [describe(b"{}", EMPTY)],
            "subject": describe(subject.body, subject.media_type),
        }
        return self.put(name, None, render(document))

    def fallback_tag(self, name: str, subject: Manifest) -> None:
        """What clients push where there is no referrers API: an index tagged with the subject's digest."""
        found = index(self._referrers_of(name, subject.digest))
        self.put(name, subject.digest.replace(":", "-"), found, INDEX)

    def _add_manifests(self, name: str, wanted: str) -> None:
        body = self.blobs.pop(wanted)
        assert isinstance(body, bytes)
        document = json.loads(body)
        self.put(name, None, body, document["mediaType"])
        for child in document.get("manifests", []):
            self._add_manifests(name, child["digest"])

    def _referrers_of(self, name: str, subject: str) -> list[Descriptor]:
        unique = {one.digest: one for one in self.manifests.get(name, {}).values()}
        return [
            describe(one.body, one.media_type, artifactType=one.document.get("artifactType", ""))
            for one in unique.values()
            if one.document.get("subject", {}).get("digest") == subject
        ]

    # Requests

    def __call__(self, asked: Asked) -> Answer:
        parts = asked.path.removeprefix("/v2/").split("/")
        if asked.method not in ("GET", "HEAD"):
            return _error(405, "UNSUPPORTED")
        if asked.path == "/v2/":
            return self._refusal(asked, "") or Answer(
                body=b"{}", headers={"content-type": "application/json"}
            )
        match parts:
            case [*name, ("manifests" | "blobs" | "referrers") as kind, reference]:
                return self._found("/".join(name), kind, reference, asked)
            case [*name, "tags", "list"]:
                return self._found("/".join(name), "tags", "", asked)
        return _error(404, "UNSUPPORTED")

    def _found(self, name: str, kind: str, reference: str, asked: Asked) -> Answer:
        if refusal := self._refusal(asked, f"repository:{name}:{PULL}"):
            return refusal
        if name not in self.manifests or (self.library and "/" not in name):
            return (
                self._challenge(asked, f"repository:{name}:{PULL}")
                if self.hides
                else _error(404, "NAME_UNKNOWN")
            )
        match kind:
            case "manifests":
                return self._manifest(name, reference, asked)
            case "blobs":
                return self._blob(reference)
            case "tags":
                return self._tags(name, asked)
            case _ if self.referrers:
                body = index(self._referrers_of(name, reference))
                return Answer(body=body, headers={"content-type": INDEX}, ranges=False)
        return _error(404, "UNSUPPORTED")

    def _manifest(self, name: str, reference: str, asked: Asked) -> Answer:
        manifest = self.manifests[name].get(reference)
        if manifest is None:
            return _error(404, "MANIFEST_UNKNOWN")
        headers = {"content-type": manifest.media_type, "docker-content-digest": manifest.digest}
        if self.etags:
            headers["etag"] = f'"{manifest.digest}"'
        if self.limit is not None:
            if asked.method == "GET" and self.used >= self.limit:
                return self._limited()
            self.used += asked.method == "GET"
            headers |= {
                "ratelimit-limit": f"{self.limit};w=21600",
                "ratelimit-remaining": f"{self.limit - self.used};w=21600",
                "docker-ratelimit-source": "127.0.0.1",
            }
        return Answer(body=manifest.body, headers=headers, ranges=False)

    def _limited(self) -> Answer:
        answer = _error(429, "TOOMANYREQUESTS")
        return answer if self.retry_after is None else answer.plus(retry_after=str(self.retry_after))

    def _blob(self, wanted: str) -> Answer:
        if wanted not in self.blobs:
            return _error(404, "BLOB_UNKNOWN")
        if self.blobs_at is not None:
            until = int((time.time() + self.signed_seconds) * 1000)
            return redirect(f"{self.blobs_at.url}/signed/{wanted}?until={until}", 307)
        return self._bytes(wanted)

    def _bytes(self, wanted: str) -> Answer:
        headers = {
            "content-type": "application/octet-stream",
            "docker-content-digest": wanted,
            "etag": f'"{wanted}"',
        }
        return Answer(body=self.blobs[wanted], headers=headers)

    def _signed(self, asked: Asked) -> Answer:
        wanted = asked.path.removeprefix("/signed/")
        if "authorization" in asked.headers:
            return _error(400, "a signed address and an Authorization header")
        if wanted not in self.blobs:
            return _error(404, "BLOB_UNKNOWN")
        if int(asked.query["until"]) < time.time() * 1000:
            return _error(403, "the signature has expired")
        return self._bytes(wanted)

    def _tags(self, name: str, asked: Asked) -> Answer:
        tags = sorted(one for one in self.manifests[name] if ":" not in one)
        last, count = asked.query.get("last", ""), int(asked.query.get("n", "1000"))
        page = [one for one in tags if one > last][:count]
        answer = Answer(
            body=render({"name": name, "tags": page}), headers={"content-type": "application/json"}
        )
        if page and page[-1] != tags[-1]:
            answer = answer.plus(link=f'</v2/{name}/tags/list?last={page[-1]}&n={count}>; rel="next"')
        return answer

    # Tokens

    def _refusal(self, asked: Asked, scope: str) -> Answer | None:
        scheme, _, value = asked.headers.get("authorization", "").partition(" ")
        if self.tokens:
            token = self.given.get(value) if scheme == "Bearer" else None
            valid = token is not None and token.until > time.monotonic() and scope in ("", token.scope)
            return None if valid else self._challenge(asked, scope)
        if not self.users or (scheme == "Basic" and self._knows(value)):
            return None
        return _error(401, "UNAUTHORIZED").plus(www_authenticate='Basic realm="upstream"')

    def _challenge(self, asked: Asked, scope: str) -> Answer:
        challenge = f'Bearer realm="{(self.realm or self.up).url}/token",service="{_host(self.up)}"'
        if scope:
            challenge += f',scope="{scope}"'
        if "authorization" in asked.headers:
            challenge += ',error="invalid_token"'
        return _error(401, "UNAUTHORIZED").plus(www_authenticate=challenge)

    def _knows(self, basic: str) -> bool:
        user, _, password = base64.b64decode(basic).decode().partition(":")
        return user in self.users and self.users[user] == password

    def _token(self, asked: Asked) -> Answer:
        scheme, _, value = asked.headers.get("authorization", "").partition(" ")
        if (self.users or scheme) and not (scheme == "Basic" and self._knows(value)):
            return _error(401, "UNAUTHORIZED")
        if asked.query.get("service") != _host(self.up):
            return _error(400, "another service")
        token = secrets.token_hex(16)
        self.given[token] = Token(asked.query.get("scope", ""), time.monotonic() + self.token_seconds)
        body = {"token": token, "access_token": token, "expires_in": int(self.token_seconds)}
        return Answer(body=render(body), headers={"content-type": "application/json"})

    def expire(self) -> None:
        """No token that was given is good any more."""
        self.given.clear()


def _host(upstream: Upstream) -> str:
    return urlsplit(upstream.url).netloc


def _error(status: int, code: str) -> Answer:
    body = {"errors": [{"code": code, "message": code.lower(), "detail": None}]}
    return Answer(status=status, body=render(body), headers={"content-type": "application/json"})
