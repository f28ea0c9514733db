"""Packages of upstreams: asked for once, verified, and served as they are there."""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import orjson
import pytest

from nora.blobs.layout import Layout
from nora.catalog.records import Blob, Cached
from nora.formats.npm import search
from nora.formats.npm.documents import Part
from nora.formats.npm.tarballs import differ
from nora.model import Digest
from tests.formats.npm.conftest import Proxy, kept
from tests.support.answers import Answer, document
from tests.support.npm_registry import ABBREVIATED, Built, NpmRegistry
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio


async def versions_of(http: httpx.AsyncClient, name: str) -> list[str]:
    answer = await http.get(f"/npm/{name}", headers={"accept": ABBREVIATED})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["versions"])


async def test_both_forms_cost_one_request(proxy: Proxy, registry: NpmRegistry, upstream: Upstream) -> None:
    registry.add(Built("@s/lib", "1.0.0"), Built("@s/lib", "1.1.0"))
    http = await proxy()
    full = await http.get("/npm/@s%2flib")
    short = await http.get("/npm/@s/lib", headers={"accept": ABBREVIATED})
    assert full.json()["dist-tags"] == short.json()["dist-tags"] == {"latest": "1.1.0"}
    assert (
        full.json()["versions"]["1.0.0"]["dist"]["tarball"] == "http://localhost/npm/@s/lib/-/lib-1.0.0.tgz"
    )
    assert "max-age=" in full.headers["cache-control"]
    assert upstream.log.paths() == ["/reg/@s%2flib"]
    assert upstream.log.requests[0].headers["accept"] == "application/json"


async def test_a_lock_file_leads_straight_to_the_tarball(
    proxy: Proxy, registry: NpmRegistry, upstream: Upstream
) -> None:
    built = Built("lib")
    registry.add(built)
    http = await proxy()
    for _ in range(2):
        answer = await http.get("/npm/lib/-/lib-1.0.0.tgz", headers={"accept-encoding": "gzip"})
        assert answer.content == built.body
        assert "content-encoding" not in answer.headers
        assert "immutable" in answer.headers["cache-control"]
    assert upstream.log.paths() == ["/reg/lib", "/reg/lib/-/lib-1.0.0.tgz"]
    assert (await http.get("/npm/lib/-/lib-9.0.0.tgz")).status_code == 404


@pytest.mark.parametrize("integrity", [True, False])
async def test_wrong_bytes_are_not_kept(
    proxy: Proxy, registry: NpmRegistry, upstream: Upstream, integrity: bool
) -> None:
    built = Built("lib")
    registry.add(built)
    registry.integrity = integrity
    wrong = Built("lib", files={"index.js": b"malware"}).body
    upstream.once("/reg/lib/-/lib-1.0.0.tgz", document(wrong))
    http = await proxy()
    answer = await http.get("/npm/lib/-/lib-1.0.0.tgz")
    assert (answer.status_code, answer.content != wrong) == (502, True)
    assert (await http.get("/npm/lib/-/lib-1.0.0.tgz")).content == built.body


async def test_absent_is_remembered_for_both_requests_of_npm(proxy: Proxy, upstream: Upstream) -> None:
    http = await proxy()
    for accept in (ABBREVIATED, "application/json"):
        answer = await http.get("/npm/nothing", headers={"accept": accept})
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert upstream.log.count() == 1


async def test_a_failing_upstream_is_no_absence(
    proxy: Proxy, registry: NpmRegistry, upstream: Upstream
) -> None:
    registry.add(Built("lib"))
    http = await proxy(NORA_NPM_METADATA_TTL="0", NORA_PROXY_RETRIES="0")
    assert await versions_of(http, "lib") == ["1.0.0"]
    upstream.fault = Answer(status=500)
    stale = await http.get("/npm/lib")
    assert (stale.status_code, stale.headers["x-nora-stale"]) == (200, "true")
    for path in ("other", "other/-/other-1.0.0.tgz", "other/latest", "-/npm/v1/attestations/other@1.0.0"):
        answer = await http.get(f"/npm/{path}")
        assert answer.status_code in (502, 503), path
        assert answer.json()["error"] != "not_found"


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>hello</html>", b"[]", b"null", b'{"name":"other","versions":{}}', b"[" * 100_000],
)
async def test_what_is_no_packument_is_a_fault_of_the_upstream(
    proxy: Proxy, upstream: Upstream, body: bytes
) -> None:
    upstream.serve("/reg/lib", document(body, "application/json"))
    http = await proxy()
    assert (await http.get("/npm/lib")).status_code == 502


