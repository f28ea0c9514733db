"""Modules that are published here: what is taken, what follows from it, what is refused."""

from __future__ import annotations

import zipfile
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest

from nora.formats.go.samples import module_zip
from tests.formats.go.wire import fetched, module_path, path_of, publish, published, versions
from tests.support.go_modules import Module
from tests.support.in_process import application

pytestmark = pytest.mark.anyio
IMMUTABLE = "public, max-age=31536000, immutable"


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with application(tmp_path, NORA_PROXY_MODE="offline") as client:
        yield client


async def test_all_files_follow_from_the_zip(http: httpx.AsyncClient) -> None:
    module = Module("corp.example/Team/lib", "v1.2.0-Beta")
    answer = await publish(http, module)
    told = answer.json()
    assert (answer.status_code, told["module"], told["version"]) == (201, module.path, module.version)
    assert (told["h1"][:3], told["go_mod_h1"]) == ("h1:", module.go_mod_h1)
    assert await fetched(http, module) == module.body
    assert await fetched(http, module, "mod") == module.go_mod
    assert (await fetched(http, module, "ziphash")).decode() == told["h1"]
    info = await http.get(path_of(module, "info"))
    assert (info.json()["Version"], len(info.json()["Time"])) == (module.version, len("2024-05-06T07:08:09Z"))
    assert info.json()["Time"].endswith("Z")
    assert info.headers["cache-control"] == IMMUTABLE
    assert await versions(http, module) == [module.version]
    assert (await http.get(module_path(module, "@latest"))).json() == info.json()


async def test_an_escape_may_be_escaped_once_more(http: httpx.AsyncClient) -> None:
    module = Module("corp.example/Azure", "v1.0.0-B")
    await published(http, module)
    for path in ("corp.example/!azure/@v/v1.0.0-!b", "corp.example/%21azure/@v/v1.0.0-%21b"):
        assert (await http.get(f"/go/{path}.zip")).content == module.body
    assert (await http.get("/go/corp.example/%2521azure/@v/v1.0.0-%2521b.zip")).status_code == 400


async def test_a_zip_may_say_itself_what_it_is(http: httpx.AsyncClient) -> None:
    module = Module("corp.example/own/v3", "v3.0.1")
    answer = await http.put("/go/upload", content=module.body)
    assert (answer.status_code, answer.json()["module"]) == (201, module.path)
    assert await fetched(http, module) == module.body


async def test_a_version_never_changes(http: httpx.AsyncClient) -> None:
    module = Module("corp.example/fixed")
    await published(http, module)
    info = await fetched(http, module, "info")
    assert (await publish(http, module)).status_code == 201  # a client that tries again
    assert await fetched(http, module, "info") == info
    answer = await publish(http, Module(module.path, text="other"))
    assert answer.status_code == 409
    assert "never change" in answer.text
    assert await fetched(http, module) == module.body


async def test_a_module_without_a_go_mod_gets_one(http: httpx.AsyncClient) -> None:
    for version in ("v1.0.0", "v2.0.0+incompatible"):
        body = module_zip("corp.example/old", version, {"old.go": "package old\n"})
        assert (await http.put(f"/go/corp.example/old/@v/{version}.zip", content=body)).status_code == 201
        mod = await http.get(f"/go/corp.example/old/@v/{version}.mod")
        assert mod.content == b"module corp.example/old\n"
    listed = await http.get("/go/corp.example/old/@v/list")
    assert listed.text == "v1.0.0\nv2.0.0+incompatible\n"


async def test_what_the_go_command_would_not_take_is_refused(http: httpx.AsyncClient) -> None:
    where = "/go/corp.example/bad/@v"
    right = {"go.mod": "module corp.example/bad\n"}
    for version, body in (
        ("v1.0.0", module_zip("corp.example/bad", "v1.0.1", right)),
        ("v1.0.0", module_zip("corp.example/other", "v1.0.0", right)),
        ("v1.0.0", module_zip("corp.example/bad", "v1.0.0", {"go.mod": "module corp.example/other\n"})),
        ("v1.0.0", module_zip("corp.example/bad", "v1.0.0", {**right, "sub/go.mod": ""})),
        ("v1.0.0", module_zip("corp.example/bad", "v1.0.0", {**right, "a": "", "A": ""})),
        ("v2.0.0", module_zip("corp.example/bad", "v2.0.0", right)),
        ("v2.0.0+incompatible", module_zip("corp.example/bad", "v2.0.0+incompatible", right)),
        ("master", module_zip("corp.example/bad", "master", right)),
        ("v1.0", module_zip("corp.example/bad", "v1.0", right)),
        ("v1.0.0", b"no zip"),
        ("v1.0.0", b""),
    ):
        answer = await http.put(f"{where}/{version}.zip", content=body)
        assert answer.status_code == 400, (version, answer.text)
        assert answer.headers["content-type"].startswith("text/plain")
    assert (await http.get(f"{where}/list")).status_code == 404
    for kind in ("mod", "info", "ziphash", "x"):
        assert (await http.put(f"{where}/v1.0.0.{kind}", content=b"x")).status_code == 400


