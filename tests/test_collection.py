"""Collection over all formats: exactly what nothing needs goes, and everything else is served as before."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from nora.blobs.base import Expect
from nora.blobs.collection import Collector
from nora.blobs.layout import SHARDS, Layout
from nora.catalog.records import NewCached, NewFile
from nora.commands import open_services
from nora.config import repository_specs
from nora.formats import discover, load_config
from nora.formats.base import CommandServices
from nora.model import Digest, Repository
from tests.formats.test_contract import sample_of
from tests.support.in_process import application

pytestmark = pytest.mark.anyio

MUCH_LATER = 30 * 24 * 3600.0


def stored(folder: Path) -> set[Digest]:
    layout = Layout(folder / "storage")
    return {one.digest for shard in SHARDS for one in layout.list_objects(shard)}


async def plant(services: CommandServices, where: Repository, content: bytes) -> None:
    """Bytes that were pushed to a repository, and that nothing of it needs."""
    async with services.blobs.ingest(content, Expect()) as new:
        new.settle(await services.catalog.add_blob(new.blob, where.id, "planted", 0.0))


async def plant_a_deleted_file(services: CommandServices, where: Repository, content: bytes) -> None:
    async with services.blobs.ingest(content, Expect()) as new:
        file = NewFile(path="planted/file", media_type="text/plain", blob=new.blob)
        new.settle(await services.catalog.put_file(where.id, file, replace=False))
    await services.catalog.delete_files(where.id, [file.path], for_good=False)


async def cache(services: CommandServices, where: Repository, path: str, content: bytes) -> None:
    async with services.blobs.ingest(content, Expect()) as new:
        entry = NewCached(
            path=path,
            package="planted",
            media_type="text/html",
            blob=new.blob,
            upstream_url="https://index.example.com",
            fetched_at=time.time(),
            fresh_until=time.time(),
        )
        new.settle(await services.catalog.put_cached(where.id, entry, 0.0))


async def test_of_every_format_exactly_the_orphan_goes(tmp_path: Path) -> None:
    samples = {found.name: sample_of(found.name) for found in discover()}
    async with application(tmp_path) as http:
        for step in [step for sample in samples.values() for step in sample.publish]:
            await http.request(step.method, step.path, headers=dict(step.headers), content=step.body)
    published = stored(tmp_path)
    config = load_config({"NORA_STORAGE_PATH": str(tmp_path / "storage")}, tmp_path)
    async with open_services(config) as services:
        repositories = await services.catalog.sync_repositories(repository_specs(config))
        kept = set(published)
        for name in samples:
            hosted = repositories[f"{name}-hosted"]
            await plant(services, hosted, f"orphan of {name}".encode())
            await plant_a_deleted_file(services, hosted, f"file of {name}".encode())
            for source in repositories[f"{name}-proxy"].sources if f"{name}-proxy" in repositories else ():
                before = stored(tmp_path)
                await cache(services, source, "planted/", f"page of {name}".encode())
                kept |= stored(tmp_path) - before
        for name in samples:
            for source in repositories[f"{name}-proxy"].sources if f"{name}-proxy" in repositories else ():
                await cache(services, source, "replaced/", f"old page of {name}".encode())
                await cache(services, source, "replaced/", f"page of {name}".encode())
        planted = stored(tmp_path) - kept
        assert len(planted) >= 2 * len(samples)
        collector = Collector(
            services.catalog,
            services.blobs,
            grace=60.0,
            unlink_delay=60.0,
            removal_lock=tmp_path / "removal.lock",
            clock=lambda: time.time() + MUCH_LATER,
        )
        assert (await collector.plan()).unneeded.count == len(planted)
        assert (await collector.collect()).doomed.count == len(planted)
        await collector.remove_doomed(delay=0.0)
    assert stored(tmp_path) == kept
    async with application(tmp_path) as http:  # which has nothing in memory
        for name, sample in samples.items():
            answer = await http.get(sample.fetch.path, headers=dict(sample.fetch.headers))
            assert (answer.status_code, answer.content) == (sample.fetch.status, sample.fetched), name
        for step in [step for sample in samples.values() for step in sample.publish]:
            answer = await http.request(step.method, step.path, headers=dict(step.headers), content=step.body)
            assert answer.status_code in {step.status, step.again}, (step.path, answer.text)
