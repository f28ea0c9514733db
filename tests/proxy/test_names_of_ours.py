"""No route asks an upstream for a name that is ours: every one that the application has, by every way to it.

The upstream has everything under these names as well, as somebody has who wants to be taken for us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from nora.app import build_app
from nora.blobs.layout import Layout
from nora.formats import load_config
from tests.support.answers import Answer, Asked
from tests.support.catalogs import prepare_catalog
from tests.support.oci import digest
from tests.support.pypi_index import PyPIIndex
from tests.support.server import Server, running
from tests.support.upstream import Upstream, upstream
from tests.support.wheels import Release

pytestmark = pytest.mark.slow

CONFIG = """
[proxy]
reserved = ["Corp-*"]
[docker]
upstreams = [{{ url = "{url}" }}, {{ url = "{url}", prefix = "hub" }}]
[pypi]
proxy = "{url}/simple"
[repositories.images]
format = "docker"
kind = "proxy"
upstreams = ["{url}"]
[repositories.all-images]
format = "docker"
kind = "group"
members = ["images", "docker-hosted"]
[repositories.index]
format = "pypi"
kind = "proxy"
upstreams = ["{url}/simple"]
[repositories.all]
format = "pypi"
kind = "group"
members = ["index", "pypi-hosted"]
"""
DOCKER = ("", "hub/", "images/", "all-images/")
PYPI = ("", "/r/pypi", "/r/pypi-proxy", "/r/index", "/r/all")
BODY = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
INDEX = "application/vnd.oci.image.index.v1+json"
OURS, RESERVED, THEIRS = "ours-app", "corp-app", "theirs-app"
SAFE = {"GET", "HEAD"}


@dataclass(frozen=True, slots=True)
class Place:
    http: httpx.Client
    up: Upstream


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("ours")
    index = PyPIIndex()
    for name in (OURS, RESERVED, THEIRS):
        index.add(Release(project=name, version="9.0").wheel())
    with upstream() as up:
        index.mount(up)
        up.mount("/v2/", image)
        (folder / "config.toml").write_text(CONFIG.format(url=up.url))
        env = {"NORA_CONFIG_PATH": str(folder / "config.toml"), "NORA_PROXY_MODE": "online"}
        with running(folder, env=env) as server, client(server) as http:
            push(http)
            assert up.log.paths() == [], "a first push stays inside"
            yield Place(http, up)


def image(asked: Asked) -> Answer:
    """Anything that is asked of a registry is there."""
    return Answer(body=BODY, headers={"content-type": INDEX, "docker-content-digest": digest(BODY)})


def client(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30, trust_env=False)


def push(http: httpx.Client) -> None:
    """As docker and twine do it: what is there is asked first."""
    layer = digest(b"a layer")
    assert http.head(f"/v2/{OURS}/blobs/{layer}").status_code == 404
    assert http.post(f"/v2/{OURS}/blobs/uploads/").status_code == 202
    assert http.head(f"/v2/{OURS}/blobs/{layer}").status_code == 404
    headers = {"content-type": INDEX}
    assert http.put(f"/v2/{OURS}/manifests/1", content=BODY, headers=headers).status_code == 201
    wheel = Release(project="Ours_App").wheel()
    files = {"content": (wheel.filename, wheel.body)}
    assert http.post("/legacy/", data=wheel.form(), files=files).status_code == 200


def routes(folder: Path) -> list[tuple[str, str]]:
    """Method and path of what reads, or asks for something to be read, about a package."""
    environ = {"NORA_STORAGE_PATH": str(folder / "storage"), "NORA_PROXY_MODE": "offline"}
    config = load_config(environ, folder)
    config.storage.path.mkdir()
    prepare_catalog(Layout(config.storage.path).catalog)

    async def listing() -> list[tuple[str, str]]:
        app = build_app(config)
        await app.start()
        try:
            return sorted(set(app.routes()))
        finally:
            await app.stop()

    found = asyncio.run(listing())
    return [
        (method, path)
        for method, path in found
        if any(part in path for part in ("{name}", "{project}"))
        and (method in SAFE or path.endswith("/refresh"))
    ]


def ask(place: Place, method: str, path: str, name: str) -> None:
    """By every way to it, with every name of a thing that could be there."""
    wheel = Release(project=name, version="9.0").wheel().filename
    for filename in (wheel, f"{wheel}.metadata", f"{wheel}.provenance"):
        values = {"project": name, "version": "9.0", "filename": filename, "id": "0" * 32}
        values |= {"reference": "1", "digest": digest(b"theirs"), "mark": "0" * 16}
        for way in DOCKER if "{name}" in path else PYPI:
            if "{name}" in path:
                target = path.format(**values, name=f"{way}{name}") + "?ns=docker.io"
            else:
                target = way + path.format(**values)
            for url in (target, target.partition("?")[0]):
                answer = place.http.request(method, url)
                assert answer.status_code < 500, (url, answer.text)


def test_every_route_keeps_quiet(place: Place, tmp_path: Path) -> None:
    found = routes(tmp_path)
    assert len(found) > 15
    for method, path in found:
        for name in (OURS, RESERVED, "Ours.App", "CORP__app") if "{project}" in path else (OURS, RESERVED):
            ask(place, method, path, name)
    asked = [one for one in place.up.log.paths() if "ours" in one.lower() or "corp" in one.lower()]
    assert asked == []


def test_what_is_not_ours_is_asked_for(place: Place) -> None:
    """So the other test sees what it should."""
    for method, path in (("GET", "/v2/{name}/manifests/{reference}"), ("GET", "/simple/{project}/")):
        ask(place, method, path, THEIRS)
    paths = place.up.log.paths()
    assert f"/simple/{THEIRS}/" in paths
    assert f"/v2/{THEIRS}/manifests/1" in paths
    metrics = place.http.get("/metrics").text
    for registry in ("docker", "pypi"):
        for result in ("miss", "hit"):
            assert f'nora_cache_requests_total{{registry="{registry}",result="{result}"}}' in metrics


def test_what_is_released_is_asked_for(place: Place) -> None:
    before = len(place.up.log.requests)
    release = {"repository": "pypi", "name": "Ours_App"}
    assert place.http.post("/api/v1/admin/packages/release", json=release).status_code == 200
    assert place.http.get(f"/simple/{OURS}/").status_code == 200
    assert f"/simple/{OURS}/" in [one.path for one in place.up.log.requests[before:]]
    assert place.http.head(f"/v2/{OURS}/manifests/2").status_code == 404, "the image is still ours"
    assert [one.path for one in place.up.log.requests[before:] if "/v2/" in one.path] == []
