"""What administrators remove of images that came from upstreams."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import httpx
import pytest

from nora.blobs.layout import Layout
from tests.formats.docker.mirrors import Mirror, mirror
from tests.http.wire import eventually

pytestmark = pytest.mark.slow
Name = Callable[[str], str]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    with mirror(tmp_path_factory.mktemp("purge"), workers=2, env={"NORA_DOCKER_METADATA_TTL": "3600"}) as one:
        yield one


@pytest.fixture(autouse=True)
def _forgotten(hub: Mirror) -> None:
    hub.up.log.clear()


def purge(hub: Mirror, repository: str = "docker", **wanted: str) -> httpx.Response:
    return hub.client.post("/api/v1/admin/cache/purge", json={"repository": repository, **wanted})


def held(hub: Mirror, name: str) -> int:
    """How many blobs an image has rows of: a client may have all of one a moment before its row is there."""
    query = "SELECT count(*) FROM link JOIN package ON package.id = link.package_id WHERE package.name = ?"
    with closing(sqlite3.connect(Layout(hub.server.storage).catalog, timeout=30)) as catalog:
        found: int = catalog.execute(query, [name]).fetchone()[0]
    return found


def test_a_purged_tag_is_asked_for_again(hub: Mirror, repository: Name) -> None:
    name = repository("tagged")
    hub.registry.image(name)
    image = hub.image(name)
    for _ in range(4):
        assert image.get_manifest("latest").status_code == 200
    assert hub.asked("HEAD", f"{name}/manifests/latest") == 1
    assert purge(hub, name=name, version="latest").json()["paths"] == [f"{name}/tags/latest"]
    assert image.get_manifest("latest").status_code == 200
    assert hub.asked("HEAD", f"{name}/manifests/latest") == 2


def test_a_purged_manifest_goes_with_its_layers(hub: Mirror, repository: Name) -> None:
    name = repository("whole")
    manifest = hub.registry.image(name)
    image = hub.image(name)
    layers = [one["digest"] for one in (*manifest.document["layers"], manifest.document["config"])]
    assert image.get_manifest(manifest.digest).status_code == 200
    for layer in layers:
        assert image.get_blob(layer).status_code == 200
    assert eventually(lambda: held(hub, name) == 1 + len(set(layers)))
    answer = purge(hub, name=name, digest=manifest.digest).json()
    assert (answer["files"], answer["blobs"]) == (1, len(set(layers)))
    for layer in layers:
        assert image.get_blob(layer).status_code == 404, "no manifest that is cached refers to it"
    hub.up.log.clear()
    assert image.get_manifest(manifest.digest).status_code == 200
    for layer in layers:
        assert image.get_blob(layer).status_code == 200
    assert hub.asked("GET", f"{name}/manifests/{manifest.digest}") == 1


def test_an_image_that_was_pushed_is_not_purged(hub: Mirror, repository: Name) -> None:
    name = repository("ours")
    image = hub.image(name)
    digest = image.push_image("latest")
    assert purge(hub, name=name).status_code == 404
    assert purge(hub, "docker-hosted", name=name).status_code == 400
    assert image.get_manifest("latest").status_code == 200, digest
