"""Index files that are given again as they were: as long as nothing has changed, in any worker."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from nora.formats.cargo import registry
from nora.formats.cargo.resource import Resource
from tests.formats.cargo.wire import API, publication_of
from tests.support.crate_index import CrateIndex
from tests.support.in_process import application
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio
PATH = "/cargo/index/so/me/some"
CARGO = {
    "accept": "text/plain",
    "accept-encoding": "deflate, gzip",
    "cargo-protocol": "version=1",
    "connection": "Upgrade, HTTP2-Settings",
    "upgrade": "h2c",
    "http2-settings": "AAMAAABkAAQAoAAAAAIAAAAA",
    "user-agent": "cargo/1.95.0",
}
"""As cargo asks over http."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all index files that were looked up, not given again."""
    found: list[str] = []
    look = registry.Registry.file

    async def counted(self: registry.Registry, resource: Resource) -> registry.Response:
        found.append(resource.scope["path"])
        return await look(self, resource)

    monkeypatch.setattr(registry.Registry, "file", counted)
    return found


async def publish(http: httpx.AsyncClient, version: str) -> None:
    assert (await http.put(f"{API}/new", content=publication_of("some", version))).status_code == 200


async def versions(http: httpx.AsyncClient, **headers: str) -> int:
    answer = await http.get(PATH, headers={**CARGO, **headers})
    return answer.content.count(b'"vers"') if answer.status_code == 200 else answer.status_code


async def test_a_hosted_index_file_is_given_again_until_it_changes(tmp_path: Path, made: list[str]) -> None:
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(application(tmp_path)) for _ in range(2)]
        for number in range(1, 4):
            await publish(one, f"1.{number}.0")
            for http in (one, two):
                made.clear()
                assert [await versions(http) for _ in range(3)] == [number] * 3
                assert made == [PATH]
        etag = (await two.get(PATH, headers=CARGO)).headers["etag"]
        made.clear()
        assert await versions(two, **{"if-none-match": etag}) == 304
        assert made == []
        assert (await one.delete(f"{API}/some/1.1.0/yank")).status_code == 200
        answer = await two.get(PATH, headers={**CARGO, "if-none-match": etag})
        assert (answer.status_code, answer.content.count(b'"yanked":true')) == (200, 1)
        block = {"repository": "cargo", "name": "some", "reason": "bad"}
        assert (await one.post("/api/v1/admin/blocks", json=block)).is_success
        assert await versions(two) == 403


async def test_an_encoding_is_given_to_who_takes_it(tmp_path: Path, made: list[str]) -> None:
    async with application(tmp_path) as http:
        await publish(http, "1.0.0")
        for encoding in ("gzip", "gzip", "identity", "zstd", "gzip"):
            answer = await http.get(PATH, headers={"accept-encoding": encoding})
            assert answer.headers.get("content-encoding", "identity") == encoding
            assert answer.content.count(b'"vers"') == 1


async def test_a_cached_index_file_is_given_again_until_it_changes(
    upstream: Upstream, tmp_path: Path, made: list[str]
) -> None:
    index = CrateIndex()
    index.mount(upstream)
    index.add("some", "1.0.0")
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(application(tmp_path, NORA_CARGO_PROXY=upstream.url))
            for _ in range(2)
        ]
        for http in (one, two):
            made.clear()
            assert [await versions(http) for _ in range(3)] == [1] * 3
            assert len(made) < 3  # twice by who has fetched it, which is a change
        index.add("some", "2.0.0")
        assert (await one.post(f"{API}/some/refresh", json={})).status_code == 200
        assert [await versions(http) for http in (one, two)] == [2, 2]
        await publish(one, "3.0.0")  # the name is ours from here on
        assert [await versions(http) for http in (one, two)] == [1, 1]


async def test_what_is_stale_is_not_given_again(upstream: Upstream, tmp_path: Path, made: list[str]) -> None:
    index = CrateIndex()
    index.mount(upstream)
    index.add("some", "1.0.0")
    env = {"NORA_CARGO_PROXY": upstream.url, "NORA_CARGO_METADATA_TTL": "0"}
    async with application(tmp_path, **env) as http:
        assert [await versions(http) for _ in range(2)] == [1, 1]
        assert made == [PATH] * 2
        upstream.stop()
        answer = await http.get(PATH, headers=CARGO)
        assert (answer.status_code, answer.headers["x-nora-stale"]) == (200, "true")
        assert await versions(http) == 1
        assert made == [PATH] * 4