async def test_revalidation_costs_no_body(proxy: Proxy, registry: NpmRegistry, upstream: Upstream) -> None:
    registry.add(Built("lib"))
    http = await proxy(NORA_NPM_METADATA_TTL="0")
    for _ in range(3):
        assert await versions_of(http, "lib") == ["1.0.0"]
    assert [one.status for one in upstream.log.requests] == [200, 304, 304]
    registry.add(Built("lib", "2.0.0"))
    assert await versions_of(http, "lib") == ["1.0.0", "2.0.0"]


async def test_what_the_upstream_removes_is_gone_in_both_forms(proxy: Proxy, registry: NpmRegistry) -> None:
    registry.add(Built("lib", "1.0.0"), Built("lib", "2.0.0"))
    http = await proxy(NORA_NPM_METADATA_TTL="0")
    assert await versions_of(http, "lib") == ["1.0.0", "2.0.0"]
    del registry.packages["lib"].versions["2.0.0"]
    full = (await http.get("/npm/lib")).json()
    assert (list(full["versions"]), full["dist-tags"]) == (["1.0.0"], {"latest": "1.0.0"})
    assert await versions_of(http, "lib") == ["1.0.0"]


async def test_hosted_names_are_not_asked_for(
    proxy: Proxy, registry: NpmRegistry, upstream: Upstream
) -> None:
    registry.add(Built("@corp/lib", "9.0.0"), Built("ours", "9.0.0"))
    http = await proxy(NORA_PROXY_RESERVED="@corp/*")
    assert (await http.put("/npm/ours", json=Built("ours").publication())).status_code == 201
    for path in (
        "@corp%2flib",
        "@corp/lib/-/lib-9.0.0.tgz",
        "@corp/lib/latest",
        "@CORP/lib",
        "-/npm/v1/attestations/@corp%2flib@9.0.0",
    ):
        assert (await http.get(f"/npm/{path}")).status_code in (403, 404), path
    assert await versions_of(http, "ours") == ["1.0.0"]
    assert (await http.get("/npm/ours/-/ours-9.0.0.tgz")).status_code == 404
    assert (await http.get("/npm/-/package/ours/dist-tags")).json() == {"latest": "1.0.0"}
    assert upstream.log.count() == 0


async def test_scopes_have_sources_of_their_own(
    proxy: Proxy, registry: NpmRegistry, upstream: Upstream
) -> None:
    registry.add(Built("@corp/lib"), Built("lib"))
    corp = NpmRegistry()
    corp.add(Built("@corp/lib", "7.0.0"))
    corp.url = f"{upstream.url}/corp"
    upstream.mount("/corp/", lambda asked: corp(_moved(asked)))
    sources = [{"url": corp.url, "names": ["@corp/*"]}, {"url": registry.url}]
    http = await proxy(NORA_NPM_PROXY="", NORA_NPM_UPSTREAMS=json.dumps(sources))
    assert await versions_of(http, "@corp%2flib") == ["7.0.0"]
    assert await versions_of(http, "lib") == ["1.0.0"]
    assert upstream.log.paths() == ["/corp/@corp%2flib", "/reg/lib"]


def _moved(asked):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(asked, target=asked.target.replace("/corp/", "/reg/", 1))


