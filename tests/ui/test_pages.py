"""Each page: what it shows, of what, and that it holds nothing but text of what others have written."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from nora.commands import open_catalog
from nora.config import repository_specs
from nora.formats import load_config
from tests.support.in_process import application
from tests.ui.content import HOSTILE, LONG, everything

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def http(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A registry with something of everything."""
    folder = tmp_path_factory.mktemp("pages")
    async with application(
        folder, NORA_PROXY_MODE="offline", NORA_PUBLIC_URL="https://x.example/nora"
    ) as client:
        for sent in everything():
            answer = await client.request(sent.method, sent.path, **sent.said)
            assert answer.status_code < 300, (sent.path, answer.text)
        yield client


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.words += " "

    def handle_data(self, data: str) -> None:
        self.words += data

    def values(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]

    @property
    def text(self) -> str:
        return " ".join(self.words.split())


async def read(http: httpx.AsyncClient, path: str, status: int = 200) -> Page:
    answer = await http.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    return Page(answer.text)


async def walk(http: httpx.AsyncClient) -> AsyncIterator[tuple[str, Page]]:
    """All pages that links lead to from the first one, but for the choice of a client."""
    known, ahead = {"/ui/"}, ["/ui/"]
    while ahead:
        path = ahead.pop()
        page = await read(http, path)
        yield path, page
        for link in page.values("href"):
            found = urljoin(f"http://localhost{path}", link)
            parts = urlsplit(found)
            if parts.netloc != "localhost" or "client=" in parts.query:
                continue
            if "/static/" in parts.path or parts.path.endswith(("openapi.json", "/export")):
                continue
            target = f"{parts.path}?{parts.query}".rstrip("?")
            if target not in known:
                known.add(target)
                ahead.append(target)


