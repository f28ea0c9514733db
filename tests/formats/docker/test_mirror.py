"""Images of upstreams, through a real server."""

from __future__ import annotations

import concurrent.futures
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from nora.blobs.layout import Layout
from tests.formats.docker.mirrors import Mirror, mirror
from tests.support import images
from tests.support.answers import Answer, Asked, absent
from tests.support.oci import CONFIG, IMAGE, INDEX, Repository, describe, digest, index, render
from tests.support.oci_upstream import Manifest

pytestmark = pytest.mark.slow

Name = Callable[[str], str]
FAILED = {502, 503, 504}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    with mirror(tmp_path_factory.mktemp("mirror"), workers=2) as found:
        yield found


@pytest.fixture
def hub(shared: Mirror) -> Iterator[Mirror]:
    """A mirror whose registry has forgotten what it was asked."""
    shared.up.log.clear()
    yield shared
    shared.up.fault = None
    shared.registry.referrers = True


def layer_of(manifest: Manifest) -> str:
    return str(manifest.document["layers"][0]["digest"])


def pull(image: Repository, reference: str = "latest") -> httpx.Response:
    """A manifest and all that it refers to."""
    answer = image.get_manifest(reference)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    for blob in [*document.get("layers", []), *([document["config"]] if "config" in document else [])]:
        got = image.get_blob(blob["digest"])
        assert got.status_code == 200, got.text
        assert digest(got.content) == blob["digest"]
    return answer


def test_a_pull(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    manifest = hub.registry.image(name)
    image = hub.image(name)
    answer = pull(image)
    assert answer.content == manifest.body
    assert answer.headers["docker-content-digest"] == manifest.digest
    assert answer.headers["content-type"] == IMAGE
    assert answer.headers["etag"] == f'"{manifest.digest}"'
    assert hub.asked("HEAD", f"{name}/manifests/latest") == 1
    assert hub.asked("GET", f"{name}/manifests/latest") == 0
    assert hub.asked("GET", f"{name}/manifests/{manifest.digest}") == 1
    pull(image)
    pull(image, manifest.digest)
    assert hub.asked("HEAD", f"{name}/manifests/latest") == 2, "the tag, and nothing else"
    assert hub.up.log.count("GET") == 3
    assert image.get_manifest("latest", if_none_match=f'"{manifest.digest}"').status_code == 304


@pytest.mark.parametrize("size", ["-1", "1e99", "x", ""])
def test_a_bad_page_size_asks_nobody(hub: Mirror, repository: Name, size: str) -> None:
    image = hub.image(repository("app"))
    answer = image.client.get(f"{image.path}/tags/list", params={"n": size})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "PAGINATION_NUMBER_INVALID")
    assert hub.up.log.requests == []


