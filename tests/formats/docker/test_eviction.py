"""Images of an upstream that nobody uses go while the server serves, and come again when they are wanted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

from nora.blobs.collection import Collector
from nora.blobs.eviction import Evictor
from nora.blobs.layout import SHARDS, Layout
from nora.commands import open_services
from nora.formats import load_config
from tests.formats.docker.mirrors import Mirror, mirror
from tests.formats.docker.test_purge import held
from tests.support.oci import digest
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow
Name = Callable[[str], str]
DAY = 24 * 3600.0


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    env = {"NORA_DOCKER_METADATA_TTL": "3600"}
    with mirror(tmp_path_factory.mktemp("eviction"), workers=2, env=env) as one:
        yield one


def collect_in(hub: Mirror, days: float) -> None:
    """As a command does in so many days, where what nobody used for one goes."""

    async def work() -> None:
        config = load_config(hub.server.environment(), hub.server.data)

        def clock() -> float:
            return time.time() + days * DAY

        async with open_services(config) as services:
            lock = Layout(hub.server.storage).removal_lock
            evictor = Evictor(services.catalog, unused_ttl=DAY, max_bytes=None, clock=clock)
            collector = Collector(
                services.catalog, services.blobs, grace=0, unlink_delay=0, removal_lock=lock, clock=clock
            )
            planned = await evictor.plan()
            assert await evictor.evict() == planned
            await collector.collect()

    asyncio.run(work())


def objects(hub: Mirror) -> set[str]:
    layout = Layout(hub.server.storage)
    return {one.digest for shard in SHARDS for one in layout.list_objects(shard)}


def test_an_image_goes_with_its_layers_and_can_be_pulled_again(hub: Mirror, repository: Name) -> None:
    name = repository("unused")
    manifest = hub.registry.image(name)
    image = hub.image(name)
    layers = {one["digest"] for one in (*manifest.document["layers"], manifest.document["config"])}

    def pull() -> None:
        for _ in range(4):  # both workers have it in memory then
            assert image.get_manifest("latest").content == manifest.body
        for layer in layers:
            assert image.get_blob(layer).status_code == 200
        # Rows of the tag and the manifest; a client may have a layer a moment before its row is there
        wait_until(lambda: held(hub, name) == 2 + len(layers), "the rows", seen=lambda: held(hub, name))

    pull()
    collect_in(hub, 0.5)
    assert {manifest.digest, *layers} <= objects(hub), "it was used"
    collect_in(hub, 3)
    assert not {manifest.digest, *layers} & objects(hub)
    assert {image.get_blob(layer).status_code for layer in layers for _ in range(4)} == {404}
    hub.up.log.clear()
    pull()
    assert hub.asked("GET", f"{name}/manifests/{manifest.digest}") == 1
    assert {manifest.digest, *layers} <= objects(hub)


def test_what_was_pushed_here_stays(hub: Mirror, repository: Name) -> None:
    image = hub.image(repository("pushed"))
    pushed = image.push_image("1")
    before = objects(hub)
    collect_in(hub, 3)
    assert image.get_manifest("1").content == pushed.manifest
    for content in (pushed.config, *pushed.layers):
        assert image.get_blob(digest(content)).content == content
    assert objects(hub) <= before
