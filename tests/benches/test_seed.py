"""All registries are filled with the same bytes, in shapes that clients really push."""

from __future__ import annotations

import orjson

from benches.registries import seed


def test_content_is_the_same_in_every_run() -> None:
    assert seed.blob(32, "a", 1) == seed.blob(32, "a", 1)
    assert seed.blob(32, "a", 1).digest != seed.blob(32, "a", 2).digest


def test_an_image_names_its_config_and_layers() -> None:
    manifest = orjson.loads(seed.app(0).manifest.data)
    assert manifest["config"]["digest"] == seed.app(0).config.digest
    assert [layer["size"] for layer in manifest["layers"]] == list(seed.LAYER_SIZES)


def test_images_share_their_base() -> None:
    assert seed.app(0).layers[3:] == seed.app(1).layers[3:]
    assert seed.app(0).layers[0] != seed.app(1).layers[0]


def test_build_caches_come_in_both_shapes() -> None:
    new, old = seed.cache(0), seed.cache(1)
    assert orjson.loads(new.manifest.data)["config"]["mediaType"] == seed.CACHE_CONFIG
    children = orjson.loads(old.manifest.data)["manifests"]
    assert [child["mediaType"] for child in children[-2:]] == [seed.LAYER, seed.CACHE_CONFIG]
    assert (new.media_type, old.media_type) == (seed.IMAGE, seed.INDEX)


def test_tags_sort_as_their_numbers_do() -> None:
    tags = [seed.tag(number) for number in (0, 9, 10, 9_999)]
    assert tags == sorted(tags)
    assert len({len(name) for name in tags}) == 1
