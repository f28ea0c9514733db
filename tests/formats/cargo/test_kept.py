"""What is here of crates of upstreams: offline, blocked, purged, replaced."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import orjson
import pytest

from nora.formats.cargo.names import prefix_of
from tests.formats.cargo.wire import API, publication_of
from tests.support.crate_index import CrateIndex
from tests.support.in_process import application
from tests.support.upstream import Upstream
from tests.support.waiting import until

pytestmark = pytest.mark.anyio
REASON = "it steals tokens"


@pytest.fixture
def index(upstream: Upstream) -> CrateIndex:
    found = CrateIndex()
    found.mount(upstream)
    return found


def path_of(name: str) -> str:
    return f"/cargo/index/{prefix_of(name.lower())}/{name.lower()}"


async def offered(http: httpx.AsyncClient, name: str) -> list[str]:
    answer = await http.get(path_of(name))
    assert answer.status_code == 200, answer.text
    return [orjson.loads(line)["vers"] for line in answer.content.splitlines()]


async def fetched(http: httpx.AsyncClient, name: str, version: str) -> bytes:
    answer = await http.get(f"{API}/{name}/{version}/download")
    assert answer.status_code == 200, answer.text
    return answer.content


async def kept(http: httpx.AsyncClient, name: str, version: str) -> None:
    """Fetch a crate, and wait for its row: that comes just after the last byte."""
    await fetched(http, name, version)

    async def is_found() -> bool:
        answer = await http.get(API, params={"q": name})
        return [one["max_version"] for one in answer.json()["crates"]] == [version]

    await until(is_found, f"the row of {name} {version}")


async def block(http: httpx.AsyncClient, **what: str) -> int:
    answer = await http.post("/api/v1/admin/blocks", json={"reason": REASON, **what})
    assert answer.status_code == 200, answer.text
    number: int = answer.json()["id"]
    return number


async def lift(http: httpx.AsyncClient, number: int) -> None:
    assert (await http.post("/api/v1/admin/blocks/lift", json={"id": number})).status_code == 200


async def test_offline_an_index_file_lists_what_is_here(
    index: CrateIndex, upstream: Upstream, tmp_path: Path
) -> None:
    for name in ("both", "Only-File", "nothing"):
        for version in ("1.0.0", "1.1.0", "1.10.0"):
            index.add(name, version)
    async with application(tmp_path, NORA_CARGO_PROXY=upstream.url) as http:
        assert await offered(http, "both") == ["1.0.0", "1.1.0", "1.10.0"]
        assert await offered(http, "nothing") == ["1.0.0", "1.1.0", "1.10.0"]
        for name in ("both", "Only-File"):
            await fetched(http, name, "1.1.0")
            await kept(http, name, "1.10.0")
        line = index.files["only-file"][1]
    upstream.stop()
    async with application(tmp_path, NORA_CARGO_PROXY=upstream.url, NORA_PROXY_MODE="offline") as http:
        assert await offered(http, "both") == ["1.1.0", "1.10.0"]
        assert await offered(http, "Only-File") == ["1.1.0", "1.10.0"]
        assert line in (await http.get(path_of("Only-File"))).content
        assert await fetched(http, "both", "1.1.0") == index.crates["both/1.1.0"]
        for name in ("nothing", "unknown"):
            answer = await http.get(path_of(name))
            assert answer.status_code == 404
        assert "proxy.mode is offline" in answer.text


async def test_an_index_file_that_was_dropped_is_made_of_the_crates_that_are_here(
    index: CrateIndex, upstream: Upstream, tmp_path: Path
) -> None:
    for version in ("1.0.0", "1.1.0"):
        index.add("Kept", version, links="z", rust_version="1.70")
    async with application(tmp_path, NORA_CARGO_PROXY=upstream.url) as http:
        await kept(http, "Kept", "1.1.0")
        purge = {"repository": "cargo", "name": "kept", "file": "index/kept"}
        assert (await http.post("/api/v1/admin/cache/purge", json=purge)).status_code == 200
    async with application(tmp_path, NORA_CARGO_PROXY=upstream.url, NORA_PROXY_MODE="offline") as http:
        assert (await http.get(path_of("Kept"))).content == index.files["kept"][1] + b"\n"
        assert await fetched(http, "Kept", "1.1.0") == index.crates["Kept/1.1.0"]


async def test_what_is_blocked_is_neither_listed_nor_served(
    index: CrateIndex, upstream: Upstream, tmp_path: Path
) -> None:
    for version in ("1.0.0", "1.1.0"):
        index.add("some-crate", version)
    digest = hashlib.sha256(index.crates["some-crate/1.1.0"]).hexdigest()
    async with application(tmp_path, NORA_CARGO_PROXY=upstream.url) as http:
        etag = (await http.get(path_of("some-crate"))).headers["etag"]
        for what in (
            {"repository": "cargo", "name": "some-crate", "version": "1.1.0"},
            {"digest": f"sha256:{digest}"},
        ):
            number = await block(http, **what)
            assert await offered(http, "some-crate") == ["1.0.0"]
            assert (await http.get(path_of("some-crate"))).headers["etag"] != etag
            for path in (f"/cargo/dl/some-crate/1.1.0/{digest}.crate", f"{API}/some-crate/1.1.0/download"):
                answer = await http.get(path)
                assert answer.status_code == 403
                assert REASON in answer.text
            assert (await http.get(f"{API}/some-crate/1.1.0")).status_code == 404
            await fetched(http, "some-crate", "1.0.0")
            await lift(http, number)
        assert await fetched(http, "some-crate", "1.1.0") == index.crates["some-crate/1.1.0"]
        await block(http, repository="cargo", name="some-crate")
        for path in (path_of("some-crate"), f"{API}/some-crate", f"{API}/some-crate/1.0.0/download"):
            answer = await http.get(path)
            assert answer.status_code == 403, path
            assert REASON in answer.text
        assert (await http.get(API, params={"q": "some"})).json()["meta"]["total"] == 0


async def test_what_is_blocked_is_not_published_and_can_be_deleted(tmp_path: Path) -> None:
    async with application(tmp_path) as http:
        for version in ("1.0.0", "1.1.0"):
            body = publication_of("mine", version)
            assert (await http.put(f"{API}/new", content=body)).status_code == 200
        number = await block(http, repository="cargo", name="mine", version="1.1.0")
        assert await offered(http, "mine") == ["1.0.0"]
        assert (await http.get(f"{API}/mine/1.1.0/download")).status_code == 403
        await lift(http, number)
        await block(http, repository="cargo", name="mine")
        answer = await http.put(f"{API}/new", content=publication_of("mine", "1.2.0"))
        assert answer.status_code == 403
        assert REASON in answer.json()["errors"][0]["detail"]
        assert (await http.delete(f"{API}/mine/1.1.0")).status_code == 200


async def test_a_purged_version_is_fetched_again(
    index: CrateIndex, upstream: Upstream, tmp_path: Path
) -> None:
    index.add("again", "1.0.0")
    async with application(tmp_path, NORA_CARGO_PROXY=upstream.url) as http:
        await kept(http, "again", "1.0.0")
        purge = {"repository": "cargo", "name": "again", "version": "1.0.0"}
        assert (await http.post("/api/v1/admin/cache/purge", json=purge)).status_code == 200
        await fetched(http, "again", "1.0.0")
    assert upstream.log.count("GET", "/dl/again/1.0.0/download") == 2


async def test_bytes_that_a_registry_replaces_are_fetched_anew(
    index: CrateIndex, upstream: Upstream, tmp_path: Path
) -> None:
    """A crate is what the index says it is: no old bytes under a new checksum."""
    index.add("changed", "1.0.0")
    async with application(tmp_path, NORA_CARGO_PROXY=upstream.url) as http:
        await kept(http, "changed", "1.0.0")
        del index.files["changed"]
        new = index.add("changed", "1.0.0", body=b"other bytes")
        assert (await http.post(f"{API}/changed/refresh", json={})).status_code == 200
        digest = hashlib.sha256(new).hexdigest()
        answer = await http.get(f"/cargo/dl/changed/1.0.0/{digest}.crate")
        assert (answer.status_code, answer.content) == (200, new)
        assert await fetched(http, "changed", "1.0.0") == new


async def test_index_lines_of_any_kind_break_nothing(
    index: CrateIndex, upstream: Upstream, tmp_path: Path
) -> None:
    name = "hostile"
    index.add(name, "1.0.0")
    index.files[name] += [
        b'{"name":"hostile","vers":"2.0.0","deps":7,"features":[1],"features2":"x","cksum":[],"yanked":"y"}',
        b'{"name":"hostile","vers":"3.0.0","deps":[1,null,{"name":3}],"cksum":"../../x","features":null}',
        b'{"name":"hostile","name":"../../x","vers":"4.0.0","cksum":"%b"}' % (b"0" * 64),
        b'{"name":["hostile"],"vers":"5.0.0"}',
        b'{"name":"hostile","vers":"6.0.0","deps":%b%b}' % (b"[" * 5000, b"]" * 5000),
        b"\xff\xfe",
        b"[]",
    ]
    async with application(tmp_path, NORA_CARGO_PROXY=upstream.url) as http:
        answer = await http.get(path_of(name))
        assert answer.content == b"".join(line + b"\n" for line in index.files[name])
        for path in ("", "/versions", *(f"/{number}.0.0" for number in range(1, 4))):
            answer = await http.get(f"{API}/{name}{path}")
            assert answer.status_code == 200, (path, answer.text)
        for number in range(1, 4):
            answer = await http.get(f"{API}/{name}/{number}.0.0/dependencies")
            assert answer.status_code == 200, (number, answer.text)
        for number, status in ((2, 502), (3, 502), (4, 404), (5, 404), (6, 404)):
            answer = await http.get(f"{API}/{name}/{number}.0.0/download")
            assert answer.status_code == status, (number, answer.text)
    assert not [path for path in upstream.log.paths() if path.startswith("/dl/")]
