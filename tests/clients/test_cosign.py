"""cosign: signatures by a local key, as a tag and as a referrer, without any service of the internet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.command import run
from tests.support.images import Layout
from tests.support.oci import Repository
from tests.support.server import Server

pytestmark = pytest.mark.client("cosign", "crane")
Names = Callable[[str], str]
HTTP = ("--allow-http-registry", "--allow-insecure-registry")


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a key pair, and settings that name no certificate authority and no transparency log."""
    monkeypatch.setenv("COSIGN_PASSWORD", "")
    run("cosign", "generate-key-pair", cwd=tmp_path)
    offline = "--with-default-services=false"
    run("cosign", "signing-config", "create", offline, f"--out={tmp_path}/signing.json")
    run("cosign", "trusted-root", "create", f"--out={tmp_path}/root.json")
    return tmp_path


@pytest.fixture
def image(registry: Server, repository: Names, single: Layout) -> str:
    """An image to sign, by digest."""
    name = f"{registry.address}/{repository('app')}"
    run("crane", "--insecure", "push", single.path, f"{name}:v1")
    return f"{name}@{single.digest}"


def test_a_signature_as_a_tag(web: httpx.Client, image: str, keys: Path, repository: Names) -> None:
    legacy = ("--new-bundle-format=false", f"--key={keys}/cosign.key", "--yes", *HTTP)
    no_service = ("--tlog-upload=false", "--use-signing-config=false")
    run("cosign", "sign", *legacy, *no_service, image)
    repo = Repository(web, repository("app"))
    tag = image.partition("@")[2].replace(":", "-") + ".sig"
    assert repo.tags() == sorted([tag, "v1"])
    verify = ("--new-bundle-format=false", f"--key={keys}/cosign.pub", "--insecure-ignore-tlog=true", *HTTP)
    (claim,) = json.loads(run("cosign", "verify", *verify, image))
    assert claim["critical"]["image"]["docker-manifest-digest"] == image.partition("@")[2]


def test_a_signature_as_a_referrer(web: httpx.Client, image: str, keys: Path, repository: Names) -> None:
    root = f"--trusted-root={keys}/root.json"
    run(
        *("cosign", "sign", "--yes", f"--key={keys}/cosign.key", f"--signing-config={keys}/signing.json"),
        *(root, *HTTP, image),
    )
    repo, subject = Repository(web, repository("app")), image.partition("@")[2]
    assert repo.tags() == ["v1"]
    (entry,) = repo.referrers(subject).json()["manifests"]
    assert entry["artifactType"].startswith("application/vnd.dev.sigstore.bundle")
    verify = (f"--key={keys}/cosign.pub", root, "--insecure-ignore-tlog=true", *HTTP)
    (claim,) = json.loads(run("cosign", "verify", *verify, image))
    assert claim["critical"]["image"]["docker-manifest-digest"] == subject


def test_what_is_not_signed_is_refused(image: str, keys: Path) -> None:
    verify = (f"--key={keys}/cosign.pub", f"--trusted-root={keys}/root.json", "--insecure-ignore-tlog=true")
    assert "no signatures found" in run("cosign", "verify", *verify, *HTTP, image, fails=True)
