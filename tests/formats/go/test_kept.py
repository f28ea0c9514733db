"""What is here of modules of upstreams: offline, while they are down, blocked, purged, asked for alone."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nora.errors import StorageFull
from nora.formats.go.files import VersionFiles
from tests.formats.go.wire import (
    REASON,
    block,
    fetched,
    kept,
    lift,
    module_path,
    path_of,
    published,
    versions,
)
from tests.support.answers import Answer
from tests.support.go_modules import Module, ModuleProxy
from tests.support.in_process import application
from tests.support.upstream import Upstream
from tests.support.waiting import until

pytestmark = pytest.mark.anyio
OLD, NEW, UNSEEN = (Module("example.com/lib", version) for version in ("v1.0.0", "v1.1.0", "v1.2.0"))
COMMIT = Module("example.com/lib", "v1.2.1-0.20240101000000-abcdef123456")


@pytest.fixture
def proxy(upstream: Upstream) -> ModuleProxy:
    found = ModuleProxy()
    found.mount(upstream)
    for module in (OLD, NEW, UNSEEN):
        found.add(module)
    found.add(COMMIT, listed=False)
    found.query(COMMIT.path, "main", COMMIT.version)
    found.query(COMMIT.path, "latest", UNSEEN.version)
    return found


async def test_offline_all_that_is_here_is_offered(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    async with application(tmp_path, NORA_GO_PROXY=upstream.url) as http:
        assert await versions(http, OLD) == ["v1.0.0", "v1.1.0", "v1.2.0"]
        await http.get(module_path(OLD, "@v/main.info"))
        await kept(http, OLD, NEW, COMMIT)
    upstream.log.clear()
    async with application(tmp_path, NORA_GO_PROXY=upstream.url, NORA_PROXY_MODE="offline") as http:
        assert await versions(http, OLD) == ["v1.0.0", "v1.1.0"]
        assert (await http.get(module_path(OLD, "@latest"))).content == NEW.info
        assert (await http.get(module_path(OLD, "@v/main.info"))).json()["Version"] == COMMIT.version
        for module in (OLD, NEW, COMMIT):
            for kind, content in (("info", module.info), ("mod", module.go_mod), ("zip", module.body)):
                assert await fetched(http, module, kind) == content
        for path in (path_of(UNSEEN), path_of(UNSEEN, "info"), module_path(OLD, "@v/other.info")):
            answer = await http.get(path)
            assert (answer.status_code, "proxy.mode is offline" in answer.text) == (404, True)
    assert upstream.log.paths() == []


async def test_offline_a_version_that_was_built_can_be_asked_for_as_well(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    """go build asks for no `.info`, of which go get and go mod download need one."""
    async with application(tmp_path, NORA_GO_PROXY=upstream.url) as http:
        for kind in ("mod", "zip"):
            await fetched(http, OLD, kind)
        await fetched(http, NEW, "mod")
    async with application(tmp_path, NORA_GO_PROXY=upstream.url, NORA_PROXY_MODE="offline") as http:
        assert await versions(http, OLD) == ["v1.0.0"]
        for path in (path_of(OLD, "info"), module_path(OLD, "@latest")):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()) == (200, {"Version": "v1.0.0"}), path
        assert (await http.get(path_of(NEW, "info"))).status_code == 404


async def test_while_an_upstream_is_down_its_last_list_is_joined_with_what_is_here(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    env = {"NORA_GO_PROXY": upstream.url, "NORA_GO_METADATA_TTL": "0", "NORA_PROXY_RETRIES": "0"}
    proxy.lists[OLD.path] = ["v1.0.0"]
    other = proxy.add(Module("example.com/unlisted"))
    async with application(tmp_path, **env) as http:
        await versions(http, OLD)
        await kept(http, NEW, other)
        upstream.fault = Answer(status=500)
        answer = await http.get(module_path(OLD, "@v/list"))
        assert (answer.text, answer.headers["x-nora-stale"]) == ("v1.0.0\nv1.1.0\n", "true")
        assert (await http.get(module_path(OLD, "@latest"))).content == NEW.info
        answer = await http.get(module_path(other, "@v/list"))  # it was never asked for
        assert (answer.text, answer.headers["x-nora-stale"]) == ("v1.0.0\n", "true")
        assert await fetched(http, other, "mod") == other.go_mod
        assert (await http.get("/go/example.com/unknown/@v/list")).status_code in (502, 503)


async def test_who_wants_nothing_fetched_gets_what_is_here(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    alone = {"disable-module-fetch": "true"}
    async with application(tmp_path, NORA_GO_PROXY=upstream.url) as http:
        paths = [module_path(OLD, what) for what in ("@v/list", "@latest", "@v/main.info")]
        paths += [path_of(OLD, kind) for kind in ("info", "mod", "zip", "ziphash")]
        for path in paths:
            assert (await http.get(path, headers=alone)).status_code == 404, path
        assert upstream.log.paths() == []
        await kept(http, OLD)
        await http.get(paths[2])
        count = len(upstream.log.paths())
        for path in paths:
            assert (await http.get(path, headers=alone)).status_code == 200, path
        assert (await http.get(paths[0], headers=alone)).text == "v1.0.0\n"
        assert len(upstream.log.paths()) == count
        assert len(await versions(http, OLD)) == 3


async def test_what_is_blocked_is_neither_listed_nor_served(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    digest = f"sha256:{hashlib.sha256(UNSEEN.body).hexdigest()}"
    by_version = {"repository": "go", "name": UNSEEN.path, "version": UNSEEN.version}
    async with application(tmp_path, NORA_GO_PROXY=upstream.url) as http:
        await kept(http, UNSEEN)
        for _ in range(2):
            assert len(await versions(http, UNSEEN)) == 3
        for what, kinds in (({"digest": digest}, ("zip",)), (by_version, ("zip", "mod", "info"))):
            number = await block(http, **what)
            assert await versions(http, UNSEEN) == ["v1.0.0", "v1.1.0"], what
            for kind in kinds:
                answer = await http.get(path_of(UNSEEN, kind))
                assert (answer.status_code, REASON in answer.text) == (403, True), (what, kind)
            latest = await http.get(module_path(UNSEEN, "@latest"))
            if what is by_version:
                assert latest.json()["Version"] == NEW.version
            await lift(http, number)
        assert await fetched(http, UNSEEN) == UNSEEN.body
        await block(http, repository="go", name=COMMIT.path, version=COMMIT.version)
        assert (await http.get(module_path(COMMIT, "@v/main.info"))).status_code == 403
        await block(http, repository="go", name=OLD.path)
        for path in (module_path(OLD, "@v/list"), module_path(OLD, "@latest"), path_of(OLD, "mod")):
            assert (await http.get(path)).status_code == 403, path


async def test_blocks_of_what_is_published_here(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_PROXY_MODE="offline") as http:
        for module in (OLD, NEW):
            await published(http, module)
            for kind in ("info", "mod"):
                await fetched(http, module, kind)
        await block(http, repository="go", name=NEW.path, version=NEW.version)
        assert await versions(http, NEW) == ["v1.0.0"]
        assert (await http.get(module_path(NEW, "@latest"))).json()["Version"] == OLD.version
        for kind in ("info", "mod", "zip", "ziphash"):
            assert (await http.get(path_of(NEW, kind))).status_code == 403, kind
        await block(http, repository="go", name=NEW.path)
        answer = await http.put(path_of(UNSEEN), content=UNSEEN.body)
        assert (answer.status_code, REASON in answer.text) == (403, True)
        assert (await http.delete(module_path(NEW, "@v/v1.1.0"))).status_code == 200


async def test_a_purged_version_is_fetched_again(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    async with application(tmp_path, NORA_GO_PROXY=upstream.url) as http:
        await kept(http, OLD)
        purge = {"repository": "go", "name": OLD.path, "version": OLD.version}
        assert (await http.post("/api/v1/admin/cache/purge", json=purge)).status_code == 200
        await kept(http, OLD)
    for kind in ("info", "mod", "zip"):
        assert upstream.log.count("GET", f"/{OLD.url(kind)}") == 2


async def test_a_refresh_asks_for_the_list_again(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    async with application(tmp_path, NORA_GO_PROXY=upstream.url) as http:
        assert len(await versions(http, OLD)) == 3
        proxy.add(Module(OLD.path, "v1.3.0"))
        assert len(await versions(http, OLD)) == 3
        assert (await http.post(module_path(OLD, "@v/refresh"), json={})).status_code == 200
        assert len(await versions(http, OLD)) == 4


async def test_a_zip_whose_hash_finds_no_room_comes_again(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row is left that names bytes which are gone."""
    keep, failing = VersionFiles._keep_hash, [StorageFull("no room")]

    async def keep_hash(*arguments: Any) -> None:
        if failing:
            raise failing.pop()
        await keep(*arguments)

    monkeypatch.setattr(VersionFiles, "_keep_hash", keep_hash)
    async with application(tmp_path, NORA_GO_PROXY=upstream.url) as http:

        async def is_whole() -> bool:
            with suppress(Exception):  # it may have been cut off in the middle
                return (await http.get(path_of(OLD))).is_success and not failing
            return False

        await until(is_whole, "the zip to come again")
        await kept(http, OLD)
        assert await fetched(http, OLD) == OLD.body