async def test_what_is_here_is_all_that_is_offered_offline(
    proxy: Proxy, registry: NpmRegistry, upstream: Upstream, tmp_path: Path
) -> None:
    registry.add(Built("lib", "1.0.0"), Built("lib", "2.0.0"), Built("seen"))
    http = await proxy()
    assert (await http.get("/npm/lib/-/lib-1.0.0.tgz")).status_code == 200
    assert await versions_of(http, "seen") == ["1.0.0"]
    await kept(tmp_path, "lib/-/lib-1.0.0.tgz")
    offline = await proxy(NORA_PROXY_MODE="offline")
    upstream.log.clear()
    assert await versions_of(offline, "lib") == ["1.0.0"]
    for wanted in ("latest", ">=1"):
        assert (await offline.get(f"/npm/lib/{wanted}")).json()["version"] == "1.0.0"
    assert (await offline.get("/npm/-/package/lib/dist-tags")).json() == {"latest": "1.0.0"}
    assert (await offline.get("/npm/lib/-/lib-1.0.0.tgz")).content == Built("lib", "1.0.0").body
    for path in ("lib/-/lib-2.0.0.tgz", "seen", "lib/2.0.0", "other"):
        assert (await offline.get(f"/npm/{path}")).status_code == 404, path
    assert upstream.log.count() == 0


async def test_tarballs_are_enough_offline(proxy: Proxy, registry: NpmRegistry, tmp_path: Path) -> None:
    """Whatever became of the packument."""
    registry.add(Built("@s/lib", "1.0.0", {"dependencies": {"a": "^1"}}), Built("@s/lib", "2.0.0"))
    http = await proxy()
    assert (await http.get("/npm/@s/lib/-/lib-1.0.0.tgz")).status_code == 200
    await kept(tmp_path, "@s/lib/-/lib-1.0.0.tgz")
    with closing(sqlite3.connect(Layout(tmp_path / "storage").catalog, timeout=30)) as catalog, catalog:
        catalog.execute("DELETE FROM file WHERE path = '@s/lib/packument'")
    offline = await proxy(NORA_PROXY_MODE="offline")
    found = (await offline.get("/npm/@s/lib")).json()
    assert (list(found["versions"]), found["dist-tags"]) == (["1.0.0"], {"latest": "1.0.0"})
    manifest = found["versions"]["1.0.0"]
    assert manifest["dependencies"] == {"a": "^1"}
    assert (
        manifest["dist"]["integrity"]
        == Built("@s/lib", "1.0.0", {"dependencies": {"a": "^1"}}).dist["integrity"]
    )
    assert (await offline.get(manifest["dist"]["tarball"])).status_code == 200


async def test_a_version_that_is_published_again_is_fetched_again(
    proxy: Proxy, registry: NpmRegistry
) -> None:
    registry.add(first := Built("lib"))
    http = await proxy(NORA_NPM_METADATA_TTL="0")
    assert (await http.get("/npm/lib/-/lib-1.0.0.tgz")).content == first.body
    registry.add(second := Built("lib", files={"x": b"other"}))
    assert await versions_of(http, "lib") == ["1.0.0"]
    assert (await http.get("/npm/lib/-/lib-1.0.0.tgz")).content == second.body


async def test_large_packuments(proxy: Proxy, registry: NpmRegistry, upstream: Upstream) -> None:
    registry.add(Built("lib"))
    big = registry.packument("lib")
    template = big["versions"]["1.0.0"]
    for number in range(4000):
        version = f"2.0.{number}"
        big["versions"][version] = {**template, "version": version, "description": "x" * 600}
    body = json.dumps(big).encode()
    assert len(body) > 3 << 20
    upstream.serve("/reg/lib", document(body, "application/json"))
    http = await proxy()
    answer = await http.get("/npm/lib")
    assert len(answer.json()["versions"]) == 4001
    assert len(await versions_of(http, "lib")) == 4001
    assert (await http.get("/npm/lib/2.0.77")).json()["version"] == "2.0.77"


async def test_keys_and_attestations_pass(proxy: Proxy, registry: NpmRegistry, upstream: Upstream) -> None:
    registry.add(Built("@s/lib"))
    keys = {"keys": [{"keyid": "SHA256:x", "key": "abc"}]}
    said = {"attestations": [{"predicateType": "p"}]}
    upstream.serve("/reg/-/npm/v1/keys", document(orjson.dumps(keys), "application/json"))
    upstream.serve(
        "/reg/-/npm/v1/attestations/@s%2flib@1.0.0", document(orjson.dumps(said), "application/json")
    )
    http = await proxy()
    assert (await http.get("/npm/-/npm/v1/keys")).json() == keys
    for path in ("@s%2flib@1.0.0", "@s/lib@1.0.0"):
        assert (await http.get(f"/npm/-/npm/v1/attestations/{path}")).json() == said
    assert (await http.get("/npm/-/npm/v1/attestations/@s%2flib@2.0.0")).status_code == 404
    assert (await http.get("/npm/-/npm/v1/attestations/@s%2flib@x")).status_code == 400