def test_a_head_never_costs_a_get(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    manifest = hub.registry.image(name)
    image = hub.image(name)
    for reference in ("latest", manifest.digest):
        answer = image.head_manifest(reference)
        assert answer.status_code == 200
        assert answer.headers["docker-content-digest"] == manifest.digest
        assert answer.headers["content-type"] == IMAGE
        assert answer.headers["content-length"] == str(len(manifest.body))
    moved = hub.registry.image(name, seed="moved")
    assert image.head_manifest("latest").headers["docker-content-digest"] == moved.digest
    assert hub.up.log.count("GET") == 0
    assert image.head_manifest("absent").status_code == 404
    assert image.head_manifest(f"sha256:{'0' * 64}").status_code == 404
    assert hub.up.log.count("GET") == 0


def test_a_tag_that_moves(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    before = hub.registry.image(name, seed="before")
    image = hub.image(name)
    pull(image)
    after = hub.registry.image(name, seed="after")
    assert pull(image).content == after.body
    assert pull(image, before.digest).content == before.body
    hub.registry.remove(name, "latest")
    answer = image.get_manifest("latest")
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["code"] == "MANIFEST_UNKNOWN"
    assert pull(image, after.digest).content == after.body, "what has a digest stays"


def test_a_tag_that_moves_between_its_head_and_the_get_is_asked_for_again(
    hub: Mirror, repository: Name
) -> None:
    name = repository("app")
    before = hub.registry.image(name, seed="before")

    def moves(asked: Asked) -> Answer:
        hub.registry.image(name, seed="after")
        hub.registry.manifests[name].pop(before.digest, None)
        return absent()

    hub.up.serve(f"/v2/{name}/manifests/{before.digest}", moves, "GET")
    answer = pull(hub.image(name))
    assert answer.content == hub.registry.manifests[name]["latest"].body
    assert answer.headers["docker-content-digest"] != before.digest
    assert hub.asked("HEAD", f"{name}/manifests/latest") == 2


def test_a_tag_whose_manifest_is_gone_is_asked_for_again_once(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    gone = hub.registry.image(name)
    hub.up.serve(f"/v2/{name}/manifests/{gone.digest}", absent(), "GET")
    answer = hub.image(name).get_manifest("latest")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")
    assert hub.asked("HEAD", f"{name}/manifests/latest") == 2
    hub.registry.remove(name, "latest")
    assert hub.image(name).get_manifest("latest").status_code == 404


def test_a_registry_that_does_not_say_digests(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    manifest = hub.registry.image(name)
    headers = {"content-type": IMAGE, "etag": '"one"'}
    path = f"/v2/{name}/manifests/latest"
    hub.up.serve(path, Answer(body=manifest.body, headers=headers))
    image = hub.image(name)
    for _ in range(3):
        assert pull(image).headers["docker-content-digest"] == manifest.digest
    asked = hub.up.log.of("GET", path)
    assert [one.status for one in asked] == [200, 304, 304], "an unchanged tag is not sent again"
    hub.up.serve(path, Answer(body=b"{}", headers={"content-type": IMAGE, "etag": '"two"'}))
    answer = image.get_manifest("latest")
    assert answer.headers["docker-content-digest"] == manifest.digest
    assert answer.headers["x-nora-stale"] == "true", "what it sends is no manifest"


def test_an_error_names_no_address_of_the_registry(hub: Mirror, repository: Name) -> None:
    """It may have a secret in its path."""
    name = repository("app")
    manifest = hub.registry.image(name)
    headers = {"content-type": IMAGE}
    hub.up.serve(f"/v2/{name}/manifests/lies", Answer(body=manifest.body, headers=headers), "HEAD")
    lies = headers | {"docker-content-digest": f"sha256:{'0' * 64}"}
    hub.up.serve(f"/v2/{name}/manifests/lies", Answer(body=manifest.body, headers=lies), "GET")
    answer = hub.image(name).get_manifest("lies")
    assert answer.status_code == 502
    assert "http" not in answer.text
    assert "/v2/" not in answer.text


def test_a_manifest_of_other_bytes(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    manifest = hub.registry.image(name)
    other = hub.registry.image(repository("other"), seed="other")
    path = f"/v2/{name}/manifests/{manifest.digest}"
    hub.up.serve(path, Answer(body=other.body, headers={"content-type": IMAGE}), "GET")
    image = hub.image(name)
    for reference in ("latest", manifest.digest):
        answer = image.get_manifest(reference)
        assert answer.status_code == 502
        assert answer.json()["errors"][0]["code"] == "UNAVAILABLE"
    hub.up.forget(path)
    assert pull(image).content == manifest.body


def test_what_is_no_manifest(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    for body in (
        b'{"schemaVersion": 1}',
        render({"schemaVersion": 2, "config": describe(b"{}", CONFIG), "layers": [], "manifests": []}),
        render({"schemaVersion": 2, "manifests": [], "Layers": []}),
        b'{"schemaVersion": 2, "manifests": [], "manifests": []}',
        render({"schemaVersion": 1, "mediaType": INDEX, "manifests": []}),
    ):
        found = hub.registry.put(name, "latest", body)
        for reference in ("latest", digest(body)):
            assert hub.image(name).get_manifest(reference).status_code == 502, (body, found)


def test_what_is_absent(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    answer = hub.image(name).get_manifest("latest")
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["code"] == "NAME_UNKNOWN"
    manifest = hub.registry.image(name)
    assert hub.image(name).get_manifest("other").status_code == 404
    pull(hub.image(name))
    answer = hub.image(name).get_manifest("other")
    assert answer.json()["errors"][0]["code"] == "MANIFEST_UNKNOWN"
    assert hub.image(name).get_blob(layer_of(manifest)).status_code == 200
    missing = hub.image(name).get_blob(f"sha256:{'1' * 64}")
    assert missing.status_code == 404
    assert missing.json()["errors"][0]["code"] == "BLOB_UNKNOWN"


def test_blobs_are_asked_for_when_a_manifest_refers_to_them(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    manifest = hub.registry.image(name)
    image = hub.image(name)
    layer = layer_of(manifest)
    assert image.head_blob(layer).status_code == 404
    assert image.get_blob(layer).status_code == 404
    assert hub.blobs_asked() == []
    image.get_manifest("latest")
    head = image.head_blob(layer)
    assert head.status_code == 200
    assert head.headers["content-length"] == str(manifest.document["layers"][0]["size"])
    assert hub.asked("GET", f"{name}/blobs/{layer}") == 0
    got = image.get_blob(layer)
    assert got.status_code == 200
    assert got.headers["docker-content-digest"] == layer
    assert got.headers["etag"] == f'"{layer}"'
    assert image.get_blob(layer, range="bytes=2-4").content == got.content[2:5]
    assert hub.asked("GET", f"{name}/blobs/{layer}") == 1


def test_a_proxy_by_its_name_asks_for_no_blob_that_nothing_refers_to(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    manifest = hub.registry.image(name)
    alone = hub.image(f"alone/{name}")
    assert alone.get_blob(layer_of(manifest)).status_code == 404
    assert hub.asked("GET", f"{name}/blobs/{layer_of(manifest)}") == 0
    assert pull(alone).content == manifest.body
    assert alone.get_blob(layer_of(manifest)).status_code == 200
    assert hub.asked("GET", f"{name}/blobs/{layer_of(manifest)}") == 1
    pushed = alone.put_manifest("mine", manifest.body)
    assert pushed.status_code == 405


def test_a_group_whose_proxy_comes_first(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    theirs = hub.registry.image(name)
    group = hub.image(f"both/{name}")
    assert pull(group).content == theirs.body
    ours = group.push_image("latest", seed="ours")
    hub.up.log.clear()
    assert pull(group).content == ours.manifest
    assert pull(hub.image(f"mine/{name}")).content == ours.manifest
    assert hub.image(f"alone/{name}").get_manifest("latest").status_code == 404
    assert hub.up.log.requests == []


def test_a_blob_of_other_bytes(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    manifest = hub.registry.image(name)
    layer = layer_of(manifest)
    path = f"/v2/{name}/blobs/{layer}"
    hub.up.serve(path, Answer(body=b"wrong" * 5), "GET")
    image = hub.image(name)
    image.get_manifest("latest")
    assert image.get_blob(layer).status_code == 502, "it is so small that no byte was sent"
    hub.up.forget(path)
    assert digest(image.get_blob(layer).content) == layer


def test_many_want_one_blob(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    body = bytes(range(256)) * 8192
    manifest = hub.registry.image(name, "latest", body)
    layer = layer_of(manifest)
    hub.up.serve(f"/v2/{name}/blobs/{layer}", Answer(body=body, delay=0.2), "GET")
    hub.image(name).get_manifest("latest")

    def fetch(_: int) -> bool:
        with httpx.Client(base_url=hub.server.url, timeout=30, trust_env=False) as client:
            return Repository(client, name).get_blob(layer).content == body

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert all(pool.map(fetch, range(16)))
    assert hub.asked("GET", f"{name}/blobs/{layer}") == 1


def test_images_share_layers(hub: Mirror, repository: Name) -> None:
    one, two, third = repository("one"), repository("two"), repository("third")
    first = hub.registry.image(one, "latest", b"shared", seed="1")
    hub.registry.image(two, "latest", b"shared", seed="2")
    layer = layer_of(first)
    pull(hub.image(one))
    pull(hub.image(two))
    asked = [path for path in hub.blobs_asked() if path.endswith(layer)]
    assert asked == [f"/v2/{one}/blobs/{layer}"]
    hub.registry.image(third, "latest", b"not shared")
    pull(hub.image(third))
    assert hub.image(third).get_blob(layer).status_code == 404, "it is not a layer of that one"


def test_an_image_without_its_layer_takes_it_from_no_other(tmp_path: Path) -> None:
    """Whoever has an image at the upstream can let it refer to the layers of others."""
    with mirror(tmp_path, env={"NORA_PROXY_ABSENT_TTL": "60"}) as hub:
        layer = layer_of(hub.registry.image("some/good", "latest", b"a layer"))
        hub.registry.image("some/evil", "latest", b"a layer")
        hub.up.serve(f"/v2/some/evil/blobs/{layer}", Answer(status=404))
        for name in ("some/evil", "some/good"):
            assert hub.image(name).get_manifest("latest").status_code == 200
        assert hub.image("some/evil").get_blob(layer).status_code == 404
        assert hub.image("some/good").head_blob(layer).status_code == 200
        assert hub.image("some/good").get_blob(layer).content == b"a layer"


def test_a_push_is_nobody_elses_business(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    image = hub.image(name)
    assert image.head_blob(digest(b"mine")).status_code == 404
    pushed = image.push_image("latest", layers=[b"mine"])
    assert hub.up.log.requests == []
    hub.registry.image(name, "other")
    assert pull(image).content == pushed.manifest
    for reference in ("other", f"sha256:{'2' * 64}"):
        assert image.get_manifest(reference).status_code == 404
        assert image.head_manifest(reference).status_code == 404
    assert image.get_blob(f"sha256:{'2' * 64}").status_code == 404
    assert image.tags() == ["latest"]
    assert image.referrers(pushed.digest).json()["manifests"] == []
    assert hub.up.log.requests == []


def test_a_name_that_was_cached_and_is_ours_now(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    theirs = hub.registry.image(name, "theirs")
    image = hub.image(name)
    pull(image, "theirs")
    image.push_image("ours", seed="ours")
    hub.up.log.clear()
    assert image.get_manifest("theirs").status_code == 404
    assert image.get_manifest(theirs.digest).status_code == 404
    assert image.get_blob(layer_of(theirs)).status_code == 404
    assert image.tags() == ["ours"]
    assert hub.up.log.requests == []


def test_a_push_over_what_was_pulled(hub: Mirror, repository: Name) -> None:
    """A client was told that layers are there, and does not send them."""
    name = repository("app")
    manifest = hub.registry.image(name, "latest", b"pulled")
    image = hub.image(name)
    pull(image)
    assert image.head_blob(layer_of(manifest)).status_code == 200
    assert image.put_manifest("mine", manifest.body).status_code == 201
    hub.up.log.clear()
    assert pull(image, "mine").content == manifest.body
    assert hub.up.log.requests == []


def test_a_push_over_what_was_not_pulled_yet(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    manifest = hub.registry.image(name, "latest", b"not pulled")
    image = hub.image(name)
    image.get_manifest("latest")
    assert image.head_blob(layer_of(manifest)).status_code == 200, "upstream it is there"
    assert image.put_manifest("mine", manifest.body).status_code == 400
    assert image.head_blob(layer_of(manifest)).status_code == 404, "the client sends it now"


def test_an_index(hub: Mirror, repository: Name, tmp_path: Path) -> None:
    name = repository("app")
    layout = images.multi(tmp_path / "layout")
    top = hub.registry.add(name, layout)
    image = hub.image(name)
    found = image.get_manifest("latest")
    assert found.headers["content-type"] == INDEX
    assert found.headers["docker-content-digest"] == top
    pulled, other = (child["digest"] for child in found.json()["manifests"][:2])
    pull(image, pulled)
    hub.up.fault = Answer(status=500)
    stale = image.get_manifest("latest")
    assert stale.status_code == 200
    assert stale.headers["x-nora-stale"] == "true"
    assert stale.headers["warning"].startswith("110 ")
    assert "x-nora-stale" not in pull(image, pulled).headers
    answer = image.get_manifest(other)
    assert answer.status_code in FAILED
    assert answer.json()["errors"][0]["code"] == "UNAVAILABLE"


def test_an_upstream_that_is_gone(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    manifest = hub.registry.image(name)
    image = hub.image(name)
    pull(image)
    hub.up.stop()
    try:
        assert pull(image).headers["x-nora-stale"] == "true"
        assert image.head_manifest("latest").headers["x-nora-stale"] == "true"
        assert image.get_manifest(manifest.digest).status_code == 200
        assert image.tags() == ["latest"]
        for reference in ("other", f"sha256:{'3' * 64}"):
            answer = image.get_manifest(reference)
            assert answer.status_code == 503
            assert answer.json()["errors"][0]["code"] == "UNAVAILABLE"
            assert int(answer.headers["retry-after"]) > 0
        assert (
            hub.image(repository("unseen")).client.get(f"/v2/{repository('unseen')}/tags/list").status_code
            == 503
        )
    finally:
        hub.up.start()
    assert "x-nora-stale" not in pull(image).headers


def test_names_with_a_prefix(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    manifest = hub.far.image(name)
    hub.far.up.log.clear()
    assert pull(hub.image(f"far/{name}")).content == manifest.body
    assert hub.image(f"far/{repository('none')}").get_manifest("latest").status_code == 404
    assert hub.up.log.requests == [], "names with the prefix are that upstream's only"
    assert hub.image(name).get_manifest("latest").status_code == 404
    assert hub.far.up.log.count(None, f"/v2/{name}/manifests/latest") == 1


def test_containerd_names_the_registry(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    near, far = hub.registry.image(name, seed="near"), hub.far.image(name, seed="far")
    host = hub.up.url.removeprefix("http://")

    def ask(kind: str, reference: str, namespace: str) -> httpx.Response:
        return hub.client.get(f"/v2/{name}/{kind}/{reference}", params={"ns": namespace})

    for namespace, manifest in ((host, near), ("far.example.com", far)):
        answer = ask("manifests", "latest", namespace)
        assert answer.content == manifest.body
        assert answer.headers["oci-namespace"] == namespace
        assert ask("blobs", layer_of(manifest), namespace).status_code == 200
        assert (
            hub.client.head(f"/v2/{name}/manifests/latest", params={"ns": namespace}).headers[
                "docker-content-digest"
            ]
            == manifest.digest
        )
    assert ask("manifests", "latest", "ghcr.example.com").status_code == 404
    assert pull(hub.image(name)).content == near.body
    assert pull(hub.image(f"far/{name}")).content == far.body


def test_tags(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    for tag in ("b", "a", "C", "1.0"):
        hub.registry.image(name, tag)
    image = hub.image(name)
    assert image.tags() == ["1.0", "C", "a", "b"]
    assert image.tags("?n=2") == ["1.0", "C"]
    assert image.tags("?n=2&last=B") == ["C", "a"]
    assert image.tags("?last=b") == []
    assert hub.client.get(f"/v2/{repository('none')}/tags/list").status_code == 404
    hub.up.fault = Answer(status=500)
    assert image.tags() == ["1.0", "C", "a", "b"]


def test_tags_in_pages(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    manifest = hub.registry.image(name)
    tags = [f"v{number:04}" for number in range(1500)]
    for tag in tags:
        hub.registry.tag(name, tag, manifest.digest)
    assert hub.image(name).tags() == ["latest", *tags]
    assert hub.asked("GET", f"{name}/tags/list") == 2


def test_tags_that_cannot_be_listed(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    hub.registry.image(name, "a")
    hub.registry.image(name, "b")
    pull(hub.image(name), "a")
    hub.up.serve(f"/v2/{name}/tags/list", Answer(status=500))
    assert hub.image(name).tags() == ["a"], "what is cached"


def test_the_catalog_lists_what_was_pulled(hub: Mirror, repository: Name) -> None:
    pulled, asked, ours = repository("pulled"), repository("asked"), repository("ours")
    hub.registry.image(pulled)
    hub.registry.image(asked)
    pull(hub.image(pulled))
    hub.image(asked).head_manifest("latest")
    hub.image(ours).push_image("latest")
    listed = hub.client.get("/v2/_catalog", params={"last": repository("")}).json()["repositories"]
    assert [name for name in listed if name in {pulled, asked, ours}] == sorted([pulled, ours])


@pytest.mark.parametrize("api", [True, False])
def test_referrers(hub: Mirror, repository: Name, api: bool) -> None:
    name = repository("app")
    subject = hub.registry.image(name)
    one = hub.registry.refer(name, subject, "application/x-one")
    two = hub.registry.refer(name, subject, "application/x-two")
    if not api:
        hub.registry.fallback_tag(name, subject)
        hub.registry.referrers = False
    image = hub.image(name)
    found = image.referrers(subject.digest)
    assert found.headers["content-type"] == INDEX
    assert {entry["digest"] for entry in found.json()["manifests"]} == {one.digest, two.digest}
    filtered = image.referrers(subject.digest, "?artifactType=application/x-one")
    assert [entry["digest"] for entry in filtered.json()["manifests"]] == [one.digest]
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    if not api:
        tag = subject.digest.replace(":", "-")
        assert hub.asked("HEAD", f"{name}/manifests/{tag}") == 2
        assert hub.asked("GET", f"{name}/manifests/{tag}") == 1, "it has not changed"
    pull(image, two.digest)
    hub.up.fault = Answer(status=500)
    assert len(image.referrers(subject.digest).json()["manifests"]) == 2
    assert image.referrers(f"sha256:{'4' * 64}").status_code in FAILED


@pytest.mark.parametrize("api", [True, False])
def test_referrers_without_end_are_not_taken(hub: Mirror, repository: Name, api: bool) -> None:
    """Each request would stop a worker for as long as it takes to read them."""
    name = repository("app")
    subject = hub.registry.image(name)
    entry = {"mediaType": IMAGE, "size": 1, "annotations": {"a": "x" * 100}}
    body = index(entry | {"digest": f"sha256:{number:064}"} for number in range(12_000))
    if api:
        hub.up.serve(f"/v2/{name}/referrers/{subject.digest}", Answer(body=body))
    else:
        hub.registry.referrers = False
        hub.registry.put(name, subject.digest.replace(":", "-"), body, INDEX)
    assert hub.image(name).referrers(subject.digest).status_code == 502


def test_digests_that_somebody_thinks_of_leave_nothing_behind(hub: Mirror, repository: Name) -> None:
    """Anybody may ask for the referrers of any number of them, and the registry says 200."""
    name = repository("app")
    manifest = hub.registry.image(name)
    image = hub.image(name)
    pull(image)
    for number in range(5):
        assert image.referrers(f"sha256:{number:064}").json()["manifests"] == []
    assert image.referrers(manifest.digest).json()["manifests"] == []
    with contextlib.closing(sqlite3.connect(Layout(hub.server.storage).catalog)) as db:
        kept = db.execute("SELECT path FROM file WHERE path LIKE ?", (f"{name}/referrers/%",)).fetchall()
    assert kept == [(f"{name}/referrers/{manifest.digest}",)]
    hub.up.fault = Answer(status=500)
    assert image.referrers(manifest.digest).headers.get("content-type") == INDEX, "what is known goes on"


def test_no_referrers(hub: Mirror, repository: Name) -> None:
    answer = hub.image(repository("none")).referrers(f"sha256:{'5' * 64}")
    assert answer.status_code == 200
    assert answer.json()["manifests"] == []


def test_what_is_said_by_others_is_looked_at(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    subject = hub.registry.image(name)
    wrong = [{"digest": "x"}, 1, {"mediaType": IMAGE, "digest": subject.digest, "size": "1"}]
    for body in (render({"manifests": wrong}), index([describe(b"a", IMAGE)])):
        hub.up.serve(f"/v2/{name}/referrers/{subject.digest}", Answer(body=body))
        expected = 1 if body == index([describe(b"a", IMAGE)]) else 0
        assert len(hub.image(name).referrers(subject.digest).json()["manifests"]) == expected
    for body in (b"[]", b"<html>", b'{"manifests": {}}'):
        other = f"sha256:{digest(body)[7:]}"
        hub.up.serve(f"/v2/{name}/referrers/{other}", Answer(body=body))
        assert hub.image(name).referrers(other).status_code == 502
    hub.up.serve(f"/v2/{name}/tags/list", Answer(body=render({"tags": ["ok", 1, "no/tag", "ok"]})))
    assert hub.image(name).tags() == ["ok"]
    evil = Answer(body=render({"tags": ["ok"]})).plus(link='<https://evil.example.com/>; rel="next"')
    hub.up.serve(f"/v2/{repository('evil')}/tags/list", evil)
    assert hub.client.get(f"/v2/{repository('evil')}/tags/list").status_code == 502


def test_referrers_that_are_nested_more_than_can_be_written(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    subject = hub.registry.image(name)
    nested = b'{"a":' * 300 + b'"b"' + b"}" * 300
    body = index([describe(b"a", IMAGE)]).replace(b'"size"', b'"annotations":%b,"size"' % nested)
    hub.up.serve(f"/v2/{name}/referrers/{subject.digest}", Answer(body=body))
    found = hub.image(name).referrers(subject.digest)
    assert found.status_code == 200
    assert found.json()["manifests"] == [describe(b"a", IMAGE)]


def test_who_sends_the_credentials_of_another_registry(hub: Mirror, repository: Name) -> None:
    name = repository("app")
    hub.registry.image(name)
    answer = hub.client.get(f"/v2/{name}/manifests/latest", auth=("someone", "else"))
    assert answer.status_code == 200
    assert all("authorization" not in asked.headers for asked in hub.up.log.requests)