async def test_all_links_lead_to_pages_that_hold_only_text(http: httpx.AsyncClient) -> None:
    seen = {}
    async for path, page in walk(http):
        seen[path] = page
        scripts = [attributes for tag, attributes in page.elements if tag == "script"]
        assert all("src" in one for one in scripts), path
        assert not [one for tag, one in page.elements if tag in ("style", "iframe", "object", "base")], path
        handlers = [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
        assert not handlers, path
        assert not page.values("style"), path
        assert "images" not in path
        assert [tag for tag, _ in page.elements if tag == "img"] == [], path
        for link in page.values("href") + page.values("action") + page.values("src"):
            assert re.match(r"\./|\.\./|#|https://x\.example/nora/|https://example\.org/", link), (path, link)
        assert str(1234 * 4321) not in page.text, path
        assert len(page.values("id")) == len({*page.values("id")}), path
        assert "h1" in [tag for tag, _ in page.elements], path
        assert "<!doctype html>\n<html lang=" in page.source, path
    assert len(seen) > 25
    shown = " ".join(page.text for page in seen.values())
    assert HOSTILE.replace("\u202e", "") in shown
    assert "\u202e" not in shown
    for name in ("@team/ui", "team/app", "acme-lib", "team_counts", "org.acme:team-lib", "readme.txt", LONG):
        assert name in shown, name


async def test_the_overview_tells_what_there_is_and_how_it_is_reached(http: httpx.AsyncClient) -> None:
    page = await read(http, "/ui/")
    for address in ("/v2/", "/npm/", "/simple/", "/cargo/", "/maven2/", "/go/", "/raw/"):
        assert f"https://x.example/nora{address}" in page.text
    assert "Artifacts 21 in 9 packages" in page.text
    assert "Your registry is ready" not in page.text
    chosen = await read(http, "/ui/?client=npm")
    assert "registry=https://x.example/nora/npm/ //x.example/nora/npm/:_authToken=any" in chosen.text


async def test_an_empty_registry_says_what_to_type(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_PROXY_MODE="offline") as empty:
        first = await read(empty, "/ui/")
        assert "Your registry is ready" in first.text
        docker = await read(empty, "/ui/?client=docker")
        assert "docker push localhost/team/app:1" in docker.text
        await empty.put("/raw/a.txt", content=b"a")


async def test_a_format_lists_its_packages_by_name(http: httpx.AsyncClient) -> None:
    page = await read(http, "/ui/formats/pypi")
    assert "acme-lib 1.10 2" in page.text
    assert "acme-tools 0.1 1" in page.text
    filtered = await read(http, "/ui/formats/pypi?q=TOOLS")
    assert "acme-tools" in filtered.text
    assert "acme-lib" not in filtered.text
    nothing = await read(http, "/ui/formats/pypi?q=%3Cb%3E")
    assert "No name has “<b>” in it." in nothing.text
    await read(http, "/ui/formats/absent", 404)
    await read(http, "/ui/formats/pypi?repository=npm-hosted", 404)


async def test_a_package_has_its_versions_in_order_and_how_to_install_one(http: httpx.AsyncClient) -> None:
    page = await read(http, "/ui/packages/pypi/acme-lib")
    assert "pip install --index-url https://x.example/nora/simple/ acme-lib==1.10" in page.text
    assert page.text.index("1.10 available") < page.text.index("1.9 available")
    assert "Requires Python >=3.9" in page.text
    assert "acme_lib-1.10-py3-none-any.whl" in page.text
    assert ".metadata" not in page.text
    older = await read(http, "/ui/packages/pypi/acme-lib?version=1.9&client=uv")
    assert "uv pip install --index-url https://x.example/nora/simple/ acme-lib==1.9" in older.text
    scoped = await read(http, "/ui/packages/npm/@team/ui")
    assert "npm install --registry https://x.example/nora/npm/ @team/ui@1.0.0" in scoped.text
    assert "2.0.0-beta.1 next" in scoped.text
    artifact = await read(http, "/ui/packages/maven/org.acme:team-lib")
    assert "<artifactId>team-lib</artifactId>" in artifact.text
    crate = await read(http, "/ui/packages/cargo/team_counts")
    assert "cargo add team-counts@0.10.0" in crate.text
    assert "https://example.org/counts" in crate.values("href")
    await read(http, "/ui/packages/pypi/absent", 404)


async def test_an_image_has_tags_platforms_and_layers(http: httpx.AsyncClient) -> None:
    page = await read(http, "/ui/packages/docker/team/app")
    assert "docker pull x.example/team/app:latest" in page.text
    assert "1.1 linux/amd64 linux/arm64/v8" in page.text
    tag = next(link for link in page.values("href") if "tag=1.0" in link)
    of_tag = await read(http, urljoin("/ui/packages/docker/team/app", tag))
    assert "docker pull x.example/team/app:1.0" in of_tag.text
    parts = [link for link in of_tag.values("href") if "version=sha256" in link and "tag=" not in link]
    pages = [await read(http, urljoin("/ui/packages/docker/team/app", link)) for link in parts]
    assert any("RUN make tools" in one.text for one in pages)
    absent = await read(http, "/ui/packages/docker/team/app?version=sha256:00")
    assert "This version is not here" in absent.text


async def test_files_without_packages_are_in_directories(http: httpx.AsyncClient) -> None:
    root = await read(http, "/ui/formats/raw")
    assert root.text.index("builds/") < root.text.index("readme.txt")
    builds = await read(http, "/ui/files/raw/builds")
    assert "7/" in builds.text
    file = await read(http, "/ui/files/raw/builds/7/app.tar.gz")
    assert "https://x.example/nora/raw/builds/7/app.tar.gz" in file.values("href")
    await read(http, "/ui/files/raw/absent", 404)
    await read(http, "/ui/files/pypi/acme-lib", 404)


async def test_a_search_finds_names_in_all_formats(http: httpx.AsyncClient) -> None:
    page = await read(http, "/ui/search?q=team")
    for name in ("@team/ui", "team/app", "team-utils", "team_counts", "org.acme:team-lib"):
        assert name in page.text
    assert "acme-tools" not in page.text
    for spelling in ("team-counts", "TEAM_counts", "m-cou"):
        assert "team_counts" in (await read(http, f"/ui/search?q={spelling}")).text, spelling
    assert "Nothing that you may read" in (await read(http, "/ui/search?q=nothing-like-it")).text
    hostile = Page((await http.get("/ui/search", params={"q": HOSTILE})).text)
    assert HOSTILE.replace("\u202e", "") in hostile.values("value")


async def test_errors_are_pages_with_a_way_on(http: httpx.AsyncClient) -> None:
    page = await read(http, "/ui/packages/npm/left-pad", 404)
    assert "../../search?q=left-pad" in page.values("href")
    assert (await http.put("/ui/", content=b"")).status_code == 405
    odd = await read(http, "/ui/%2e%2e/x", 400)
    assert "This request cannot be answered" in odd.text


async def test_languages_and_themes_are_remembered(http: httpx.AsyncClient) -> None:
    russian = await http.get("/ui/", headers={"accept-language": "ru"})
    assert '<html lang="ru">' in russian.text
    assert "Точки доступа" in russian.text
    said = {"lang": "ru", "theme": "dark", "back": "search?q=a"}
    answer = await http.post("/ui/preferences", data=said)
    assert (answer.status_code, answer.headers["location"]) == (303, "./search?q=a")
    cookies = "; ".join(one.partition(";")[0] for one in answer.headers.get_list("set-cookie"))
    assert cookies == "nora_lang=ru; nora_theme=dark"
    dark = await http.get("/ui/", headers={"cookie": cookies})
    assert '<html lang="ru" data-theme="dark">' in dark.text
    for back in ("https://evil.example/", "//evil.example", "/etc", "../x", "\\evil", "a//b", "javascript:x"):
        elsewhere = await http.post("/ui/preferences", data={"theme": "dark", "back": back})
        assert elsewhere.headers["location"] == "./", back
    assert (await http.post("/ui/preferences", data={"theme": "pink"})).status_code == 400
    http.cookies.clear()


async def test_a_browser_is_led_from_the_root(http: httpx.AsyncClient) -> None:
    for path in ("/", "/ui"):
        answer = await http.get(path, headers={"accept": "text/html,*/*;q=0.8"})
        assert (answer.status_code, answer.headers["location"]) == (302, "ui/"), path
    assert (await http.get("/")).status_code == 200


async def test_static_files_are_small_and_kept_for_good(http: httpx.AsyncClient) -> None:
    page = await read(http, "/ui/")
    total = 0
    for link in [one for one in page.values("href") + page.values("src") if "static/" in one]:
        answer = await http.get(urljoin("/ui/", link), headers={"accept-encoding": "gzip"})
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
        total += int(answer.headers["content-length"])
    assert 1000 < total < 20 * 1024
    assert "immutable" not in (await http.get("/ui/static/nora.css?v=old")).headers["cache-control"]
    for name in ("absent.css", "..%2frouting.py", "nora.py"):
        assert (await http.get(f"/ui/static/{name}")).status_code in (400, 404), name


async def test_packages_are_sorted_as_the_address_says(http: httpx.AsyncClient) -> None:
    def names(page: Page) -> list[str]:
        found = re.findall(r'href="[^"]*packages/pypi/([a-z-]+)"', page.source)
        return [one for one in found if one.startswith("acme")]

    for sort, expected in (
        ("", ["acme-lib", "acme-tools"]),
        ("versions", ["acme-lib", "acme-tools"]),
        ("versions.up", ["acme-tools", "acme-lib"]),
        ("changed", ["acme-tools", "acme-lib"]),
        ("bytes", ["acme-lib", "acme-tools"]),
        ("name; drop table", ["acme-lib", "acme-tools"]),
    ):
        page = await read(http, f"/ui/formats/pypi?q=acme&sort={sort}")
        assert names(page) == expected, sort
    assert 'aria-sort="descending"' in (await read(http, "/ui/formats/pypi?sort=bytes")).source
    assert names(await read(http, "/ui/formats/pypi?sort=bytes&after=50")) == []


async def test_tags_tell_how_often_they_were_pulled(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_PROXY_MODE="offline") as http:
        for sent in everything():
            if sent.path.startswith("/v2/"):
                assert (await http.request(sent.method, sent.path, **sent.said)).status_code < 300
        page = await read(http, "/ui/packages/docker/team/app")
        assert "not yet" in page.text
        digest = (await http.head("/v2/team/app/manifests/1.0")).headers["docker-content-digest"]
        config = load_config({"NORA_STORAGE_PATH": str(tmp_path / "storage")}, tmp_path)
        async with open_catalog(config) as catalog:
            hosted = (await catalog.sync_repositories(repository_specs(config)))["docker-hosted"]
            file = await catalog.find_tagged_file(hosted.id, "team/app", "1.0")
            assert file is not None
            await catalog.note_pulls([((hosted.id, file.path), 4711)], time.time())
        page = await read(http, "/ui/packages/docker/team/app")
        assert re.search(rf"4,711 just now {digest[:19]}", page.text)
