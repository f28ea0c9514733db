"""Directories."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from nora.auth.scopes import parse_scope
from nora.auth.tokens import Tokens
from nora.commands import open_catalog
from nora.formats import directories, load_config
from tests.support.in_process import application

pytestmark = pytest.mark.anyio
JSON = {"accept": "application/json"}


async def put(http: httpx.AsyncClient, *paths: str, prefix: str = "/raw") -> None:
    for path in paths:
        answer = await http.put(f"{prefix}/{path}", content=path.encode())
        assert answer.status_code == 201, path


async def names(http: httpx.AsyncClient, path: str, **headers: str) -> list[str]:
    answer = await http.get(path, headers={**JSON, **headers})
    assert answer.status_code == 200, answer.text
    return [one["name"] for one in answer.json()["entries"]]


async def test_a_directory_lists_what_is_in_it(http: httpx.AsyncClient) -> None:
    assert (await http.get("/raw/", headers=JSON)).json() == {"path": "", "entries": [], "next": None}
    await put(http, "top.txt", "d/a.txt", "d/sub/b", "d/z")
    listing = (await http.get("/raw/d/", headers=JSON)).json()
    file, *others = listing["entries"]
    assert file.pop("modified").endswith("Z")
    assert file == {
        "name": "a.txt",
        "size": 7,
        "type": "text/plain",
        "sha256": hashlib.sha256(b"d/a.txt").hexdigest(),
    }
    assert [one["name"] for one in others] == ["sub/", "z"]
    assert (listing["path"], listing["next"]) == ("d/", None)
    assert await names(http, "/raw/") == ["d/", "top.txt"]
    for absent in ("/raw/nothing/", "/raw/top.txt/", "/raw/d"):
        assert (await http.get(absent, headers=JSON)).status_code == 404, absent
    await http.delete("/raw/d/sub/b")
    assert (await http.get("/raw/d/sub/", headers=JSON)).status_code == 404
    head = await http.head("/raw/d/")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == (await http.get("/raw/d/")).headers["content-length"]


async def test_a_listing_has_pages(http: httpx.AsyncClient) -> None:
    paths = [f"p/{number:02}" for number in range(7)] + ["p/03-x/y", "p/03.z/y"]
    await put(http, *paths)
    for start in ("/raw/p/?limit=2", "/raw/p/?limit=2&list"):
        found: list[str] = []
        url: str | None = start
        for _ in range(9):
            assert url is not None
            answer = await http.get(url, headers={} if "list" in start else JSON)
            page: dict[str, Any] = answer.json()
            found += [one["name"] for one in page["entries"]]
            url = page["next"] and f"/raw/p/{page['next']}"
            assert ("next" in answer.links) is (url is not None)
            if url is None:
                break
        assert found == ["00", "01", "02", "03", "03-x/", "03.z/", "04", "05", "06"]
    for bad in ("limit=0", "limit=x", "limit=1001", f"after={'x' * 1025}"):
        assert (await http.get(f"/raw/p/?{bad}")).status_code == 400, bad


async def test_what_is_blocked_ends_no_listing(http: httpx.AsyncClient) -> None:
    await put(http, *(f"b/{number}" for number in range(6)))
    for number in (0, 1, 3):
        what = {"repository": "raw", "name": f"b/{number}", "reason": "it bites"}
        assert (await http.post("/api/v1/admin/blocks", json=what)).status_code == 200
    found, query = [], "list&limit=2"
    while query:
        page = (await http.get(f"/raw/b/?{query}")).json()
        found += [one["name"] for one in page["entries"]]
        query = (page["next"] or "").removeprefix("?")
    assert found == ["2", "4", "5"]
    for number in (2, 4, 5):
        what = {"repository": "raw", "name": f"b/{number}", "reason": "it bites"}
        assert (await http.post("/api/v1/admin/blocks", json=what)).status_code == 200
    assert (await http.get("/raw/b/")).status_code == 404


async def test_a_listing_that_is_hidden_goes_on(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page looks at so much and no more."""
    monkeypatch.setattr(directories, "MOST_HIDDEN", 100)
    monkeypatch.setattr(directories.Directories, "_is_shown", lambda *of: of[-1].name in ("b/", "130"))
    await put(http, *(f"b/{number:03}" for number in range(131)))
    first = (await http.get("/raw/b/?list&limit=1")).json()
    assert (first["entries"], first["next"]) == ([], "?after=099&limit=1&list=")
    last = (await http.get(f"/raw/b/{first['next']}")).json()
    assert ([one["name"] for one in last["entries"]], last["next"]) == (["130"], None)


