"""Sum databases: passed on under their names, kept, and asked about what comes from upstreams."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nora.formats.go.archive import go_mod_hash
from nora.formats.go.sumdb import Sums, may_be, read_record
from tests.formats.go.wire import fetched, kept, path_of, published
from tests.support.answers import Answer, document
from tests.support.go_modules import Module, ModuleProxy
from tests.support.in_process import add_token, application
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio
NAME = "sum.example"
RECORD = """42
{module} {version} {zip}
{module} {version}/go.mod {mod}

go.sum database tree
43
root

— sum.example signature
"""
LIB = Module("example.com/Lib", "v1.0.0-B")
LOOKUP = "lookup/example.com/!lib@v1.0.0-!b"


def record(module: Module, zip_h1: str, mod_h1: str = "") -> bytes:
    values = {"zip": zip_h1, "mod": mod_h1 or module.go_mod_h1}
    return RECORD.format(module=module.path, version=module.version, **values).encode()


def serve(upstream: Upstream, prefix: str = f"/sumdb/{NAME}") -> dict[str, bytes]:
    """A database that has one record and three tiles."""
    found = {
        "latest": b"go.sum database tree\n43\nroot\n",
        "lookup/example.com/%21lib@v1.0.0-%21b": record(LIB, "h1:" + "A" * 43 + "="),
        "tile/8/0/x001/234": b"<" * 8192,
        "tile/8/1/005.p/57": b"p" * 57 * 32,
        "tile/8/data/000": b"data",
    }
    for path, body in found.items():
        upstream.serve(f"{prefix}/{path}", document(body, "text/plain"))
    return found


async def test_what_a_database_has_is_passed_on_and_kept(upstream: Upstream, tmp_path: Path) -> None:
    upstream.serve(f"/sumdb/{NAME}/supported", Answer(status=200))
    there = serve(upstream)
    env = {"NORA_GO_PROXY": upstream.url, "NORA_GO_SUMDB": NAME}
    async with application(tmp_path, **env) as http:
        answer = await http.get(f"/go/sumdb/{NAME}/supported")
        assert (answer.status_code, answer.content) == (200, b"")
        for _ in range(3):
            for path, body in there.items():
                answer = await http.get(f"/go/sumdb/{NAME}/{path}")
                assert (answer.status_code, answer.content) == (200, body), path
        assert (await http.get(f"/go/sumdb/{NAME}/{LOOKUP}")).status_code == 200
        assert "immutable" in (await http.get(f"/go/sumdb/{NAME}/tile/8/0/x001/234")).headers["cache-control"]
    assert sorted(upstream.log.paths()) == sorted(f"/sumdb/{NAME}/{path}" for path in (*there, "supported"))
    upstream.log.clear()
    async with application(tmp_path, NORA_PROXY_MODE="offline", **env) as http:
        for path, body in there.items():
            assert (await http.get(f"/go/sumdb/{NAME}/{path}")).content == body
        assert (await http.get(f"/go/sumdb/{NAME}/tile/8/0/001")).status_code == 404
    assert upstream.log.paths() == []


async def test_a_database_is_asked_itself_where_the_upstream_does_not_pass_it_on(
    upstream: Upstream, tmp_path: Path
) -> None:
    there = serve(upstream, "/database")
    env = {"NORA_GO_PROXY": upstream.url, "NORA_GO_SUMDB": f"{NAME}={upstream.url}/database"}
    async with application(tmp_path, **env) as http:
        for path, body in there.items():
            assert (await http.get(f"/go/sumdb/{NAME}/{path}")).content == body, path
    assert f"/sumdb/{NAME}/supported" in upstream.log.paths()


async def test_no_address_is_made_of_a_name_that_nobody_has_said(upstream: Upstream, tmp_path: Path) -> None:
    for env in ({"NORA_GO_SUMDB": NAME}, {"NORA_GO_SUMDB": "off"}, {}):
        async with application(tmp_path, NORA_GO_PROXY=upstream.url, **env) as http:
            for name in ("evil.example", "sum.example.evil", "localhost", "127.0.0.1", "%2e%2e", NAME * 9):
                for path in ("supported", "latest", LOOKUP, "tile/8/0/000"):
                    answer = await http.get(f"/go/sumdb/{name}/{path}")
                    assert answer.status_code in (400, 404), (name, path)
    assert upstream.log.paths() == []


async def test_what_no_database_has_is_not_asked_for(upstream: Upstream, tmp_path: Path) -> None:
    async with application(tmp_path, NORA_GO_PROXY=upstream.url, NORA_GO_SUMDB=NAME) as http:
        for path in (
            *("tile/8/0/1", "tile/8/64/000", "tile/0/0/000", "tile/31/0/000", "tile/8/0/x1/000", "tile/8/0"),
            *(
                "tile/8/0/000.p/0",
                "tile/8/0/000.p/",
                "tile/8/0/000/x",
                "tile/8/-1/000",
                "tile/8/0/%2e%2e/000",
            ),
            *("lookup/example.com/lib", "lookup/example.com/lib@main", "lookup/example.com/Lib@v1.0.0"),
            *("lookup/lib@v1.0.0", "lookup/@v1.0.0", "other", "latest/x"),
        ):
            answer = await http.get(f"/go/sumdb/{NAME}/{path}")
            assert answer.status_code in (400, 404), path
    assert upstream.log.paths() == []


async def test_absences_and_failures_of_a_database_are_told_apart(upstream: Upstream, tmp_path: Path) -> None:
    upstream.serve(f"/sumdb/{NAME}/supported", Answer(status=200))
    env = {"NORA_GO_PROXY": upstream.url, "NORA_GO_SUMDB": NAME, "NORA_PROXY_RETRIES": "0"}
    async with application(tmp_path, **env) as http:
        assert (await http.get(f"/go/sumdb/{NAME}/{LOOKUP}")).status_code == 404
        for number, answer in enumerate((Answer(status=500), document(b"<html>"), Answer(status=403))):
            path = f"tile/8/0/00{number}"
            upstream.serve(f"/sumdb/{NAME}/{path}", answer)
            assert (await http.get(f"/go/sumdb/{NAME}/{path}")).status_code in (502, 503)


async def test_nobody_learns_of_a_module_that_is_ours(upstream: Upstream, tmp_path: Path) -> None:
    ours = Module("corp.example/lib")
    (tmp_path / "config.toml").write_text('[proxy]\nreserved = ["other.example/**"]\n')
    async with application(tmp_path, NORA_GO_PROXY=upstream.url, NORA_GO_SUMDB=NAME) as http:
        await published(http, ours)
        for path in ("corp.example/lib", "corp.example/lib/sub", "other.example", "other.example/a/b"):
            answer = await http.get(f"/go/sumdb/{NAME}/lookup/{path}@v1.0.0")
            assert (answer.status_code, "GONOSUMDB" in answer.text) == (404, True)
    assert upstream.log.paths() == []


async def test_nobody_is_asked_for_who_may_not_read(upstream: Upstream, tmp_path: Path) -> None:
    serve(upstream)
    who = {"authorization": f"Bearer {await add_token(tmp_path, 'read', 'go:corp.example/**:read')}"}
    env = {"NORA_GO_PROXY": upstream.url, "NORA_GO_SUMDB": NAME, "NORA_AUTH_ENABLED": "true"}
    async with application(tmp_path, **env) as http:
        assert (await http.get(f"/go/sumdb/{NAME}/{LOOKUP}", headers=who)).status_code == 403
    assert upstream.log.paths() == []


async def test_what_is_purged_is_asked_for_again(upstream: Upstream, tmp_path: Path) -> None:
    """Although answers are given again. The record of another module is never kept."""
    upstream.serve(f"/sumdb/{NAME}/supported", Answer(status=200))
    serve(upstream)
    env = {"NORA_GO_PROXY": upstream.url, "NORA_GO_SUMDB": NAME, "NORA_CB_ENABLED": "false"}
    files = {LOOKUP: f"lookup/{LIB.path}@{LIB.version}", "tile/8/data/000": "tile/8/data/000"}
    async with application(tmp_path, **env) as http:
        for path, file in files.items():
            for _ in range(3):
                assert (await http.get(f"/go/sumdb/{NAME}/{path}")).status_code == 200
            purge = {"repository": "go", "file": f"sumdb/{NAME}/{file}"}
            assert (await http.post("/api/v1/admin/cache/purge", json=purge)).status_code == 200
            where = f"/sumdb/{NAME}/{path}".replace("!", "%21")
            before = upstream.log.count("GET", where)
            assert (await http.get(f"/go/sumdb/{NAME}/{path}")).status_code == 200
            assert upstream.log.count("GET", where) == before + 1, path
        upstream.serve(f"/sumdb/{NAME}/lookup/other.example/lib@v1.0.0", document(record(LIB, "h1:x")))
        assert (await http.get(f"/go/sumdb/{NAME}/lookup/other.example/lib@v1.0.0")).status_code == 502


async def test_what_a_database_says_must_be_what_came(
    upstream: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    proxy = ModuleProxy()
    proxy.mount(upstream)
    proxy.add(LIB)
    upstream.serve(f"/sumdb/{NAME}/supported", Answer(status=200))
    where = f"/sumdb/{NAME}/lookup/example.com/%21lib@v1.0.0-%21b"
    env = {"NORA_GO_PROXY": upstream.url, "NORA_GO_SUMDB": NAME, "NORA_CB_ENABLED": "false"}
    async with application(tmp_path / "right", **env) as http:
        await kept(http, LIB)
        h1 = (await fetched(http, LIB, "ziphash")).decode()
    wrong = "h1:" + "A" * 43 + "="
    upstream.serve(where, document(record(LIB, wrong, go_mod_hash(b"other"))))
    with caplog.at_level(logging.WARNING):
        async with application(tmp_path / "wrong", **env) as http:
            for kind in ("zip", "mod"):
                assert (await http.get(path_of(LIB, kind))).status_code == 502, kind
    assert h1 in caplog.text
    assert wrong in caplog.text
    upstream.serve(where, document(record(LIB, h1)))
    async with application(tmp_path / "again", **env) as http:
        for kind in ("zip", "mod"):
            await fetched(http, LIB, kind)
    assert upstream.log.count("GET", where) == 3


async def test_without_an_answer_of_the_database_modules_are_served(
    upstream: Upstream, tmp_path: Path
) -> None:
    proxy = ModuleProxy()
    proxy.mount(upstream)
    proxy.add(LIB)
    env = {"NORA_GO_PROXY": upstream.url, "NORA_GO_SUMDB": NAME, "NORA_PROXY_RETRIES": "0"}
    upstream.serve(f"/sumdb/{NAME}/supported", Answer(status=500))
    async with application(tmp_path, **env) as http:
        for kind in ("zip", "mod"):
            await fetched(http, LIB, kind)
    assert not [path for path in upstream.log.paths() if "lookup" in path]


def test_a_page_is_nothing_of_a_database() -> None:
    for path, body in {
        "latest": b"go.sum database tree\n1\n",
        "lookup/a.b/c@v1.0.0": b"17\na.b/c v1.0.0 h1:\n",
        "tile/8/0/000": b"<" * 8192,
        "tile/8/63/x001/x002/003.p/255": b"x" * 255 * 32,
        "tile/4/0/000": b"x" * 16 * 32,
        "tile/8/data/000.p/3": b"anything",
    }.items():
        assert may_be(path, body), path
        for other in (b"<html>", b"", body[:-1] + b"\n.") if "data" not in path else ():
            assert not may_be(path, other) or path[:4] in ("late", "look"), path


def test_records_say_hashes() -> None:
    assert read_record(record(LIB, "h1:x", "h1:y"), LIB.path, LIB.version) == Sums("h1:x", "h1:y")
    for text in (b"", b"\n\n", b"<html>", b"1\na b\n\n", record(LIB, "h1:x"), b"\xff\xff \xff\n\n"):
        assert read_record(text, "example.com/other", LIB.version) == Sums()
