"""What administrators remove and block of images."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import httpx
import pytest

from nora.blobs.layout import Layout
from tests.formats.docker.mirrors import Mirror, mirror
from tests.support.waiting import wait_until

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
    wait_until(lambda: held(hub, name) == 1 + len(set(layers)), "the rows", seen=lambda: held(hub, name))
    answer = purge(hub, name=name, digest=manifest.digest).json()
    assert (answer["files"], answer["blobs"]) == (1, len(set(layers)))
    for layer in layers:
        assert image.get_blob(layer).status_code == 404, "no manifest that is cached refers to it"
    hub.up.log.clear()
    assert image.get_manifest(manifest.digest).status_code == 200
    for layer in layers:
        assert image.get_blob(layer).status_code == 200
    assert hub.asked("GET", f"{name}/manifests/{manifest.digest}") == 1


def block(hub: Mirror, repository: str = "docker", **what: str) -> int:
    body = {"repository": repository, "reason": "it bites", **what}
    answer = hub.client.post("/api/v1/admin/blocks", json=body)
    assert answer.status_code == 200, answer.text
    number: int = answer.json()["id"]
    return number


def lift(hub: Mirror, *numbers: int) -> None:
    for number in numbers:
        assert hub.client.post("/api/v1/admin/blocks/lift", json={"id": number}).status_code == 200


def refused(answer: httpx.Response) -> bool:
    """In the words of docker."""
    (error,) = answer.json()["errors"]
    assert "is blocked here: it bites (block " in error["message"]
    return (answer.status_code, error["code"]) == (403, "DENIED")


def test_a_blocked_manifest_is_refused_by_digest_and_by_tag(hub: Mirror, repository: Name) -> None:
    """Before it was fetched, and after."""
    name = repository("manifest")
    manifest = hub.registry.image(name)
    image = hub.image(name)
    number = block(hub, name=name, version=manifest.digest)
    for reference in (manifest.digest, "latest"):
        for _ in range(4):
            assert refused(image.get_manifest(reference))
        assert image.head_manifest(reference).status_code == 403
    assert hub.asked("GET", f"{name}/manifests/{manifest.digest}") == 0
    lift(hub, number)
    for _ in range(4):
        assert image.get_manifest("latest").status_code == 200
    number = block(hub, digest=manifest.digest)
    for reference in (manifest.digest, "latest"):
        for _ in range(4):
            assert refused(image.get_manifest(reference))
    lift(hub, number)
    assert image.get_manifest("latest").status_code == 200


def test_a_blocked_layer_is_neither_served_nor_fetched_nor_pushed(hub: Mirror, repository: Name) -> None:
    name = repository("layer")
    manifest = hub.registry.image(name)
    image, layer = hub.image(name), manifest.document["layers"][0]["digest"]
    assert image.get_manifest("latest").status_code == 200
    number = block(hub, digest=layer)
    assert refused(image.get_blob(layer))
    assert image.head_blob(layer).status_code == 403
    assert hub.asked("GET", f"{name}/blobs/{layer}") == 0
    lift(hub, number)
    body = image.get_blob(layer)
    assert body.status_code == 200
    number = block(hub, digest=layer)
    for _ in range(4):
        assert refused(image.get_blob(layer))
    ours = hub.image(repository("ours-with-it"))
    assert refused(ours.finish(ours.start(), layer, body.content))
    lift(hub, number)
    assert image.get_blob(layer).status_code == 200


def test_blocked_tags_are_left_out_of_the_list(hub: Mirror, repository: Name) -> None:
    cached, pushed = repository("listed"), repository("pushed")
    for tag in ("1", "2", "3"):
        hub.registry.image(cached, tag, seed=tag)
        hub.image(pushed).push_image(tag, seed=tag)
    meant = {
        name: hub.image(name).get_manifest("2").headers["docker-content-digest"] for name in (cached, pushed)
    }
    for name in (cached, pushed):
        assert hub.image(name).tags() == ["1", "2", "3"]
    numbers = [
        block(hub, name=cached, version="1"),
        block(hub, name=cached, version=meant[cached]),
        block(hub, name=pushed, version="1"),
        block(hub, digest=meant[pushed]),
    ]
    for name in (cached, pushed):
        for _ in range(4):
            assert hub.image(name).tags() == ["3"]
        assert refused(hub.image(name).get_manifest("1"))
        assert refused(hub.image(name).get_manifest("2"))
    lift(hub, *numbers)
    for name in (cached, pushed):
        assert hub.image(name).tags() == ["1", "2", "3"]


def test_a_blocked_image_is_refused_as_a_whole(hub: Mirror, repository: Name) -> None:
    name = repository("whole-image")
    image = hub.image(name)
    image.push_image("latest")
    number = block(hub, name=name)
    assert refused(image.get_manifest("latest"))
    assert refused(hub.client.get(f"/v2/{name}/tags/list"))
    assert name not in hub.client.get("/v2/_catalog?n=10000").json()["repositories"]
    lift(hub, number)
    assert image.get_manifest("latest").status_code == 200
    assert name in hub.client.get("/v2/_catalog?n=10000").json()["repositories"]


def test_what_is_blocked_can_be_deleted(hub: Mirror, repository: Name) -> None:
    image = hub.image(repository("deleted"))
    digest = image.push_image("latest").digest
    number = block(hub, name=image.name, version=digest)
    assert image.delete_manifest(digest).status_code == 202
    lift(hub, number)
    assert image.get_manifest("latest").status_code == 404


def test_an_image_that_was_pushed_is_not_purged(hub: Mirror, repository: Name) -> None:
    name = repository("ours")
    image = hub.image(name)
    digest = image.push_image("latest")
    assert purge(hub, name=name).status_code == 404
    assert purge(hub, "docker-hosted", name=name).status_code == 400
    assert image.get_manifest("latest").status_code == 200, digest