async def test_a_page_for_people_hides_nothing_in_names(http: httpx.AsyncClient) -> None:
    evil = '"><script>alert(1)</script>'
    await put(http, "h/javascript:alert(1)", "h/a&b", "h/ü d/x")
    assert (await http.put(f"/raw/h/{evil.replace('/', '%2F')}", content=b"")).status_code == 400
    assert (await http.put(f"/raw/h/{evil.replace('/', '-')}", content=b"")).status_code == 201
    answer = await http.get("/raw/h/", headers={"accept": "text/html,*/*;q=0.1"})
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["vary"] == "Accept"
    assert "<script" not in answer.text
    for link in ("javascript%3Aalert%281%29", "a%26b", "%C3%BC%20d/", "../"):
        assert f'href="{link}"' in answer.text
    assert (await http.get("/raw/h/", headers={"accept": "image/png"})).status_code == 406


async def test_a_group_lists_what_its_members_have(http: httpx.AsyncClient) -> None:
    await put(http, "m/a", "m/b", prefix="/r/scratch/raw")
    await put(http, "m/b", "m/c", "m/d/e", prefix="/r/frozen/raw")
    assert await names(http, "/r/both/raw/m/") == ["a", "b", "c", "d/"]
    assert await names(http, "/r/both/raw/m/?limit=1&after=a") == ["b"]


async def test_a_listing_may_be_off(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_RAW_LISTING="false") as http:
        await put(http, "a/b")
        for path in ("/raw/", "/raw/a/"):
            answer = await http.get(path)
            assert (answer.status_code, "raw.listing" in answer.text) == (404, True)


async def test_a_listing_holds_what_one_may_read(tmp_path: Path) -> None:
    env = {"NORA_STORAGE_PATH": str(tmp_path / "storage"), "NORA_AUTH_ENABLED": "true"}
    async with application(tmp_path, **env) as http:
        async with open_catalog(load_config(env, tmp_path)) as catalog:
            tokens = Tokens(catalog)
            secrets = {
                name: (await tokens.create("ci", role, scopes=tuple(map(parse_scope, scopes))))[0]
                for name, role, scopes in (
                    ("all", "write", ()),
                    ("builds", "write", ("raw:builds/*:read,write",)),
                    ("deep", "read", ("raw:builds/**:read",)),
                    ("other", "read", ("raw:other/**:read",)),
                )
            }
        who = {name: {"authorization": f"Bearer {secret}"} for name, secret in secrets.items()}
        for path in ("builds/1", "builds/sub/2", "other/3", "top"):
            answer = await http.put(f"/raw/{path}", content=b"", headers=who["all"])
            assert answer.status_code == 201
        for name, path, wanted in (
            ("all", "/raw/", ["builds/", "other/", "top"]),
            ("builds", "/raw/", ["builds/"]),
            ("builds", "/raw/builds/", ["1"]),
            ("deep", "/raw/builds/", ["1", "sub/"]),
            ("deep", "/raw/builds/sub/", ["2"]),
            ("other", "/raw/", ["other/"]),
        ):
            assert await names(http, path, **who[name]) == wanted, (name, path)
        for name, method, path, status in (
            ("builds", "GET", "/raw/builds/sub/", 403),
            ("builds", "GET", "/raw/builds/sub/2", 403),
            ("builds", "GET", "/raw/other/", 403),
            ("builds", "PUT", "/raw/builds/new", 201),
            ("builds", "PUT", "/raw/builds/sub/new", 403),
            ("builds", "DELETE", "/raw/builds/1", 403),
            ("deep", "PUT", "/raw/builds/sub/new", 403),
            ("all", "DELETE", "/raw/builds/1", 403),
        ):
            answer = await http.request(
                method, path, headers=who[name], content=b"" if method == "PUT" else None
            )
            assert answer.status_code == status, (name, method, path)
        listing = (await http.get("/raw/?limit=1&list", headers=who["builds"])).json()
        assert ([one["name"] for one in listing["entries"]], listing["next"]) == (["builds/"], None)
        assert (await http.get("/raw/")).status_code == 401
        async with open_catalog(load_config(env, tmp_path)) as catalog:
            scope = parse_scope("raw:builds/*:read,write,delete")
            secret, _ = await Tokens(catalog).create("ci", "write", scopes=(scope,))
        headers = {"authorization": f"Bearer {secret}"}
        for path, status in (("builds/", 403), ("builds/new", 204), ("other/", 403)):
            assert (await http.delete(f"/raw/{path}", headers=headers)).status_code == status, path
        assert await names(http, "/raw/builds/", **who["all"]) == ["1", "sub/"]