async def test_audits_name_nothing_of_ours(proxy: Proxy, registry: NpmRegistry, upstream: Upstream) -> None:
    advisory = {"lib": [{"id": 1, "severity": "high"}]}
    path = "/reg/-/npm/v1/security/advisories/bulk"
    upstream.serve(path, document(orjson.dumps(advisory), "application/json"), method="POST")
    http = await proxy(NORA_PROXY_RESERVED="@corp/*")
    assert (await http.put("/npm/ours", json=Built("ours").publication())).status_code == 201
    asked = {"lib": ["1.0.0"], "@corp/secret": ["1.0.0"], "ours": ["1.0.0"]}
    for headers, body in (
        ({}, orjson.dumps(asked)),
        ({"content-encoding": "gzip"}, gzip.compress(orjson.dumps(asked))),
    ):
        answer = await http.post("/npm/-/npm/v1/security/advisories/bulk", content=body, headers=headers)
        assert answer.json() == advisory
    assert {one.body for one in upstream.log.of("POST")} == {b'{"lib":["1.0.0"]}'}
    only_ours = await http.post("/npm/-/npm/v1/security/advisories/bulk", json={"ours": ["1.0.0"]})
    assert only_ours.json() == {}
    upstream.fault = Answer(status=500)
    failed = await http.post("/npm/-/npm/v1/security/advisories/bulk", json=asked)
    assert failed.status_code in (502, 503)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"x"),
        ({}, b"[]"),
        ({"content-encoding": "gzip"}, b"not gzip"),
        ({"content-encoding": "gzip"}, gzip.compress(b"{}", mtime=0)[:-3]),
        ({"content-encoding": "br"}, b"{}"),
    ],
)
async def test_audits_that_cannot_be_read(proxy: Proxy, headers: dict[str, str], body: bytes) -> None:
    http = await proxy()
    for path in ("advisories/bulk", "audits", "audits/quick"):
        answer = await http.post(f"/npm/-/npm/v1/security/{path}", content=body, headers=headers)
        assert answer.status_code == 400, path


async def test_trees_of_old_clients_are_audited(
    proxy: Proxy, registry: NpmRegistry, upstream: Upstream
) -> None:
    upstream.serve("/reg/-/npm/v1/security/audits/quick", document(b'{"actions":[]}', "application/json"))
    http = await proxy(NORA_PROXY_RESERVED="@corp/*")
    inner = {
        "version": "1.0.0",
        "requires": {"@corp/b": "^1"},
        "dependencies": {"@corp/c": {"version": "1.0.0"}},
    }
    tree = {
        "name": "our-app",
        "requires": {"a": "^1", "@corp/b": "^1"},
        "dependencies": {"a": inner, "@corp/b": {}},
    }
    answer = await http.post("/npm/-/npm/v1/security/audits/quick", json=tree)
    assert answer.json() == {"actions": []}
    sent = upstream.log.of("POST")[0].body
    assert b"corp" not in sent
    assert b"our-app" not in sent
    assert json.loads(sent)["dependencies"]["a"]["version"] == "1.0.0"


async def test_nobody_to_ask_is_no_clean_bill(proxy: Proxy) -> None:
    http = await proxy(NORA_PROXY_MODE="offline")
    answer = await http.post("/npm/-/npm/v1/security/advisories/bulk", json={"a": ["1.0.0"]})
    assert answer.status_code == 404


