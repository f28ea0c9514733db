"""Files of upstreams."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.answers import Answer
from tests.support.in_process import application
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as upstream_beside
from tests.support.waiting import until

pytestmark = pytest.mark.anyio
BODY, OTHER = b"a distribution" * 100, b"another one"


@asynccontextmanager
async def proxy(folder: Path, up: Upstream, **env: str) -> AsyncIterator[httpx.AsyncClient]:
    async with application(folder, NORA_RAW_UPSTREAMS=f"{up.url}/files", **env) as http:
        yield http


async def fetched(http: httpx.AsyncClient, path: str, directory: str = "") -> bytes:
    """Fetch a file, and wait for its row: that comes just after the last byte."""
    answer = await http.get(f"/raw/{directory}{path}")
    assert answer.status_code == 200, answer.text

    async def is_listed() -> bool:
        listed = await http.get(f"/raw/{directory}?list")
        return listed.is_success and path in [one["name"] for one in listed.json()["entries"]]

    await until(is_listed, f"the row of {path}")
    return answer.content


async def test_a_file_is_fetched_once(tmp_path: Path, upstream: Upstream) -> None:
    upstream.serve("/files/d/a%20b%2Bc.zip", Answer(body=BODY, headers={"etag": '"1"'}))
    async with proxy(tmp_path, upstream) as http:
        for _ in range(3):
            assert await fetched(http, "a b+c.zip", "d/") == BODY
        answer = await http.get("/raw/d/a b+c.zip")
        assert answer.headers["content-type"] == "application/zip"
        assert hashlib.sha256(BODY).hexdigest() in answer.headers["etag"]
        assert "sandbox" in answer.headers["content-security-policy"]
        part = await http.get("/raw/d/a b+c.zip", headers={"range": "bytes=2-5"})
        assert (part.status_code, part.content) == (206, BODY[2:6])
        head = await http.head("/raw/d/a b+c.zip")
        assert head.headers["content-length"] == str(len(BODY))
    assert len(upstream.log.of("GET")) == 1
    upstream.stop()
    async with proxy(tmp_path, upstream, NORA_PROXY_MODE="offline") as http:
        assert await fetched(http, "a b+c.zip", "d/") == BODY
        absent = await http.get("/raw/d/unknown")
        assert (absent.status_code, "proxy.mode is offline" in absent.text) == (404, True)


async def test_what_has_changed_is_fetched_again(tmp_path: Path, upstream: Upstream) -> None:
    upstream.serve("/files/latest", Answer(body=BODY, headers={"etag": '"1"'}))
    upstream.serve("/files/stable", Answer(body=BODY, headers={"etag": '"1"'}))
    async with proxy(tmp_path, upstream, NORA_RAW_METADATA_TTL="0") as http:
        for name in ("latest", "stable"):
            assert await fetched(http, name) == BODY
        upstream.serve("/files/latest", Answer(body=OTHER, headers={"etag": '"2"'}))
        assert (await http.get("/raw/latest")).content == OTHER
        assert (await http.get("/raw/stable")).content == BODY
        assert [one.status for one in upstream.log.of("GET", "/files/stable")] == [200, 304]


async def test_a_failure_is_no_absence(tmp_path: Path, upstream: Upstream) -> None:
    for path, status in (("gone", 410), ("absent", 404), ("broken", 500), ("closed", 403)):
        upstream.serve(f"/files/{path}", Answer(status=status))
    async with proxy(tmp_path, upstream, NORA_PROXY_RETRIES="0") as http:
        for path, statuses in (("gone", {404}), ("absent", {404}), ("broken", {502, 503}), ("closed", {502})):
            assert (await http.get(f"/raw/{path}")).status_code in statuses, path
        assert (await http.head("/raw/absent")).status_code == 404


async def test_a_path_never_leaves_that_of_the_upstream(tmp_path: Path, upstream: Upstream) -> None:
    upstream.serve("/secret", Answer(body=b"secret"))
    async with proxy(tmp_path, upstream) as http:
        for path in ("%2e%2e/secret", "x/%2e%2e/%2e%2e/secret", "..%2fsecret", "%252e%252e/secret"):
            assert (await http.get(f"/raw/{path}")).status_code in (400, 404), path
    assert all(path.startswith("/files/") for path in upstream.log.paths())


async def test_a_path_of_ours_is_asked_of_nobody(tmp_path: Path, upstream: Upstream) -> None:
    upstream.mount("/files/", lambda asked: Answer(body=b"theirs"))
    async with proxy(tmp_path, upstream) as http:
        assert (await http.put("/raw/mine", content=b"mine")).status_code == 201
        assert (await http.get("/raw/mine")).content == b"mine"
        assert (await http.delete("/raw/mine")).status_code == 204
        assert (await http.get("/raw/mine")).status_code == 404
        assert not upstream.log.of("GET")
        assert (await http.put("/raw/mine", content=b"again")).status_code == 201
        assert await fetched(http, "other") == b"theirs"
        assert (await http.put("/raw/other", content=b"ours")).status_code == 201  # all administrate here
        assert (await http.get("/raw/other")).content == b"ours"


async def test_a_path_has_one_source(tmp_path: Path, upstream: Upstream) -> None:
    with upstream_beside() as second:
        for path in ("both", "second"):
            second.serve(f"/{path}", Answer(body=b"second"))
        upstream.serve("/both", Answer(body=b"first"))
        sources = f"{upstream.url},{second.url}"
        async with application(tmp_path, NORA_RAW_UPSTREAMS=sources, NORA_PROXY_RETRIES="0") as http:
            for path in ("both", "second"):
                assert await fetched(http, path) == (b"first" if path == "both" else b"second")
            assert second.log.paths() == ["/second"]
            upstream.serve("/new", Answer(status=500))
            second.serve("/new", Answer(body=b"second"))
            assert (await http.get("/raw/new")).status_code >= 500
            assert "/new" not in second.log.paths()


async def test_what_is_cached_is_purged_and_blocked(tmp_path: Path, upstream: Upstream) -> None:
    for path in ("a", "b", "c"):
        upstream.serve(f"/files/{path}", Answer(body=path.encode() * 10))
    async with proxy(tmp_path, upstream) as http:
        for path in ("a", "b", "c"):
            await fetched(http, path)
        digest = f"sha256:{hashlib.sha256(b'c' * 10).hexdigest()}"
        for what in ({"name": "a"}, {"file": "b"}, {"digest": digest}):
            answer = await http.post("/api/v1/admin/cache/purge", json={"repository": "raw", **what})
            assert answer.status_code == 200, answer.text
        assert (await http.get("/raw/?list")).json()["entries"] == []
        for path in ("a", "b", "c"):
            await fetched(http, path)
            assert upstream.log.count("GET", f"/files/{path}") == 2
        for path, what in (("a", {"repository": "raw", "name": "a"}), ("c", {"digest": digest})):
            answer = await http.post("/api/v1/admin/blocks", json={"reason": "it bites", **what})
            assert answer.status_code == 200
            blocked = await http.get(f"/raw/{path}")
            assert (blocked.status_code, "it bites" in blocked.text) == (403, True)
        assert [one["name"] for one in (await http.get("/raw/?list")).json()["entries"]] == ["b"]


async def test_what_is_too_large_is_not_taken(tmp_path: Path, upstream: Upstream) -> None:
    upstream.serve("/files/large", Answer(body=bytes(5000)))
    async with proxy(tmp_path, upstream, NORA_RAW_MAX_FILE_SIZE="4999") as http:
        assert (await http.get("/raw/large")).status_code in (413, 502)


async def test_a_named_proxy_takes_no_writes(tmp_path: Path, upstream: Upstream) -> None:
    upstream.serve("/x", Answer(body=BODY))
    (tmp_path / "config.toml").write_text(
        f"[repositories.mirror]\nformat = 'raw'\nkind = 'proxy'\nupstreams = ['{upstream.url}']\n"
    )
    async with application(tmp_path) as http:
        assert (await http.get("/r/mirror/raw/x")).content == BODY
        assert (await http.put("/r/mirror/raw/x", content=b"")).status_code == 405
        assert (await http.get("/raw/x")).status_code == 404