async def test_a_zip_is_no_larger_than_may_be(tmp_path: Path) -> None:
    body = module_zip("corp.example/big", "v1.0.0", {"zeros": bytes(1 << 20)})
    assert len(body) < 10_000
    async with application(tmp_path, NORA_GO_MAX_ZIP_SIZE="100000") as http:
        answer = await http.put("/go/corp.example/big/@v/v1.0.0.zip", content=body)
        assert (answer.status_code, "bomb" in answer.text) == (400, True)
        for content in (bytes(200_000), pieces()):
            answer = await http.put("/go/corp.example/big/@v/v1.0.0.zip", content=content)
            assert answer.status_code == 413


async def pieces() -> AsyncIterator[bytes]:
    """A body of no announced length."""
    for _ in range(4):
        yield bytes(50_000)


async def test_what_is_deleted_is_gone_at_once_and_for_good(http: httpx.AsyncClient) -> None:
    old, new = Module("corp.example/gone", "v1.0.0"), Module("corp.example/gone", "v1.1.0")
    for module in (old, new):
        await published(http, module)
        for kind in ("zip", "mod", "info", "ziphash"):
            for _ in range(3):
                await fetched(http, module, kind)
    assert (await http.get(module_path(old, "@latest"))).json()["Version"] == "v1.1.0"
    answer = await http.delete(module_path(new, "@v/v1.1.0"))
    assert (answer.status_code, answer.json()["deleted"]) == (200, 1)
    for kind in ("zip", "mod", "info", "ziphash"):
        assert (await http.get(path_of(new, kind))).status_code == 404, kind
    assert await versions(http, old) == ["v1.0.0"]
    assert (await http.get(module_path(old, "@latest"))).json()["Version"] == "v1.0.0"
    for body in (new.body, Module(new.path, new.version, text="other").body):
        answer = await http.put(path_of(new), content=body)
        assert (answer.status_code, "deleted" in answer.text) == (409, True)
    assert (await http.delete(module_path(old, "@v"))).json()["deleted"] == 1
    for path in ("@v/list", "@latest"):
        assert (await http.get(module_path(old, path))).status_code == 404


async def test_commits_are_no_versions_of_a_list(http: httpx.AsyncClient) -> None:
    module = Module("corp.example/commits", "v0.0.0-20240101000000-abcdef123456")
    await published(http, module)
    assert await versions(http, module) == []  # the go command asks for the latest then
    assert (await http.get(module_path(module, "@latest"))).json()["Version"] == module.version


async def test_a_list_is_in_the_order_of_versions(http: httpx.AsyncClient) -> None:
    for version in ("v1.10.0", "v1.9.0", "v1.9.0-rc.1", "v0.1.0"):
        await published(http, Module("corp.example/many", version))
    module = Module("corp.example/many")
    assert await versions(http, module) == ["v0.1.0", "v1.9.0-rc.1", "v1.9.0", "v1.10.0"]
    assert (await http.get(module_path(module, "@latest"))).json()["Version"] == "v1.10.0"


async def test_a_list_says_so_when_it_has_not_changed(http: httpx.AsyncClient) -> None:
    module = Module("corp.example/etag")
    await published(http, module)
    path = module_path(module, "@v/list")
    first = await http.get(path)
    assert first.headers["cache-control"] == "no-cache"
    again = await http.get(path, headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    await published(http, Module(module.path, "v1.0.1"))
    assert (await http.get(path, headers={"if-none-match": first.headers["etag"]})).status_code == 200


async def test_what_is_no_version_in_full_has_no_files(http: httpx.AsyncClient) -> None:
    module = Module("corp.example/full")
    await published(http, module)
    for name in ("main.zip", "main.mod", "v1.zip", "v1.0.mod", "main.info", "v1.0.0.txt", "v1.0.0", "x"):
        answer = await http.get(module_path(module, f"@v/{name}"))
        assert (answer.status_code, answer.text[:10]) == (404, "not found:"), name


async def test_named_repositories_have_modules_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[repositories.team]\nformat = "go"\nkind = "hosted"\n')
    module = Module("corp.example/team")
    async with application(tmp_path, NORA_PROXY_MODE="offline") as http:
        assert (await publish(http, module, "/r/team")).status_code == 201
        assert await versions(http, module, "/r/team") == ["v1.0.0"]
        assert (await http.get(module_path(module, "@v/list"))).status_code == 404


async def test_a_range_of_a_zip(http: httpx.AsyncClient) -> None:
    module = Module("corp.example/ranges")
    await published(http, module)
    answer = await http.get(path_of(module), headers={"range": "bytes=0-3"})
    assert (answer.status_code, answer.content) == (206, b"PK\x03\x04")
    head = await http.head(path_of(module))
    assert int(head.headers["content-length"]) == len(module.body)
    assert zipfile.ZipFile(BytesIO(module.body)).testzip() is None
