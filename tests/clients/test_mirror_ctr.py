"""containerd with the registry as a mirror of another: `--hosts-dir`, `?ns=`, and what it does without."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support import containers, images
from tests.support.answers import Answer
from tests.support.containers import Containerd
from tests.support.images import Layout
from tests.support.oci_upstream import OCIUpstream
from tests.support.relay import Relay
from tests.support.server import Server, running
from tests.support.upstream import Upstream, upstream

pytestmark = pytest.mark.client("ctr", "containerd")


@pytest.fixture(scope="module")
def containerd() -> Iterator[Containerd]:
    with containers.containerd() as client:
        yield client


@dataclass(frozen=True, slots=True)
class Mirrored:
    """A registry that stands for docker.io, with what is behind it and in front."""

    server: Server
    hub: OCIUpstream
    relay: Relay
    front: Upstream
    hosts: Path

    def __call__(self, host: str, fallback: str) -> Path:
        """A folder of hosts: `host` is mirrored by the registry, `fallback` is what it stands for."""
        (self.hosts / host).mkdir(parents=True, exist_ok=True)
        (self.hosts / host / "hosts.toml").write_text(
            f'server = "{fallback}"\n[host."{self.front.url}"]\n  capabilities = ["pull", "resolve"]\n'
        )
        return self.hosts


@pytest.fixture
def mirrored(tmp_path: Path) -> Iterator[Mirrored]:
    hub = OCIUpstream(tokens=True)
    with upstream() as up:
        hub.mount(up)
        settings = tmp_path / "nora.toml"
        settings.write_text(f'[[docker.upstreams]]\nurl = "{up.url}"\nnamespace = "docker.io"\n')
        env = {"NORA_CONFIG_PATH": str(settings), "NORA_PROXY_MODE": "online"}
        with running(tmp_path, workers=4, env=env) as server:
            relay = Relay(server.url)
            with relay.running() as front:
                yield Mirrored(server, hub, relay, front, tmp_path / "hosts")


def content(containerd: Containerd, digest: str) -> bytes:
    command = ["ctr", "--address", str(containerd.socket), "--namespace", "nora", "content", "get", digest]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def pull(containerd: Containerd, hosts: Path, reference: str) -> None:
    words: list[str | Path] = ["--hosts-dir", hosts, "--all-platforms", "--snapshotter", "native"]
    containerd.ctr("images", "pull", *words, reference)


def forget(containerd: Containerd, reference: str) -> None:
    containerd.ctr("images", "rm", "--sync", reference)


def test_a_mirror_of_docker_hub(mirrored: Mirrored, containerd: Containerd, tmp_path: Path) -> None:
    layout = images.multi(tmp_path / "layout")
    mirrored.hub.add("library/mirrored", layout, "3")
    reference = "docker.io/library/mirrored:3"
    hosts = mirrored("docker.io", "http://127.0.0.1:1")
    for _ in range(2):
        pull(containerd, hosts, reference)
        assert {digest: content(containerd, digest) for digest in layout.blobs()} == layout.blobs()
        forget(containerd, reference)
    asked = mirrored.front.log.requests
    assert {one.query.get("ns") for one in asked} == {"docker.io"}
    assert {one.status for one in asked} == {200}
    # Once for both pulls: each manifest, each blob; and no GET for the tag.
    log = mirrored.hub.up.log
    fetched = [
        one.path.rpartition("/")[2] for one in log.of("GET") if "/v2/" in one.path and one.status == 200
    ]
    assert sorted(fetched) == sorted(layout.blobs())
    assert log.count("HEAD", "/v2/library/mirrored/manifests/3") <= 2


def test_what_the_registry_says_of_the_namespace(
    mirrored: Mirrored, containerd: Containerd, tmp_path: Path
) -> None:
    layout = images.single(tmp_path / "layout")
    mirrored.hub.add("library/named", layout, "1")
    path = "/v2/library/named/manifests/1"
    with httpx.Client(base_url=mirrored.server.url, trust_env=False, timeout=30) as client:
        answer = client.get(path, params={"ns": "docker.io"})
        assert (answer.status_code, answer.headers["oci-namespace"]) == (200, "docker.io")
        assert client.get(path, params={"ns": "registry.example.com"}).status_code == 404


def test_it_goes_to_the_other_when_the_mirror_has_not_or_cannot(
    mirrored: Mirrored, containerd: Containerd, tmp_path: Path
) -> None:
    layout = images.single(tmp_path / "layout")
    original = OCIUpstream()
    original.add("library/elsewhere", layout, "1")
    reference = "docker.io/library/elsewhere:1"
    with upstream() as up:
        original.mount(up)
        hosts = mirrored("docker.io", up.url)
        pull(containerd, hosts, reference)
        assert {one.status for one in mirrored.front.log.requests} == {404}
        forget(containerd, reference)
        up.log.clear()
        mirrored.hub.up.stop()
        mirrored.front.log.clear()
        pull(containerd, hosts, reference)
        forget(containerd, reference)
        assert up.log.count() > 0
        assert {one.status for one in mirrored.front.log.requests} <= {404, 502, 503}


def test_everything_that_was_pulled_is_there_without_the_upstream(
    mirrored: Mirrored, containerd: Containerd, tmp_path: Path
) -> None:
    layout = images.multi(tmp_path / "layout")
    mirrored.hub.add("library/kept", layout, "1")
    hosts = mirrored("docker.io", "http://127.0.0.1:1")
    pull(containerd, hosts, "docker.io/library/kept:1")
    forget(containerd, "docker.io/library/kept:1")
    mirrored.hub.up.fault = Answer(status=500)
    pull(containerd, hosts, "docker.io/library/kept:1")
    forget(containerd, "docker.io/library/kept:1")
    mirrored.hub.up.stop()
    pull(containerd, hosts, "docker.io/library/kept:1")
    forget(containerd, "docker.io/library/kept:1")


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_a_first_push_asks_the_upstream_for_no_blob(
    containerd: Containerd, single: Layout, tmp_path: Path, mode: str
) -> None:
    with upstream() as up:
        OCIUpstream(tokens=True).mount(up)
        env = {"NORA_DOCKER_UPSTREAMS": up.url, "NORA_PROXY_MODE": mode}
        with running(tmp_path, workers=4, env=env) as server:
            reference = f"{server.address}/team/pushed-{mode}:v1"
            archive = tmp_path / "image.tar"
            with tarfile.open(archive, "w") as tar:
                tar.add(single.path, arcname=".")
            containerd.ctr(
                "images", "import", "--all-platforms", "--no-unpack", "--index-name", reference, archive
            )
            containerd.ctr("images", "push", "--plain-http", reference)
            forget(containerd, reference)
            containerd.ctr("images", "pull", "--plain-http", "--snapshotter", "native", reference)
        assert [one.path for one in up.log.requests if "/blobs/" in one.path] == []
        if mode == "offline":
            assert up.connections == 0