async def test_search_finds_what_is_here(proxy: Proxy, registry: NpmRegistry, upstream: Upstream) -> None:
    registry.add(Built("@s/widget", fields={"description": "of the upstream"}))
    http = await proxy()
    await http.get("/npm/@s%2fwidget")
    ours = Built("my-widget", fields={"description": "of ours", "keywords": ["a"]})
    assert (await http.put("/npm/my-widget", json=ours.publication())).status_code == 201
    upstream.log.clear()
    found = (await http.get("/npm/-/v1/search?text=widget&size=20")).json()
    assert found["total"] == 2
    packages = [one["package"] for one in found["objects"]]
    assert [(one["name"], one["version"], one["description"]) for one in packages] == [
        ("@s/widget", "1.0.0", "of the upstream"),
        ("my-widget", "1.0.0", "of ours"),
    ]
    assert len((await http.get("/npm/-/v1/search?text=widget&size=1&from=1")).json()["objects"]) == 1
    assert (await http.get("/npm/-/v1/search?text=widget&size=x")).status_code == 400
    assert upstream.log.count() == 0


async def test_what_is_blocked_is_not_offered(proxy: Proxy, registry: NpmRegistry, tmp_path: Path) -> None:
    registry.add(Built("lib", "1.0.0"), Built("lib", "2.0.0"))
    http = await proxy()
    assert (await http.get("/npm/lib/-/lib-2.0.0.tgz")).status_code == 200
    block = {"repository": "npm", "name": "lib", "version": "2.0.0", "reason": "malware"}
    answer = await http.post("/api/v1/admin/blocks", json=block)
    assert answer.status_code in (200, 201), answer.text
    full = (await http.get("/npm/lib")).json()
    assert (list(full["versions"]), full["dist-tags"]) == (["1.0.0"], {"latest": "1.0.0"})
    assert (await http.get("/npm/lib/-/lib-2.0.0.tgz")).status_code == 403
    assert (await http.get("/npm/lib/2.0.0")).status_code == 404


def test_bytes_are_told_apart_by_the_hashes_that_were_listed() -> None:
    """A packument knows no sha256, and the catalog nothing else."""
    blob = Blob(1, Digest("sha256:" + "0" * 64), 1, 1)
    document = orjson.dumps({"hashes": {"sha512": "a", "sha1": "b"}})
    cached = Cached(1, "p", "lib", "x", blob, "http://x", {}, document, 0.0, 0.0)
    for hashes, is_other in (
        ({}, False),
        ({"sha512": "a"}, False),
        ({"sha512": "c"}, True),
        ({"sha1": "b", "md5": "x"}, False),
        ({"sha512": "a", "sha1": "c"}, True),
        ({"sha256": "0" * 64}, False),
        ({"sha256": "1" * 64}, True),
    ):
        assert differ(cached, hashes) == is_other, hashes


async def test_a_search_reads_a_package_once_until_it_changes(
    proxy: Proxy, registry: NpmRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    shown = search.shown

    def counted(name: str, part: Part) -> bytes:
        read.append(name)
        return shown(name, part)

    monkeypatch.setattr(search, "shown", counted)
    registry.add(Built("theirs-lib"))
    http, other = await proxy(), await proxy()  # two workers
    assert (await http.get("/npm/theirs-lib")).status_code == 200
    assert (await http.put("/npm/our-lib", json=Built("our-lib").publication())).status_code == 201

    async def found(client: httpx.AsyncClient) -> list[str]:
        objects = (await client.get("/npm/-/v1/search?text=lib")).json()["objects"]
        return [f"{one['package']['name']} {one['package']['version']}" for one in objects]

    for client in (http, other, http):
        read.clear()
        assert [await found(client) for _ in range(3)] == [["our-lib 1.0.0", "theirs-lib 1.0.0"]] * 3
        assert read in ([], ["our-lib", "theirs-lib"])
    assert read == []  # by who had read them
    registry.add(Built("theirs-lib", "2.0.0"))
    assert (await http.post("/npm/-/releases/theirs-lib/refresh", json={})).status_code == 200
    assert (await http.get("/npm/theirs-lib")).status_code == 200
    assert (await http.put("/npm/our-lib", json=Built("our-lib", "3.0.0").publication())).status_code == 201
    for client in (http, other):
        assert await found(client) == ["our-lib 3.0.0", "theirs-lib 2.0.0"]
    assert sorted(read) == ["our-lib", "our-lib", "theirs-lib", "theirs-lib"]
