"""What containerd asks a mirror for says which registry has to answer (`?ns=`), through a real server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.formats.docker.mirrors import ONLINE
from tests.formats.docker.test_mirror import Name, layer_of
from tests.support.oci import Repository
from tests.support.oci_upstream import OCIUpstream
from tests.support.server import running
from tests.support.upstream import upstream

pytestmark = pytest.mark.slow

CONFIG = """
[proxy]
reserved = ["corp/**"]
[repositories.hub]
format = "docker"
kind = "proxy"
upstreams = [{{ url = "{hub}", namespace = "docker.io" }}]
[repositories.ghcr]
format = "docker"
kind = "proxy"
upstreams = [{{ url = "{ghcr}", namespace = "ghcr.io" }}]
[repositories.mine]
format = "docker"
[repositories.all]
format = "docker"
kind = "group"
members = ["hub", "ghcr", "mine"]
writes = "mine"
[repositories.mixed]
format = "docker"
kind = "proxy"
upstreams = [
    {{ url = "{hub}", namespace = "docker.io" }},
    {{ url = "{ghcr}", namespace = "ghcr.io" }},
    {{ url = "{inside}" }},
]
"""
"""Groups of proxies of one upstream each, and one of several."""


@dataclass(frozen=True, slots=True)
class Mirrors:
    """The server, and the registries behind it."""

    client: httpx.Client
    hub: OCIUpstream
    ghcr: OCIUpstream
    inside: OCIUpstream
    inside_host: str
    """Without a dot."""

    def get(self, name: str, namespace: str | None = None, kind: str = "manifests/latest") -> httpx.Response:
        return self.client.get(f"/v2/{name}/{kind}", params={"ns": namespace} if namespace else {})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirrors]:
    folder = tmp_path_factory.mktemp("namespaces")
    with contextlib.ExitStack() as stack:
        ups = [stack.enter_context(upstream()) for _ in range(3)]
        registries = [OCIUpstream() for _ in ups]
        for up, registry in zip(ups, registries, strict=True):
            registry.mount(up)
        hub, ghcr, inside = (up.url for up in ups)
        inside = inside.replace("127.0.0.1", "localhost")
        config: Path = folder / "config.toml"
        config.write_text(CONFIG.format(hub=hub, ghcr=ghcr, inside=inside))
        server = stack.enter_context(running(folder, env=ONLINE | {"NORA_CONFIG_PATH": str(config)}))
        client = stack.enter_context(httpx.Client(base_url=server.url, timeout=30, trust_env=False))
        yield Mirrors(client, *registries, inside.removeprefix("http://"))


@pytest.fixture
def mirrors(shared: Mirrors) -> Mirrors:
    """Registries that have forgotten what they were asked."""
    for registry in (shared.hub, shared.ghcr, shared.inside):
        registry.up.log.clear()
    return shared


@pytest.mark.parametrize("place", ["all", "mixed"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_each_registry_answers_for_its_own_image(
    mirrors: Mirrors, repository: Name, place: str, order: tuple[int, ...]
) -> None:
    """Whatever was cached before, by whichever name."""
    name = repository("app")
    hubs, ghcrs = mirrors.hub.image(name, seed="hub"), mirrors.ghcr.image(name, seed="ghcr")
    asked = [("docker.io", hubs), ("ghcr.io", ghcrs), (None, hubs)]
    for namespace, manifest in [asked[number] for number in order] * 2:
        answer = mirrors.get(f"{place}/{name}", namespace)
        assert answer.content == manifest.body
        assert answer.headers.get("oci-namespace") == namespace
        blob = mirrors.get(f"{place}/{name}", namespace, f"blobs/{layer_of(manifest)}")
        assert blob.status_code == 200
    assert mirrors.get(f"{place}/ghcr.io/{name}").content == ghcrs.body


@pytest.mark.parametrize("place", ["all", "mixed"])
def test_no_other_registry_is_asked_or_answers(mirrors: Mirrors, repository: Name, place: str) -> None:
    ours, theirs = repository("ours"), repository("theirs")
    mirrors.hub.image(ours)
    manifest = mirrors.ghcr.image(theirs)
    assert mirrors.get(f"{place}/{ours}", "ghcr.io").status_code == 404
    assert mirrors.hub.up.log.requests == mirrors.inside.up.log.requests == []
    mirrors.ghcr.up.log.clear()
    assert mirrors.get(f"{place}/{theirs}", "docker.io").status_code == 404
    assert mirrors.ghcr.up.log.requests == mirrors.inside.up.log.requests == []
    assert mirrors.get(f"{place}/{theirs}").content == manifest.body, "without a registry all are asked"
    for kind in ("manifests/latest", f"manifests/{manifest.digest}", "tags/list"):
        assert mirrors.get(f"{place}/{theirs}", "docker.io", kind).status_code == 404, "it was ghcr.io's"
        assert mirrors.get(f"{place}/{theirs}", "ghcr.io", kind).status_code == 200


def test_what_refers_to_an_image_of_a_registry(mirrors: Mirrors, repository: Name) -> None:
    name = repository("app")
    subject = mirrors.ghcr.image(name)
    signature = mirrors.ghcr.refer(name, subject)
    for kind in ("manifests/latest", f"manifests/{signature.digest}"):
        assert mirrors.get(f"all/{name}", "ghcr.io", kind).status_code == 200
    mirrors.ghcr.referrers = False
    try:
        found = mirrors.get(f"all/{name}", "ghcr.io", f"referrers/{subject.digest}").json()["manifests"]
        assert [one["digest"] for one in found] == [signature.digest], "what is cached"
    finally:
        mirrors.ghcr.referrers = True


def test_a_registry_without_a_dot_in_its_name(mirrors: Mirrors, repository: Name) -> None:
    name = repository("app")
    manifest = mirrors.inside.image(name)
    assert mirrors.get(f"mixed/{name}", mirrors.inside_host).content == manifest.body
    assert mirrors.get(f"mixed/{name}", "localhost").content == manifest.body
    kept = mirrors.inside_host.replace(":", "-")
    assert mirrors.get(f"mixed/{kept}/{name}").content == manifest.body
    assert mirrors.hub.up.log.requests == mirrors.ghcr.up.log.requests == [], "its name is nobody's business"


@pytest.mark.parametrize("namespace", ["docker.io", "ghcr.io"])
def test_names_that_are_ours_are_asked_of_no_registry(
    mirrors: Mirrors, repository: Name, namespace: str
) -> None:
    name = repository("app")
    mirrors.hub.image(name), mirrors.ghcr.image(name)
    mirrors.hub.image("corp/app"), mirrors.ghcr.image("corp/app")
    pushed = Repository(mirrors.client, f"all/{name}").push_image("latest", seed="ours")
    assert mirrors.get(f"all/{name}", namespace).content == pushed.manifest
    assert mirrors.get(f"all/{name}", namespace, "manifests/other").status_code == 404
    assert mirrors.get("all/corp/app", namespace).status_code == 404
    assert mirrors.hub.up.log.requests == mirrors.ghcr.up.log.requests == []


@pytest.mark.parametrize("namespace", ["docker.io", "ghcr.io"])
def test_what_was_pushed_with_the_name_of_its_registry(
    mirrors: Mirrors, repository: Name, namespace: str
) -> None:
    name = repository("app")
    mirrors.hub.image(name), mirrors.ghcr.image(name)
    copied = Repository(mirrors.client, f"all/{namespace}/{name}").push_image("latest", seed="copied")
    assert mirrors.get(f"all/{name}", namespace).content == copied.manifest
    assert mirrors.hub.up.log.requests == mirrors.ghcr.up.log.requests == []
