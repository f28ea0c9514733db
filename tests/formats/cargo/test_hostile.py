"""Blocks and searches: what is shown of a crate beside its index."""

from __future__ import annotations

import hashlib
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from nora.catalog.records import Version
from nora.formats.cargo import api
from tests.formats.cargo.test_kept import block, kept
from tests.formats.cargo.wire import API, publication_of
from tests.support.crate_index import CrateIndex
from tests.support.in_process import application
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio


@pytest.fixture
def index(upstream: Upstream) -> CrateIndex:
    found = CrateIndex()
    found.mount(upstream)
    return found


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_search_shows_nothing_of_a_blocked_version(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_PROXY_MODE="offline") as http:
        for version, text in (("1.0.0", "harmless"), ("1.1.0", "evil")):
            body = publication_of("mine", version, description=text)
            assert (await http.put(f"{API}/new", content=body)).status_code == 200
        await block(http, repository="cargo", name="mine", version="1.1.0")
        [found] = (await http.get(API, params={"q": "mine"})).json()["crates"]
        assert (found["max_version"], found["description"]) == ("1.0.0", "harmless")
        crate = await http.get(f"{API}/mine")
        assert crate.json()["crate"]["description"] == "harmless"
        await block(http, repository="cargo", name="mine", version="1.0.0")
        assert (await http.get(API, params={"q": "mine"})).json()["crates"] == []


async def test_a_search_shows_nothing_of_a_blocked_cached_version(
    index: CrateIndex, upstream: Upstream, tmp_path: Path
) -> None:
    for version in ("1.0.0", "1.1.0"):
        index.add("some-crate", version)
    async with application(tmp_path, NORA_CARGO_PROXY=upstream.url) as http:
        for version in ("1.0.0", "1.1.0"):
            await kept(http, "some-crate", version)
        digest = hashlib.sha256(index.crates["some-crate/1.1.0"]).hexdigest()
        await block(http, digest=f"sha256:{digest}")
        [found] = (await http.get(API, params={"q": "some"})).json()["crates"]
        assert found["max_version"] == "1.0.0"


async def test_a_search_reads_a_crate_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    shown = api.shown_of_hosted

    def counted(name: str, versions: list[Version]) -> bytes:
        read.append(name)
        return shown(name, versions)

    monkeypatch.setattr(api, "shown_of_hosted", counted)
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(application(tmp_path)) for _ in range(2)]

        async def found(http: httpx.AsyncClient) -> list[str]:
            crates = (await http.get(API, params={"q": "some"})).json()["crates"]
            return [f"{crate['name']} {crate['max_version']}" for crate in crates]

        for name, version in (("some", "1.0.0"), ("some", "2.0.0"), ("Some-other", "1.0.0")):
            answer = await one.put(f"{API}/new", content=publication_of(name, version))
            assert answer.status_code == 200
        for http in (one, two, one):
            read.clear()
            assert [await found(http) for _ in range(3)] == [["some 2.0.0", "Some-other 1.0.0"]] * 3
            assert read in ([], ["some", "some_other"])
        assert read == []  # by who had read them
        assert (await one.delete(f"{API}/some/2.0.0/yank")).status_code == 200
        for http in (one, two):
            assert await found(http) == ["some 1.0.0", "Some-other 1.0.0"]
        assert read == ["some", "some"]
