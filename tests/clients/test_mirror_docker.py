"""dockerd with the registry in `registry-mirrors`: what it serves, and when docker goes to Docker Hub itself.

Docker Hub is one of the test's own: its name is known to a proxy of the loopback, its certificate is signed
by an authority that only this dockerd trusts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.conftest import closed_registry
from tests.support import certificates, containers, images
from tests.support.answers import Answer
from tests.support.connect import Proxy, connecting
from tests.support.containers import Docker
from tests.support.oci_upstream import OCIUpstream
from tests.support.server import Server, running
from tests.support.upstream import upstream

pytestmark = pytest.mark.client("docker", "dockerd", "containerd")
HUB = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Mirrored:
    """A dockerd, the registry that it is given as a mirror, what is behind that, and Docker Hub."""

    docker: Docker
    server: Server
    behind: OCIUpstream
    """The upstream of the registry."""
    hub: OCIUpstream
    """Where docker itself goes."""
    proxy: Proxy

    def forget(self) -> None:
        found = self.docker("image", "ls", "--quiet", "--no-trunc").split()
        if found:
            self.docker("image", "rm", "--force", *set(found))

    def pull(self, reference: str, fails: bool = False) -> str:
        self.forget()
        return self.docker("pull", reference, fails=fails)


@pytest.fixture(scope="module")
def hub_tls(tmp_path_factory: pytest.TempPathFactory) -> certificates.Certificates:
    return certificates.make(tmp_path_factory.mktemp("certificates"), HUB, "auth.docker.io")


@pytest.fixture(scope="module")
def mirrored(
    tmp_path_factory: pytest.TempPathFactory, hub_tls: certificates.Certificates
) -> Iterator[Mirrored]:
    folder = tmp_path_factory.mktemp("mirrored")
    behind, hub = OCIUpstream(tokens=True), OCIUpstream()
    with upstream() as up, upstream(hub_tls) as far, connecting({f"{HUB}:443": far.port}) as proxy:
        behind.mount(up)
        hub.mount(far)
        env = {"NORA_DOCKER_UPSTREAMS": up.url, "NORA_PROXY_MODE": "online", "NORA_DOCKER_METADATA_TTL": "1"}
        with running(folder, workers=4, env=env) as server:
            settings = {"registry-mirrors": [server.url]}
            trust = {"HTTPS_PROXY": proxy.url, "NO_PROXY": "", "SSL_CERT_FILE": str(hub_tls.authority)}
            with containers.docker(settings, trust) as docker:
                yield Mirrored(docker, server, behind, hub, proxy)


def image_id(docker: Docker, reference: str) -> str:
    (found,) = json.loads(docker("image", "inspect", reference))
    return str(found["Id"])


def config_of(layout: images.Layout) -> str:
    return str(json.loads(layout.blob(layout.digest))["config"]["digest"])


def test_a_pull_of_docker_hub_is_served_by_the_mirror(mirrored: Mirrored, tmp_path: Path) -> None:
    layout = images.single(tmp_path / "layout", "served")
    mirrored.behind.add("library/served", layout, "3")
    mirrored.proxy.asked.clear()
    for _ in range(2):
        mirrored.pull("served:3")
        assert image_id(mirrored.docker, "served:3") == config_of(layout)
    assert mirrored.proxy.asked == []
    # Once for both pulls. What was refused for want of a token does not count.
    served = [one.path for one in mirrored.behind.up.log.of("GET") if one.status == 200]
    for digest in layout.blobs():
        kind = "manifests" if digest == layout.digest else "blobs"
        assert served.count(f"/v2/library/served/{kind}/{digest}") == 1
    # Without the upstream, too.
    mirrored.behind.up.fault = Answer(status=503)
    try:
        mirrored.pull("served:3")
    finally:
        mirrored.behind.up.fault = None
    assert mirrored.proxy.asked == []


def test_what_the_mirror_has_not_comes_from_docker_hub(mirrored: Mirrored, tmp_path: Path) -> None:
    layout = images.single(tmp_path / "layout", "elsewhere")
    mirrored.hub.add("library/elsewhere", layout, "1")
    mirrored.pull("elsewhere:1")
    assert image_id(mirrored.docker, "elsewhere:1") == config_of(layout)
    assert f"{HUB}:443" in mirrored.proxy.asked
    assert mirrored.behind.up.log.count("HEAD", "/v2/library/elsewhere/manifests/1") >= 1


def test_docker_hub_helps_when_the_mirror_cannot_ask_its_upstream(mirrored: Mirrored, tmp_path: Path) -> None:
    layout = images.single(tmp_path / "layout", "fallback")
    mirrored.hub.add("library/fallback", layout, "1")
    mirrored.behind.up.fault = Answer(status=503)
    try:
        mirrored.pull("fallback:1")
    finally:
        mirrored.behind.up.fault = None
    assert image_id(mirrored.docker, "fallback:1") == config_of(layout)


def test_credentials_for_docker_hub_do_not_close_a_mirror_that_is_open_to_all(
    tmp_path: Path, hub_tls: certificates.Certificates, home: Path
) -> None:
    layout = images.single(tmp_path / "layout", "foreign")
    behind = OCIUpstream(tokens=True)
    with upstream() as up, connecting({}) as proxy:
        behind.mount(up)
        behind.add("library/foreign", layout, "1")
        env = {
            "NORA_AUTH_ANONYMOUS_READ": "true",
            "NORA_DOCKER_UPSTREAMS": up.url,
            "NORA_PROXY_MODE": "online",
        }
        with closed_registry(tmp_path, **env) as registry:
            settings = {"registry-mirrors": [registry.server.url]}
            trust = {"HTTPS_PROXY": proxy.url, "NO_PROXY": "", "SSL_CERT_FILE": str(hub_tls.authority)}
            with containers.docker(settings, trust) as docker:
                (home / ".docker").mkdir()
                login = {"username": "hubber", "password": "of the hub"}
                auths = {"https://index.docker.io/v1/": login | {"auth": "aHViYmVyOm9mIHRoZSBodWI="}}
                (home / ".docker" / "config.json").write_text(json.dumps({"auths": auths}))
                docker("pull", "foreign:1")
                assert image_id(docker, "foreign:1") == config_of(layout)
                assert proxy.asked == []


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_a_first_push_asks_the_upstream_for_no_blob(mirrored: Mirrored, tmp_path: Path, mode: str) -> None:
    for number in range(3):
        (tmp_path / f"file{number}").write_text(f"{mode} {number}\n" * 5000)
    copies = "\n".join(f"COPY file{number} /" for number in range(3))
    (tmp_path / "Dockerfile").write_text(f"FROM scratch\n{copies}\n")
    with upstream() as up:
        OCIUpstream(tokens=True).mount(up)
        folder = tmp_path / "registry"
        folder.mkdir()
        env = {"NORA_DOCKER_UPSTREAMS": up.url, "NORA_PROXY_MODE": mode}
        with running(folder, workers=4, env=env) as server:
            reference = f"{server.address}/team/app:1"
            mirrored.docker("build", "--tag", reference, tmp_path)
            assert mirrored.docker("push", reference).count(": Pushed") == 3
            mirrored.pull(reference)
        assert [one.path for one in up.log.requests if "/blobs/" in one.path] == []
        if mode == "offline":
            assert up.connections == 0
