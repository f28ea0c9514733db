"""Many clients at once, large bodies, and what requests and packages say of themselves."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nora.formats.npm import names
from tests.formats.npm.conftest import Proxy
from tests.support.answers import document
from tests.support.npm_registry import ABBREVIATED, Built, NpmRegistry
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio


async def test_64_cold_clients_cost_one_request_for_each_thing(
    proxy: Proxy, registry: NpmRegistry, upstream: Upstream
) -> None:
    registry.add(built := Built("@s/lib", files={"x": bytes(range(256)) * 1000}))
    http = await proxy()
    tarball = "/npm/@s/lib/-/lib-1.0.0.tgz"
    forms = ("application/json", ABBREVIATED)
    asked = [http.get("/npm/@s%2flib", headers={"accept": forms[number % 2]}) for number in range(64)]
    answers = await asyncio.gather(*asked, *(http.get(tarball) for _ in range(64)))
    assert {one.status_code for one in answers} == {200}
    assert {one.content for one in answers[64:]} == {built.body}
    assert len({one.content for one in answers[:64]}) == 2
    assert sorted(upstream.log.paths()) == ["/reg/@s%2flib", "/reg/@s/lib/-/lib-1.0.0.tgz"]


async def test_20_publications_of_one_version_are_one(proxy: Proxy) -> None:
    http = await proxy(NORA_NPM_PROXIES="[]")
    builds = [Built("lib", files={"x": bytes([number])}) for number in range(20)]
    answers = await asyncio.gather(*(http.put("/npm/lib", json=one.publication()) for one in builds))
    assert sorted(one.status_code for one in answers) == [201] + [409] * 19
    winner = builds[[one.status_code for one in answers].index(201)]
    assert (await http.get("/npm/lib/-/lib-1.0.0.tgz")).content == winner.body
    manifest = (await http.get("/npm/lib/1.0.0")).json()
    assert manifest["dist"]["integrity"] == winner.dist["integrity"]


async def test_a_publication_ends_a_remembered_absence(proxy: Proxy, upstream: Upstream) -> None:
    http = await proxy()
    assert (await http.get("/npm/lib")).status_code == 404
    assert (await http.put("/npm/lib", json=Built("lib").publication())).status_code == 201
    assert (await http.get("/npm/lib")).status_code == 200
    assert (await http.get("/npm/lib/-/lib-1.0.0.tgz")).status_code == 200
    assert upstream.log.paths() == ["/reg/lib"]


@pytest.mark.parametrize("is_announced", [True, False])
async def test_publications_beyond_the_limit_are_refused(
    proxy: Proxy, tmp_path: Path, is_announced: bool
) -> None:
    http = await proxy(NORA_NPM_MAX_FILE_SIZE="64KiB")
    body = json.dumps(Built("lib", files={"x": random.Random(1).randbytes(200_000)}).publication()).encode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1 << 16):
            yield body[start : start + (1 << 16)]

    if is_announced:  # refused before any of it is read
        answer = await http.put("/npm/lib", content=body, headers={"content-length": f"{1 << 33}"})
    else:
        answer = await http.put("/npm/lib", content=pieces())
    assert answer.status_code == 413
    assert "npm.max_file_size" in answer.json()["error"]
    assert (await http.get("/npm/-/v1/search?text=lib")).json()["total"] == 0
    assert not [path for path in (tmp_path / "storage").rglob("*") if "tmp" in path.name and path.is_file()]


async def test_documents_of_upstreams_have_a_limit(
    proxy: Proxy, registry: NpmRegistry, upstream: Upstream
) -> None:
    registry.add(Built("lib"))
    big = json.dumps({**registry.packument("lib"), "readme": "x" * 200_000}).encode()
    upstream.serve("/reg/lib", document(big, "application/json"))
    http = await proxy(NORA_NPM_MAX_DOCUMENT_SIZE="100KiB", NORA_PROXY_RETRIES="0")
    for path in ("lib", "lib/1.0.0", "lib/-/lib-1.0.0.tgz"):
        assert (await http.get(f"/npm/{path}")).status_code in (502, 503), path


async def test_pages_that_say_that_there_is_nothing_are_not_shown(proxy: Proxy, upstream: Upstream) -> None:
    page = document(b"<html>" + b"<script>x</script>" * 1000, "text/html").but(status=404)
    upstream.serve("/reg/lib", page)
    http = await proxy()
    answer = await http.get("/npm/lib")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
    assert b"script" not in answer.content


async def test_tarballs_are_where_the_request_went(proxy: Proxy, registry: NpmRegistry) -> None:
    registry.add(Built("lib"))
    http = await proxy(NORA_ALLOWED_HOSTS="registry.example")
    seen = {"host": "registry.example:8443", "x-forwarded-proto": "https"}

    async def tarball(path: str, **headers: str) -> str:
        found = (await http.get(path, headers=headers)).json()["versions"]["1.0.0"]["dist"]["tarball"]
        return str(found)

    assert await tarball("/npm/lib") == "http://localhost/npm/lib/-/lib-1.0.0.tgz"
    assert (await tarball("/npm/lib", **seen)).endswith("registry.example:8443/npm/lib/-/lib-1.0.0.tgz")
    public = await proxy(NORA_PUBLIC_URL="https://packages.example/nora")
    found = (await public.get("/npm/lib")).json()["versions"]["1.0.0"]["dist"]["tarball"]
    assert found == "https://packages.example/nora/npm/lib/-/lib-1.0.0.tgz"


async def test_texts_of_packages_stay_texts(proxy: Proxy) -> None:
    """As JSON they are data, whatever is in them; no field of the head has any of them."""
    http = await proxy(NORA_NPM_PROXIES="[]")
    hostile = '</script>"><img src=x>\u2028\x00\x1b[31m\r\nset-cookie: a=b'
    built = Built("lib", fields={"description": hostile, "keywords": [hostile]})
    assert (await http.put("/npm/lib", json=built.publication(readme=hostile))).status_code == 201
    full = await http.get("/npm/lib")
    assert full.json()["readme"] == hostile == full.json()["versions"]["1.0.0"]["description"]
    found = (await http.get("/npm/-/v1/search?text=lib")).json()["objects"]
    assert [one["package"]["description"] for one in found] == [hostile]
    assert "set-cookie" not in full.headers
    bad = await http.get("/npm/a%0d%0aset-cookie:%20a=b")
    assert (bad.status_code, "set-cookie" in bad.headers) == (400, False)


async def test_both_forms_show_each_change_at_once(proxy: Proxy) -> None:
    """Of two workers, whichever is asked."""
    one, two = await proxy(NORA_NPM_PROXIES="[]"), await proxy(NORA_NPM_PROXIES="[]")
    for patch in range(20):
        version = f"1.0.{patch}"
        assert (await one.put("/npm/lib", json=Built("lib", version).publication())).status_code == 201
        for http in (two, one):
            for accept in ("application/json", ABBREVIATED):
                said = (await http.get("/npm/lib", headers={"accept": accept})).json()
                assert said["dist-tags"] == {"latest": version}
                assert len(said["versions"]) == patch + 1


async def test_the_last_of_200_versions_is_published_with_as_few_reads_as_the_first(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No publication looks at the other versions."""
    ordered: list[str] = []
    order = names.version_order
    monkeypatch.setattr(
        "nora.formats.npm.hosted.version_order", lambda text: ordered.append(text) or order(text)
    )
    http = await proxy(NORA_NPM_PROXIES="[]")
    for patch in range(200):
        built = Built("lib", f"1.0.{patch}")
        assert (await http.put("/npm/lib", json=built.publication())).status_code == 201
    assert not ordered
    assert len((await http.get("/npm/lib")).json()["versions"]) == 200
