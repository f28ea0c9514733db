"""What administrators do from pages to what came from upstreams, and to names."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import orjson
import pytest

from tests.formats.go.wire import kept
from tests.support.go_modules import Module, ModuleProxy
from tests.support.in_process import application
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio
PAGE = "/ui/packages/go/example.com/cached"


async def titles(http: httpx.AsyncClient) -> set[str]:
    answer = await http.get(PAGE)
    assert answer.status_code == 200, answer.text
    return {*re.findall(r'href="[^"]*operation\?do=([a-z]+)', answer.text)}


async def do(http: httpx.AsyncClient, name: str, **said: str) -> None:
    fields = {"do": name, "repository": "go", "package": "example.com/cached", **said}
    asked = await http.get("/ui/operation", params=fields)
    assert asked.status_code == 200, asked.text
    done = await http.post("/ui/operation", data={"key": "", **fields})
    assert done.status_code == 303, done.text


async def test_caches_are_purged_and_names_claimed_and_blocked(upstream: Upstream, tmp_path: Path) -> None:
    proxy = ModuleProxy()
    proxy.mount(upstream)
    module = proxy.add(Module("example.com/cached"))
    async with application(tmp_path, NORA_GO_PROXY=upstream.url) as http:
        await kept(http, module)
        assert await titles(http) == {"purge", "block", "claim", "refresh"}
        await do(http, "refresh")
        await do(http, "purge", version="v1.0.0")
        await do(http, "purge")
        assert (await http.get(PAGE)).status_code == 404
        await kept(http, module)
        zipped = f"/go/{module.path}/@v/v1.0.0.zip"
        without = {"do": "block", "repository": "go", "package": "example.com/cached", "version": "v1.0.0"}
        assert (await http.post("/ui/operation", data=without)).status_code == 400
        await do(http, "block", version="v1.0.0", reason="it is broken")
        assert (await http.get(zipped)).status_code in (403, 404, 410, 451)
        await do(http, "claim")
        origin = await http.get("/api/v1/admin/packages/source?repository=go&name=example.com/cached")
        assert origin.json()["owned"] is True
        foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        said = {"do": "release", "repository": "go", "package": "example.com/cached"}
        assert (await http.post("/ui/operation", data=said, headers=foreign)).status_code == 403
        assert (await http.post("/ui/operation", data=said)).status_code == 303
        origin = await http.get("/api/v1/admin/packages/source?repository=go&name=example.com/cached")
        assert origin.json()["owned"] is False
    lines = [orjson.loads(line) for line in (tmp_path / "storage" / "audit.jsonl").read_bytes().splitlines()]
    told = [(one["action"], one["object"], one["outcome"]) for one in lines if one["registry"] == "ui"]
    name = "example.com/cached"
    assert told[:3] == [
        ("write", f"{name} refresh", "ok"),
        ("admin", f"purge {name} v1.0.0", "ok"),
        ("admin", f"purge {name}", "ok"),
    ]
    for line in (
        ("admin", f"{name} v1.0.0 block", "failed"),
        ("admin", f"block {name} v1.0.0", "ok"),
        ("claim", name, "ok"),
        ("admin", name, "ok"),
    ):
        assert line in told, line
