"""`nora mirror docker`: images are here afterwards, for all platforms or those that were chosen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from nora.errors import BadRequest
from nora.formats.docker.mirror import Image, parse_image
from tests.formats.docker.mirrors import Mirror, mirror
from tests.support import images
from tests.support.mirroring import mirror as run
from tests.support.oci import IMAGE, INDEX, LAYER, describe, digest, index, render
from tests.support.tables import each

SHA = f"sha256:{'a' * 64}"


@each(
    ("text", "image", "reference", "wanted"),
    [
        ("alpine", Image("alpine"), "latest", ""),
        ("alpine:3.22", Image("alpine"), "3.22", ""),
        ("team/app:1", Image("team/app"), "1", ""),
        (f"team/app@{SHA}", Image("team/app"), SHA, SHA),
        (f"team/app:1@{SHA}", Image("team/app"), "1", SHA),
        ("registry.example.com/team/app", Image("team/app", "registry.example.com"), "latest", ""),
        ("localhost:5000/app:1", Image("app", "localhost:5000"), "1", ""),
    ],
)
def test_images_are_named_as_clients_name_them(text: str, image: Image, reference: str, wanted: str) -> None:
    assert parse_image(text) == (image, reference, wanted)


@each(
    "text",
    ["", "Team/app", "app:", "app@", "app@sha256:12", "../app", "ex ample.com/app", "a.b:x/app", "app:a/b/"],
)
def test_what_is_no_image_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_image(text)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    with mirror(tmp_path_factory.mktemp("mirror")) as found:
        yield found


@pytest.fixture
def hub(shared: Mirror) -> Mirror:
    """A mirror whose registry has forgotten what it was asked."""
    shared.up.log.clear()
    return shared


def pull_offline(hub: Mirror, name: str, reference: str) -> list[str]:
    """The digests of all that a NORA has of an image that may ask nobody; `no …` for what it does not."""
    online = hub.server.env
    hub.server.env = {**online, "NORA_PROXY_MODE": "offline"}
    hub.server.restart()
    found: list[str] = []
    try:
        with httpx.Client(base_url=f"{hub.server.url}/v2/{name}/", timeout=30, trust_env=False) as http:
            left = [f"manifests/{reference}"]
            while left:
                path = left.pop()
                answer = http.get(path, headers={"accept": f"{IMAGE}, {INDEX}"})
                if answer.status_code != 200:
                    found.append(f"no {path.partition('/')[2]}")
                    continue
                found.append(digest(answer.content))
                if path.startswith("manifests/"):
                    document = answer.json()
                    left += [f"manifests/{one['digest']}" for one in document.get("manifests", [])]
                    blobs = [*document.get("layers", []), *filter(None, [document.get("config")])]
                    left += [f"blobs/{one['digest']}" for one in blobs]
        return found
    finally:
        hub.server.env = online
        hub.server.restart()


@pytest.mark.slow
def test_an_image_is_here_afterwards_for_all_platforms(hub: Mirror, tmp_path: Path) -> None:
    layout = images.multi(tmp_path / "layout", "all")
    hub.registry.add("team/all", layout, "1")
    done = run(hub.server, "docker", "--images", "team/all:1", "--json")
    assert done.code == 0, done.json
    assert done.json["done"] == done.json["wanted"] == 9  # an index, two manifests, two configs, four layers
    assert sorted(pull_offline(hub, "team/all", "1")) == sorted(layout.blobs())


@pytest.mark.slow
def test_platforms_are_chosen(hub: Mirror, tmp_path: Path) -> None:
    layout = images.multi(tmp_path / "layout", "some")
    hub.registry.add("team/some", layout)
    file = tmp_path / "images.txt"
    file.write_text("# the images of the site\nteam/some  # with a comment\n\n")
    done = run(hub.server, "docker", "--images-file", file, "--platforms", "linux/arm64")
    assert done.code == 0, done.stderr
    document = hub.registry.manifests["team/some"]["latest"].document
    amd64, arm64 = (one["digest"] for one in document["manifests"])
    assert hub.asked("GET", f"team/some/manifests/{arm64}") == 1
    assert hub.asked("GET", f"team/some/manifests/{amd64}") == 0
    done = run(
        hub.server, "docker", "--images", "team/some", "--platforms", "linux/arm64,linux/s390x", "--json"
    )
    assert done.code == 1
    told = "it has no image for it, but for linux/amd64, linux/arm64"
    assert done.missing == {"team/some:latest for linux/s390x": told}
    assert "is no platform" in run(hub.server, "docker", "--images", "x", "--platforms", "arm64").stderr


@pytest.mark.slow
def test_what_an_attestation_is_about_brings_it_along(hub: Mirror) -> None:
    wanted, other = (
        hub.registry.image("team/attested", "a", seed="a"),
        hub.registry.image("team/attested", "b", seed="b"),
    )
    about = [hub.registry.image("team/attested", f"about-{seed}", seed=f"about {seed}") for seed in "ab"]
    children = []
    for one, architecture in ((wanted, "amd64"), (other, "arm64")):
        children.append(describe(one.body, IMAGE, platform={"os": "linux", "architecture": architecture}))
    for one, subject in zip(about, (wanted, other), strict=True):
        platform = {"os": "unknown", "architecture": "unknown"}
        annotations = {"vnd.docker.reference.digest": subject.digest}
        children.append(describe(one.body, IMAGE, platform=platform, annotations=annotations))
    hub.registry.put("team/attested", "1", index(children), INDEX)
    assert run(hub.server, "docker", "--images", "team/attested:1", "--platforms", "linux/amd64").code == 0
    asked = [hub.asked("GET", f"team/attested/manifests/{one.digest}") for one in (wanted, other, *about)]
    assert asked == [1, 0, 1, 0]


@pytest.mark.slow
def test_what_is_missing_is_named_with_its_reason(hub: Mirror) -> None:
    hub.registry.image("team/half", "1")
    lost = hub.registry.image("team/lost", "1")
    layer = lost.document["layers"][0]["digest"]
    del hub.registry.blobs[layer]
    wrong = f"team/half:1@{SHA}"
    done = run(hub.server, "docker", "--images", f"team/half:1,{wrong},team/lost:1,team/absent:2", "--json")
    assert done.code == 1
    assert {*done.missing} == {"team/half:1", f"team/lost {layer}", "team/absent:2"}
    assert f"and should be {'a' * 64}" in done.missing["team/half:1"]
    assert "404" in done.missing["team/absent:2"]


@pytest.mark.slow
def test_the_registry_of_an_image_may_be_said(hub: Mirror) -> None:
    manifest = hub.far.image("team/far", "1", seed="far")
    assert run(hub.server, "docker", "--images", "far.example.com/team/far:1").code == 0
    assert pull_offline(hub, "far/team/far", "1")[0] == manifest.digest
    done = run(hub.server, "docker", "--images", "other.example.com/team/far:1", "--json")
    assert "is not mirrored here" in done.missing["other.example.com/team/far:1"]


@pytest.mark.slow
def test_what_layers_are_elsewhere_and_caches_of_builds_are(hub: Mirror) -> None:
    foreign = describe(b"foreign", f"{LAYER}.nondistributable", urls=["https://elsewhere.example.com/layer"])
    hub.registry.image("team/foreign", "1", layers=[foreign])
    assert run(hub.server, "docker", "--images", "team/foreign:1").code == 0
    cached = hub.registry.blob(b"cache of a build")
    config = describe(b"{}", "application/vnd.buildkit.cacheconfig.v0")
    hub.registry.blobs[digest(b"{}")] = b"{}"
    hub.registry.put("team/cache", "1", index([cached, config]), INDEX)
    assert run(hub.server, "docker", "--images", "team/cache:1").code == 0
    assert hub.asked("GET", f"team/cache/blobs/{cached['digest']}") == 1
    hub.registry.put("team/other", "1", render({"schemaVersion": 1}), "application/vnd.other+json")
    done = run(hub.server, "docker", "--images", "team/other:1", "--json")
    assert done.code == 1
    assert {*done.missing} == {"team/other:1"}
