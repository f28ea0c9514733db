"""The lines that clients are told: with the address of this server and of the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from nora.formats import discover
from nora.formats.browsing import Site
from nora.ui.visit import inside, root_of
from tests.support.in_process import application
from tests.ui.test_pages import read

CONFIG = """
[repositories.internal]
format = "docker"
[repositories.team]
format = "npm"
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_lines_speak_of_the_site_and_of_nothing_else() -> None:
    """Of every client of every format, over TLS and without, open and closed."""
    sites = [
        Site("http://localhost:4000", "/mount/"),
        Site("https://registry.example.com/path/r/internal", "/mount/", "internal/", needs_login=True),
    ]
    for served in discover():
        made, install = served.browse.snippets, served.browse.install
        assert made is not None, served.name
        for site in sites:
            lines = [*made(site), *(install(site, "some-package", "1.0") if install else ())]
            assert len({(one.client, one.purpose) for one in made(site)}) == len(made(site)), served.name
            for one in lines:
                assert one.text == one.text.strip()
                for other in {"localhost", "registry.example.com"} - {site.host.partition(":")[0]}:
                    assert other not in one.text, (served.name, one)
            text = "\n".join(one.text for one in lines)
            assert site.host in text, served.name
            assert "http://" not in text or not site.is_tls, served.name


@pytest.mark.anyio
async def test_named_repositories_have_addresses_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG)
    async with application(tmp_path, NORA_PROXY_MODE="offline") as http:
        images = await read(http, "/ui/formats/docker?repository=internal")
        assert "docker push localhost/internal/team/app:1" in images.text
        packages = await read(http, "/ui/formats/npm?repository=team&client=npm")
        assert "npm publish --registry http://localhost/r/team/npm/" in packages.text
        assert "//localhost/r/team/npm/:_authToken=any" in packages.text
        for name in ("npm-hosted", "docker"):
            await read(http, f"/ui/formats/npm?repository={name}", 404)


@pytest.mark.anyio
async def test_what_an_open_server_should_be_told_comes_first(tmp_path: Path) -> None:
    said = {"NORA_PROXY_MODE": "offline", "NORA_HOST": "0.0.0.0", "NORA_AUTH_TRUSTED_PROXIES": "192.0.2.1"}
    async with application(tmp_path, **said) as http:
        page = await read(http, "/ui/?lang=ru")
        assert "Любой, кому доступен этот сервер" in page.text
        assert "Адрес этого сервера неизвестен" in page.text
        assert "http://localhost/npm/" in page.text


def test_links_are_relative_to_the_page() -> None:
    rows = {
        b"/ui/": "./",
        b"/ui/search": "./",
        b"/ui/formats/npm": "../",
        b"/ui/packages/npm/@a/b": "../../../",
    }
    for path, root in rows.items():
        assert root_of(path) == root


def test_only_pages_of_ours_are_gone_back_to() -> None:
    for text in ("", "search?q=a%2Fb&lang=ru", "packages/npm/@team/ui?version=1.0.0"):
        assert inside(text) == text
    for text in (
        "/",
        "//evil.example",
        "https:x",
        "a/../../x",
        "%2E%2e/raw/x",
        ".%2e/x",
        "a\\b",
        "x y",
        "\n",
        "a//b",
        "ü",
    ):
        assert inside(text) == "", text
