"""What the API tells of what is there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.in_process import application
from tests.ui.content import everything

pytestmark = pytest.mark.anyio

REPOSITORIES = "/api/v1/repositories"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def http(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A registry with something of everything."""
    folder = tmp_path_factory.mktemp("reads")
    environ = {"NORA_PROXY_MODE": "offline", "NORA_PUBLIC_URL": "https://x.example/nora"}
    async with application(folder, **environ) as client:
        for sent in everything():
            answer = await client.request(sent.method, sent.path, **sent.said)
            assert answer.status_code < 300, (sent.path, answer.text)
        yield client


async def read(http: httpx.AsyncClient, path: str, status: int = 200) -> Any:
    answer = await http.get(path)
    assert answer.status_code == status, (path, answer.text)
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


async def all_of(http: httpx.AsyncClient, path: str, what: str, limit: int = 1) -> list[Any]:
    """All pages of a listing."""
    found, after = [], ""
    while after is not None:
        answer = await http.get(httpx.URL(path).copy_merge_params({"limit": limit, "after": after}))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page[what]) <= limit
        found += page[what]
        after = page["after"]
    return found


async def test_the_server_says_how_it_is(http: httpx.AsyncClient) -> None:
    server = await read(http, "/api/v1/server")
    assert server["status"] == "healthy"
    assert server["stored"]["packages"] > 5
    assert server["formats"]["docker"].keys() == {"downloads", "served_bytes", "hit_rate"}
    assert (await read(http, "/api/v1/me"))["method"] == "anonymous"


async def test_repositories_say_where_clients_reach_them(http: httpx.AsyncClient) -> None:
    formats = {one["name"]: one for one in (await read(http, "/api/v1/formats"))["formats"]}
    assert formats["pypi"] == {"name": "pypi", "title": "PyPI", "mount": "/simple/", "repositories": ["pypi"]}
    found = {one["name"]: one for one in (await read(http, REPOSITORIES))["repositories"]}
    assert found["npm"]["url"] == "https://x.example/nora/npm/"
    assert (found["npm"]["kind"], found["npm"]["takes_writes"]) == ("group", True)
    assert found["npm"]["held"]["packages"] >= 1
    assert [one["name"] for one in (await read(http, f"{REPOSITORIES}?format=raw"))["repositories"]] == [
        "raw"
    ]
    assert await read(http, f"{REPOSITORIES}/npm") == found["npm"]
    for path in (f"{REPOSITORIES}?format=none", f"{REPOSITORIES}/none", f"{REPOSITORIES}/none/packages"):
        await read(http, path, 404)


async def test_packages_are_listed_a_page_at_a_time(http: httpx.AsyncClient) -> None:
    found = await all_of(http, f"{REPOSITORIES}/docker/packages", "packages")
    names = [one["name"] for one in found]
    assert names == sorted(names)
    assert {"team/app", "team/web"} <= {*names}
    line = next(one for one in found if one["name"] == "team/web")
    assert line["hosted"]
    assert line["tag"] == "latest"
    some = await read(http, f"{REPOSITORIES}/docker/packages?q=WEB")
    assert [one["name"] for one in some["packages"]] == ["team/web"]
    for query in ("limit=0", "limit=101", "limit=x", f"after={'a' * 1025}"):
        await read(http, f"{REPOSITORIES}/docker/packages?{query}", 400)


async def test_a_package_says_what_it_is_and_how_it_is_got(http: httpx.AsyncClient) -> None:
    package = await read(http, f"{REPOSITORIES}/npm/packages/@team/ui")
    assert (package["name"], package["format"], package["owned"]) == ("@team/ui", "npm", True)
    assert package["latest"] == package["tags"]["latest"]
    assert any("npm install" in one["text"] for one in package["install"])
    versions = await all_of(http, f"{REPOSITORIES}/npm/versions/@team/ui", "versions")
    assert package["versions"] == len(versions)
    assert package["latest"] in [one["version"] for one in versions]
    version = await read(http, f"{REPOSITORIES}/npm/version/@team/ui")
    assert (version["version"], version["state"]) == (package["latest"], "live")
    await read(http, f"{REPOSITORIES}/npm/version/@team/ui?version=99", 404)
    await read(http, f"{REPOSITORIES}/npm/packages/absent", 404)
    tags = await all_of(http, f"{REPOSITORIES}/npm/tags/@team/ui", "tags")
    assert {one["tag"]: one["version"] for one in tags} == package["tags"]


async def test_files_have_their_digests(http: httpx.AsyncClient) -> None:
    found = await all_of(http, f"{REPOSITORIES}/pypi/files/acme-lib", "files")
    assert len(found) > 1
    assert all(len(one["sha256"]) == 64 and one["size"] > 0 for one in found)
    version = found[0]["version"]
    some = await read(http, f"{REPOSITORIES}/pypi/files/acme-lib?version={version}")
    assert {one["version"] for one in some["files"]} == {version}


async def test_an_image_has_tags_and_contents(http: httpx.AsyncClient) -> None:
    tags = {
        one["tag"]: one["version"]
        for one in await all_of(http, f"{REPOSITORIES}/docker/tags/team/app", "tags")
    }
    assert tags.keys() == {"1", "1.0", "1.1", "latest"}
    image = await read(http, f"{REPOSITORIES}/docker/packages/team/app")
    assert (image["latest"], image["tags"]) == (tags["latest"], tags)
    version = await read(http, f"{REPOSITORIES}/docker/version/team/app")
    assert version["version"] == tags["latest"]
    assert version["contents"]["platforms"] == ["linux/amd64", "linux/arm64/v8"]
    assert len(version["contents"]["parts"]) == 2
    child = version["contents"]["parts"][0]["version"]
    layers = await read(http, f"{REPOSITORIES}/docker/version/team/app?version={child}")
    assert {one["kind"] for one in layers["contents"]["parts"]} >= {"layer"}


async def test_directories_are_listed_a_page_at_a_time(http: httpx.AsyncClient) -> None:
    root = await all_of(http, f"{REPOSITORIES}/raw/entries", "entries")
    assert [(one["name"], one["sha256"] is None) for one in root] == [
        ("builds/", True),
        ("readme.txt", False),
    ]
    below = await read(http, f"{REPOSITORIES}/raw/entries/builds/7")
    assert [(one["name"], one["size"] > 0) for one in below["entries"]] == [("app.tar.gz", True)]
    await read(http, f"{REPOSITORIES}/raw/entries/none", 404)
    await read(http, f"{REPOSITORIES}/npm/entries", 404)


async def test_search_finds_packages_of_all_formats(http: httpx.AsyncClient) -> None:
    found = await read(http, "/api/v1/search?q=team")
    assert {one["format"] for one in found["packages"]} >= {"docker", "npm"}
    some = await read(http, "/api/v1/search?q=team&format=npm&hosted=true")
    assert {one["format"] for one in some["packages"]} == {"npm"}
    assert (await read(http, "/api/v1/search?q=team&hosted=false"))["packages"] == []
    first = await read(http, "/api/v1/search?q=team&limit=1")
    second = await read(http, "/api/v1/search?q=team&limit=1&skip=1")
    assert (first["more"], first["packages"] != second["packages"]) == (True, True)
    for query in ("", "q=", f"q={'a' * 257}", "q=a&hosted=maybe", "q=a&skip=1001", "q=a&limit=x"):
        await read(http, f"/api/v1/search?{query}", 400)
