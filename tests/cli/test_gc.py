"""`nora gc` on the data directory of a server."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from nora.blobs.base import Expect
from nora.blobs.layout import SHARDS, Layout, StoredObject
from nora.catalog.records import NewCached
from nora.cli import gc, main
from nora.commands import open_services
from nora.config import repository_specs
from nora.errors import StorageFailed
from nora.formats import load_config
from nora.locks import FileLock

STORAGE = Path("data/storage")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NORA_GC_GRACE", "0")
    monkeypatch.setenv("NORA_GC_LEASE", "0")


def nora(*words: str) -> Result:
    return CliRunner().invoke(main, words, prog_name="nora")


def push(*contents: str) -> None:
    """Blobs that no version needs."""

    async def work() -> None:
        config = load_config(os.environ, Path.cwd())
        async with open_services(config) as services:
            Layout(config.storage.path).create()
            hosted = (await services.catalog.sync_repositories(repository_specs(config)))["docker-hosted"]
            for content in contents:
                async with services.blobs.ingest(content.encode(), Expect()) as new:
                    new.settle(await services.catalog.add_blob(new.blob, hosted.id, "app", 0.0))

    asyncio.run(work())


def objects() -> list[StoredObject]:
    layout = Layout(STORAGE)
    return [one for shard in SHARDS for one in layout.list_objects(shard)]


def audited() -> list[str]:
    log = STORAGE / "audit.jsonl"
    return [orjson.loads(line)["object"] for line in log.read_bytes().splitlines()] if log.exists() else []


def test_it_only_tells_until_it_is_told_to() -> None:
    push("one", "other")
    told = nora("gc")
    assert (told.exit_code, told.stdout) == (
        0,
        "nothing needs 2 blobs (8 bytes)\nno row names 0 objects (0 bytes)\n",
    ), told.output
    assert "nora gc --apply" in told.stderr
    assert len(objects()) == 2
    assert audited() == []
    done = nora("gc", "--apply")
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    assert done.stdout == "collected 2 blobs (8 bytes)\nremoved 2 objects (8 bytes)\n"
    assert objects() == []
    assert audited() == ["nora gc --apply: 2 blobs (8 bytes)"]
    assert nora("gc").stdout == "nothing needs 0 blobs (0 bytes)\nno row names 0 objects (0 bytes)\n"


def test_grace_keeps_what_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NORA_GC_GRACE")
    push("young")
    assert nora("gc", "--apply").stdout.startswith("collected 0 blobs")
    assert len(objects()) == 1


def test_beside_a_server_objects_stay_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    push("one")
    monkeypatch.setattr(gc, "_is_served", lambda config: True)
    done = nora("gc", "--apply")
    assert done.stdout == "collected 1 blob (3 bytes)\nremoved 0 objects (0 bytes)\n"
    assert done.stderr == "the server removes 1 object (3 bytes) within 16 minutes\n"
    assert len(objects()) == 1
    assert "1 blob (3 bytes) collected before, not removed yet" in nora("gc").stdout


def test_a_server_is_known_by_its_lock() -> None:
    push("one")
    config = load_config(os.environ, Path.cwd())
    assert not gc._is_served(config)
    with closing(FileLock(STORAGE / "nora.lock")) as lock, lock:
        assert gc._is_served(config)


def test_a_failed_read_is_said_and_removes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    push("one")

    def fail(layout: Layout, shard: str) -> list[StoredObject]:
        raise StorageFailed(f"{shard} cannot be read")

    with monkeypatch.context() as broken:
        broken.setattr(Layout, "list_objects", fail)
        done = nora("gc", "--apply")
    assert (done.exit_code, done.stderr) == (1, "00 cannot be read\n")
    assert len(objects()) == 1


def test_an_interrupt_is_said_and_the_next_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    push("one")

    async def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr("nora.blobs.collection.Collector.remove_doomed", interrupt)
        done = nora("gc", "--apply")
    assert (done.exit_code, done.stdout) == (130, "")
    assert "the next run goes on" in done.stderr
    assert nora("gc", "--apply").stdout.endswith("removed 1 object (3 bytes)\n")


def test_a_directory_without_a_store_is_not_made_one() -> None:
    done = nora("gc")
    assert done.exit_code == 1
    assert "there is no store in" in done.stderr
    assert not STORAGE.exists()


def test_what_nobody_used_of_upstreams_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NORA_GC_GRACE")  # which is for what cannot be fetched again
    monkeypatch.setenv("NORA_PROXY_MODE", "online")
    push()

    async def work() -> None:
        config = load_config(os.environ, Path.cwd())
        async with open_services(config) as services:
            repositories = await services.catalog.sync_repositories(repository_specs(config))
            (source,) = repositories["pypi-proxy"].sources
            for name in ("old", "older"):
                async with services.blobs.ingest(name.encode(), Expect()) as new:
                    entry = NewCached(
                        path=f"{name}/",
                        package=name,
                        media_type="text/html",
                        blob=new.blob,
                        upstream_url="https://index.example.com",
                        fetched_at=0.0,
                        fresh_until=0.0,
                    )
                    new.settle(await services.catalog.put_cached(source.id, entry, 60.0))

    asyncio.run(work())
    assert nora("gc").stdout.startswith("nothing needs 0 blobs"), "there is no limit"
    monkeypatch.setenv("NORA_CACHE_UNUSED_TTL", "30d")
    monkeypatch.setenv("NORA_PROXY_MODE", "offline")
    assert nora("gc").exit_code == 0
    assert nora("gc", "--apply").stdout.startswith("collected 0 blobs"), "nobody can be asked for it again"
    monkeypatch.setenv("NORA_PROXY_MODE", "online")
    assert nora("gc").stdout.startswith("nobody used 2 blobs (8 bytes) of upstreams\n")
    assert nora("gc", "--apply").stdout == (
        "dropped 2 blobs (8 bytes) of upstreams\ncollected 0 blobs (0 bytes)\nremoved 2 objects (8 bytes)\n"
    )
    assert objects() == []
