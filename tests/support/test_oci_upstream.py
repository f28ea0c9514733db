"""The registry of a test behaves as the one that it stands for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import images
from tests.support.answers import Repeated
from tests.support.oci import Repository, digest
from tests.support.oci_upstream import OCIUpstream
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running

ALPINE = "/v2/library/alpine/manifests/3"


@pytest.fixture
def other() -> Iterator[Upstream]:
    with running() as server:
        yield server


@pytest.fixture
def client(upstream: Upstream) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=upstream.url, timeout=10, trust_env=False) as client:
        yield client


def authorize(client: httpx.Client, refused: httpx.Response, **more: str) -> dict[str, str]:
    said = dict(re.findall(r'(\w+)="([^"]*)"', refused.headers["www-authenticate"]))
    answer = client.get(said.pop("realm"), params=said | more)
    assert answer.status_code == 200, answer.text
    return {"authorization": f"Bearer {answer.json()['token']}"}


def test_tokens_are_asked_for_by_scope_and_expire(
    upstream: Upstream, other: Upstream, client: httpx.Client, tmp_path: Path
) -> None:
    hub = OCIUpstream(tokens=True, realm=other)
    hub.add("library/alpine", images.single(tmp_path / "layout"), "3")
    hub.add("library/debian", images.single(tmp_path / "second"), "12")
    hub.mount(upstream)
    refused = client.get(ALPINE)
    assert refused.status_code == 401
    token = authorize(client, refused)
    assert client.get(ALPINE, headers=token).status_code == 200
    elsewhere = client.get("/v2/library/debian/manifests/12", headers=token)
    assert elsewhere.status_code == 401
    hub.expire()
    assert client.get(ALPINE, headers=token).status_code == 401
    assert (other.log.count("GET", "/token"), upstream.log.count()) == (1, 4)


def test_manifests_limits_and_library(upstream: Upstream, client: httpx.Client, tmp_path: Path) -> None:
    hub = OCIUpstream(limit=2, retry_after=5)
    layout = images.multi(tmp_path / "layout")
    hub.add("library/alpine", layout, "3")
    hub.mount(upstream)
    head = client.head(ALPINE)
    assert (head.headers["docker-content-digest"], head.headers["ratelimit-remaining"]) == (
        layout.digest,
        "2;w=21600",
    )
    assert client.get(ALPINE).headers["ratelimit-remaining"] == "1;w=21600"
    assert client.get(ALPINE, headers={"if-none-match": head.headers["etag"]}).status_code == 304
    limited = client.get(ALPINE)
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "5")
    assert client.head(ALPINE).status_code == 200
    assert client.get("/v2/alpine/manifests/3").status_code == 404
    hub.hides = True
    assert client.get("/v2/alpine/manifests/3").status_code == 401
    assert Repository(client, "library/alpine").tags("?n=1") == ["3"]


def test_blobs_are_elsewhere(upstream: Upstream, other: Upstream, client: httpx.Client) -> None:
    hub = OCIUpstream(blobs_at=other)
    large = Repeated(b"abc", 1000)
    manifest = hub.image("team/app", "1", b"layer", large)
    hub.mount(upstream)
    for layer in manifest.document["layers"]:
        path = f"/v2/team/app/blobs/{layer['digest']}"
        moved = client.get(path)
        assert moved.status_code == 307
        body = client.get(path, follow_redirects=True).content
        assert (digest(body), len(body)) == (layer["digest"], layer["size"])
        assert client.get(moved.headers["location"], headers={"authorization": "x"}).status_code == 400
    hub.signed_seconds = -1
    assert client.get(path, follow_redirects=True).status_code == 403


def test_referrers_and_the_fallback_tag(upstream: Upstream, client: httpx.Client) -> None:
    hub = OCIUpstream()
    subject = hub.image("team/app", "1")
    referrer = hub.refer("team/app", subject)
    hub.fallback_tag("team/app", subject)
    hub.mount(upstream)
    repository = Repository(client, "team/app")
    assert repository.referrers(subject.digest).json()["manifests"][0]["digest"] == referrer.digest
    hub.referrers = False
    assert repository.referrers(subject.digest).status_code == 404
    tag = repository.get_manifest(subject.digest.replace(":", "-"))
    assert tag.json()["manifests"][0]["digest"] == referrer.digest
