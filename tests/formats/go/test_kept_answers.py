"""Answers that are given again as they were: as long as nothing has changed, in any worker."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from blacksheep import Response

from nora.formats.go.files import VersionFiles
from nora.formats.go.resource import Resource
from nora.formats.go.sources import Finder, Places
from nora.http import kept_answers
from nora.proxy.answers import KEPT_SECONDS
from tests.formats.go.wire import block, kept, module_path, path_of, published
from tests.support.go_modules import Module, ModuleProxy
from tests.support.in_process import application
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio
GO = {"accept-encoding": "gzip", "user-agent": "Go-http-client/1.1"}
OLD, NEW = Module("corp.example/lib", "v1.0.0"), Module("corp.example/lib", "v1.1.0")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of what was looked up, not given again."""
    found: list[str] = []
    look, find = VersionFiles.get, Finder.find

    async def counted_look(self: VersionFiles, resource: Resource) -> Response:
        found.append(resource.scope["path"])
        return await look(self, resource)

    async def counted_find(self: Finder, resource: Resource) -> Places:
        found.append(resource.scope["path"])
        return await find(self, resource)

    monkeypatch.setattr(VersionFiles, "get", counted_look)
    monkeypatch.setattr(Finder, "find", counted_find)
    return found


async def statuses(http: httpx.AsyncClient, *paths: str) -> list[int]:
    return [(await http.get(path, headers=GO)).status_code for path in paths]


async def test_of_what_is_published_here(tmp_path: Path, made: list[str]) -> None:
    paths = [path_of(OLD, "info"), path_of(OLD, "zip"), module_path(OLD, "@v/list")]
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(application(tmp_path, NORA_PROXY_MODE="offline"))
            for _ in range(2)
        ]
        await published(one, OLD)
        for http in (one, two):
            made.clear()
            for _ in range(3):
                assert await statuses(http, *paths) == [200] * 3
            assert len(made) == 3
        await published(one, NEW)
        assert "v1.1.0" in (await two.get(paths[2], headers=GO)).text
        await block(one, repository="go", name=OLD.path, version=OLD.version)
        assert await statuses(two, *paths) == [403, 403, 200]
        assert (await one.delete(module_path(NEW, "@v/v1.1.0"))).status_code == 200
        assert await statuses(two, path_of(NEW, "info"), path_of(NEW, "zip")) == [404, 404]


async def test_of_what_is_cached(upstream: Upstream, tmp_path: Path, made: list[str]) -> None:
    proxy = ModuleProxy()
    proxy.mount(upstream)
    proxy.add(OLD)
    paths = [path_of(OLD, "info"), path_of(OLD, "mod"), module_path(OLD, "@v/list")]
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(application(tmp_path, NORA_GO_PROXY=upstream.url))
            for _ in range(2)
        ]
        await kept(one, OLD)
        for http in (one, two):
            for _ in range(2):
                assert await statuses(http, *paths) == [200] * 3
            made.clear()
            assert await statuses(http, *paths) == [200] * 3
            assert made == []
        purge = {"repository": "go", "name": OLD.path, "version": OLD.version}
        assert (await one.post("/api/v1/admin/cache/purge", json=purge)).status_code == 200
        assert await statuses(two, path_of(OLD, "info")) == [200]
        assert len(made) == 1
        await published(one, Module("corp.example/other"))
        await published(one, NEW)  # the name is ours from here on
        assert await statuses(two, *paths) == [404, 404, 200]
        assert (await two.get(paths[2], headers=GO)).text == "v1.1.0\n"


async def test_a_time_that_is_over_is_no_answer(upstream: Upstream, tmp_path: Path, made: list[str]) -> None:
    """Of lists and of what is found in them: `latest` is what it is for as long as the list is fresh."""
    proxy = ModuleProxy()
    proxy.mount(upstream)
    proxy.add(OLD)
    paths = [module_path(OLD, "@v/list"), module_path(OLD, "@latest")]
    async with application(tmp_path, NORA_GO_PROXY=upstream.url, NORA_GO_METADATA_TTL="0") as http:
        await kept(http, OLD)
        assert await statuses(http, *paths) == [200, 200]
        proxy.add(NEW)
        assert "v1.1.0" in (await http.get(paths[0], headers=GO)).text
        assert "v1.1.0" in (await http.get(paths[1], headers=GO)).text


async def test_what_no_upstream_has_is_asked_for_again(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row says so, which could change."""
    proxy = ModuleProxy()
    proxy.mount(upstream)
    env = {"NORA_GO_PROXY": upstream.url, "NORA_PROXY_EXTEND": OLD.path, "NORA_PROXY_ABSENT_TTL": "0"}
    async with application(tmp_path, **env) as http:
        await published(http, OLD)
        for text in ("v1.0.0\n", "v1.0.0\nv1.1.0\n"):
            assert (await http.get(module_path(OLD, "@v/list"), headers=GO)).text == text
            proxy.add(NEW)
            now = kept_answers.monotonic
            monkeypatch.setattr(kept_answers, "monotonic", lambda now=now: now() + KEPT_SECONDS)
