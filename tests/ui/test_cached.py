"""What the pages tell of upstreams and of what came from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.in_process import application
from tests.support.npm_registry import Built, NpmRegistry
from tests.support.oci_upstream import OCIUpstream
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream
from tests.support.waiting import until
from tests.ui.test_pages import read

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def environ(upstream: Upstream) -> dict[str, str]:
    """With an image and a package at the upstream."""
    images, packages = OCIUpstream(library=False), NpmRegistry()
    images.mount(upstream)
    images.image("corp/tool", "7")
    packages.add(Built("pad-left", "1.2.3", {"description": "Pads on the left"}))
    packages.mount(upstream)
    return {
        "NORA_DOCKER_UPSTREAMS": upstream.url,
        "NORA_NPM_PROXY": packages.url,
        "NORA_PROXY_RETRIES": "0",
        "NORA_CB_THRESHOLD": "1",
    }


async def test_what_is_cached_is_shown_with_its_source(
    tmp_path: Path, upstream: Upstream, environ: dict[str, str]
) -> None:
    async with application(tmp_path, **environ) as http:
        manifest = await http.get("/v2/corp/tool/manifests/7")
        config = manifest.json()["config"]["digest"]
        assert (await http.get(f"/v2/corp/tool/blobs/{config}")).status_code == 200
        for path in ("/npm/pad-left", "/npm/pad-left/-/pad-left-1.2.3.tgz"):
            assert (await http.get(path)).status_code == 200
        host = upstream.url.partition("://")[2]
        image = await read(http, "/ui/packages/docker/corp/tool")
        assert f"cached from {host}" in image.text
        assert "7 linux/amd64" in image.text

        async def is_listed() -> bool:
            return "pad-left-1.2.3.tgz" in (await read(http, "/ui/packages/npm/pad-left")).text

        await until(is_listed, "the tarball")  # who reads along is answered before it has a row
        package = await read(http, "/ui/packages/npm/pad-left")
        assert f"cached from {host}" in package.text
        assert "Pads on the left" in package.text
        assert "npm install --registry http://localhost/npm/ pad-left@1.2.3" in package.text
        listed = await read(http, "/ui/formats/npm")
        assert "pad-left 1.2.3 1" in listed.text
        assert "cached" in listed.text
        found = await read(http, "/ui/search?q=pad")
        assert "pad-left" in found.text
        overview = await read(http, "/ui/")
        assert "answers" in overview.text
        # A name that becomes ours is not shown as what the upstream had
        wanted = Built("pad-left", "9.0.0").publication()
        assert (await http.put("/npm/pad-left", json=wanted)).status_code == 201
        ours = await read(http, "/ui/packages/npm/pad-left")
        assert "hosted here" in ours.text
        assert "cached from" not in ours.text
        assert "1.2.3" not in ours.text
        blocked = {"repository": "npm", "name": "pad-left", "reason": "no more"}
        answer = await http.post("/api/v1/admin/blocks", json=blocked)
        assert answer.status_code < 300, answer.text
        await read(http, "/ui/packages/npm/pad-left", 404)
        assert "pad-left" not in (await read(http, "/ui/formats/npm")).text
        assert "packages/npm/pad-left" not in (await http.get("/ui/search?q=pad-l")).text


async def test_an_upstream_that_never_answered_is_not_said_to(tmp_path: Path) -> None:
    with running_upstream() as gone:
        url = gone.url
    settings = {"NORA_NPM_PROXY": url, "NORA_PROXY_RETRIES": "0"}
    async with application(tmp_path, **settings) as http:
        assert "127.0.0.1 not asked yet" in (await read(http, "/ui/")).text
        assert (await http.get("/npm/left-pad")).status_code == 503
        assert "127.0.0.1 has not answered" in (await read(http, "/ui/")).text


async def test_an_upstream_that_is_down_needs_attention(tmp_path: Path) -> None:
    with running_upstream() as gone:
        url = gone.url
    settings = {"NORA_NPM_PROXY": url, "NORA_PROXY_RETRIES": "0", "NORA_CB_THRESHOLD": "1"}
    async with application(tmp_path, **settings) as http:
        assert (await http.get("/npm/left-pad")).status_code == 503
        overview = await read(http, "/ui/")
        host = "127.0.0.1"
        assert f"{host} has failed too often and is left alone for now" in overview.text
        assert f"{host} down" in overview.text


async def test_a_package_tells_whose_its_name_is_and_whether_its_source_is_there(tmp_path: Path) -> None:
    with running_upstream() as first, running_upstream() as second:
        packages, others = NpmRegistry(), NpmRegistry()
        packages.add(Built("pad-left", "1.2.3", {}))
        for registry, server in ((packages, first), (others, second)):
            registry.mount(server)
        settings = {
            "NORA_NPM_UPSTREAMS": f"{packages.url},{others.url}",
            "NORA_PROXY_RETRIES": "0",
            "NORA_CB_THRESHOLD": "1",
        }
        async with application(tmp_path, **settings) as http:
            assert (await http.get("/npm/pad-left")).status_code == 200
            page = await read(http, "/ui/packages/npm/pad-left")
            assert "keeps this source" in page.text
            assert "is down" not in page.text
            first.stop()
            assert (await http.get("/npm/absent")).status_code == 503
            page = await read(http, "/ui/packages/npm/pad-left")
            assert "127.0.0.1 is down: what is cached goes on, and may be stale" in page.text
            built = Built("our-own", "1.0.0").publication()
            assert (await http.put("/npm/our-own", json=built)).status_code == 201
            page = await read(http, "/ui/packages/npm/our-own")
            assert "the name is ours" in page.text
            assert "is down" not in page.text
