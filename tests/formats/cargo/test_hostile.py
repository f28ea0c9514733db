"""Blocks and searches: what is shown of a crate beside its index."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

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
